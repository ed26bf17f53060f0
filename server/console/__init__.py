"""The verbs of the console, a module each."""
