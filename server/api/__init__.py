"""The HTTP routes: endpoints, and the Flask blueprints that lead to them."""
