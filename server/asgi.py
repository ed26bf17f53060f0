"""The whole application for any ASGI server: the front for speed."""

import os

from server.application import assemble
from server.front import Front
from server.settings import Settings
from server.worker import exit_if_refused

with exit_if_refused():
    app = Front(assemble(Settings.from_environ(os.environ)))
