"""The dialects; they mirror `server/protocols/`."""
