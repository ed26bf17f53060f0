"""The whole application for any ASGI server: the front for speed."""

import os

from server.front import Front
from server.launch import launch
from server.settings import Settings
from server.worker import exit_if_refused

with exit_if_refused():
    app = Front(launch(Settings.from_environ(os.environ)))
