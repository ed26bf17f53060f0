"""The whole application for any WSGI server: `gunicorn server.wsgi:app`."""

import os

from server.app import create_app
from server.settings import Settings
from server.worker import exit_if_refused

with exit_if_refused():
    app = create_app(Settings.from_environ(os.environ))
