"""The application behind Flask's test client: no socket, no other process."""
