"""The protocols; they mirror `server/protocols/`."""
