"""The whole application for any WSGI server: `gunicorn server.wsgi:app`."""

import os

from server.app import publish
from server.launch import launch
from server.settings import Settings
from server.worker import exit_if_refused

with exit_if_refused():
    app = publish(launch(Settings.from_environ(os.environ)))
