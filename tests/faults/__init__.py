"""Faults injected into the real server, each with its standard of success; see `make faults`."""
