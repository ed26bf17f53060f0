"""Gunicorn's settings from ours, and its hooks: `gunicorn -c python:server.gunicorn_conf server.wsgi:app`."""

import atexit
import math
import os
import shutil
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

from server.application import Application, assemble, prepare
from server.bundle import Files
from server.console.serve import METRICS_FOLDER_PREFIX
from server.errors import StartError
from server.logs import log_warnings, logging_config
from server.memory import settle
from server.metric_files import MetricFiles
from server.settings import Settings
from server.status_file import StatusFile
from server.supervisor import Supervisor
from server.tls import server_context
from server.worker import exit_if_refused


def remove_metrics_folder(master: int) -> None:
    """Remove the metrics' folder if `brinery serve` made it, and if we are the master: workers end through here too."""
    folder = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if os.getpid() == master and folder.name.startswith(METRICS_FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def remove_status(master: int) -> None:
    """Say no more that the server runs, if we are the master."""
    if os.getpid() == master:
        StatusFile(settings.port).remove()


# However the start or the server ends: Gunicorn's own hook is not called where it gives up.
atexit.register(remove_metrics_folder, os.getpid())
# Until Gunicorn listens: the first process of a container would not hear it at all, however long a store hangs.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

with exit_if_refused():
    settings = Settings.from_environ(os.environ)
    contexts = [server_context(settings)]  # the current one: a reload reads the certificate again

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "server.worker.ClosingWorker" if settings.front == "wsgi" else "server.loop_worker.LoopWorker"
threads = settings.threads
graceful_timeout = max(1, round(settings.graceful_timeout))
# What Gunicorn has of our limits, for the front on threads; the event loop keeps to all of them itself.
keepalive = max(1, round(settings.idle_timeout))
worker_connections = settings.max_connections
limit_request_field_size = min(8_190, settings.max_header_bytes)
timeout = math.ceil(settings.deadline) + 10  # for a worker that no longer answers the master: nobody waits for it
max_requests = settings.max_requests
max_requests_jitter = settings.max_requests_jitter
preload_app = True  # the bundle is read and tried once, before the first worker; a bad one stops the start
control_socket_disable = True  # it would be written to the home folder, which a container has none of
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a heartbeat must not wait for a disk
logconfig_dict = logging_config(settings)
log_warnings(settings)
accesslog = None

if contexts[0] is not None:
    certfile, keyfile = str(settings.tls_certificate), str(settings.tls_key)

    def ssl_context(config: Any, default: Any) -> ssl.SSLContext | None:  # noqa: ANN401, ARG001
        """Give our own context in the place of Gunicorn's."""
        return contexts[0]


def when_ready(server: Any) -> None:  # noqa: ANN401
    """Put the master under supervision."""
    app = server.app.wsgi()
    with exit_if_refused():
        if hasattr(app, "wsgi_app") != (settings.front == "wsgi"):
            msg = f"The application is not the one of BRINERY_FRONT={settings.front}; name server.{settings.front}:app."
            raise StartError(msg)
    application = app.extensions["brinery"] if settings.front == "wsgi" else app.application
    common = application.common  # and nothing else of it, or its model would stay for ever

    def renew(files: Files) -> object:
        context = server_context(settings)
        module = sys.modules[f"server.{settings.front}"]
        module.app = publish(assemble(settings, prepare(settings, files), common))  # type: ignore[attr-defined]
        contexts[:] = [context]
        return module.app

    Supervisor(server, application, renew, MetricFiles(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
    atexit.register(remove_status, os.getpid())


def publish(application: Application) -> object:
    """Put an application behind the front of the settings; the other one is not imported."""
    if settings.front == "wsgi":
        from server.app import publish as by_flask

        return by_flask(application)
    from server.front import Front

    return Front(application)


def pre_fork(server: Any, worker: Any) -> None:  # noqa: ANN401, ARG001
    """Let the workers share as much memory as can be."""
    settle()
