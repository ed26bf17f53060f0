"""Texts that nobody thought of, thrown at whatever reads what a caller sends; `make fuzz` throws many more."""
