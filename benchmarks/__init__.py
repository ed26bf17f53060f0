"""Measures the server against what people write without it: `make bench`. It imports nothing of the server."""
