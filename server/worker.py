"""What we add to Gunicorn: a boot that ends with a sentence, and what its threads do not do."""

import contextlib
import inspect
import os
import selectors
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.sock import ssl_context
from gunicorn.workers.gthread import ThreadWorker

from server.application import Application
from server.errors import HeadersTooLarge, MalformedRequest, RequestError, StartError, TargetTooLong
from server.exchange import raw_answer
from server.tls import ServerContext

if TYPE_CHECKING:
    from server.grpc_front import GrpcFront

# Gunicorn's own status for an application that cannot start: its master gives up instead of trying again for ever.
REFUSED: Final = Arbiter.WORKER_BOOT_ERROR
LOOK: Final = 1.0  # seconds between two looks at the calls that still hold up the stop
LAST_MOMENT: Final = 0.5  # seconds for threads to end with the worker
STUCK: Final = 70  # a worker's own: a prediction did not end (EX_SOFTWARE of sysexits.h)


@contextlib.contextmanager
def exit_if_refused() -> Iterator[None]:
    """End the process with one line on standard error if what is inside cannot start.

    Also checks that workers, if there are several, have a folder in which they add up their metrics.
    """
    try:
        _check_metrics_folder()
        yield
    except StartError as error:
        sys.stderr.write(f"brinery: {error}\n")
        sys.stderr.flush()
        sys.exit(REFUSED)


def _check_metrics_folder() -> None:
    config = _gunicorn_config()
    if config is None or config.workers == 1:
        return
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder or not Path(folder).is_dir():
        msg = (
            f"With {config.workers} workers PROMETHEUS_MULTIPROC_DIR must name an empty folder, or each worker would "
            "count for itself; start it by `brinery serve`, which sees to this."
        )
        raise StartError(msg)


def _gunicorn_config() -> Config | None:
    """Give the configuration of the Gunicorn that is importing us, which it does not hand on; None elsewhere."""
    frame = inspect.currentframe()
    while frame is not None:
        config = getattr(frame.f_locals.get("self"), "cfg", None)
        if isinstance(config, Config):
            return config
        frame = frame.f_back
    return None


def start_grpc(application: Application, config: Config) -> "GrpcFront | None":
    """Begin to speak gRPC in a worker, if the settings name a port; ends the process where that cannot be."""
    if application.settings.grpc_port is None:
        return None
    from server.grpc_front import GrpcFront  # here, after the fork: its threads would not survive one

    front = GrpcFront(application, cast("ServerContext", ssl_context(config)).files if config.is_ssl else None)
    with exit_if_refused():
        front.start()
    return front


class ClosingWorker(ThreadWorker):
    """A worker with threads that closes its listening sockets as soon as it stops, and refuses in our own form.

    Gunicorn's own keeps them open for as long as a request is in flight: whoever connects meanwhile waits for an answer
    that never comes, instead of trying another server at once. It answers what is no HTTP by a page of HTML, and quotes
    it there and in the log.
    """

    _grpc: "GrpcFront | None" = None
    _stuck = False  # whether a prediction by gRPC does not end

    def run(self) -> None:
        """Serve, by gRPC too if it is spoken, until it is told to stop, or a prediction by gRPC does not end."""
        self._grpc = start_grpc(cast("Any", self.wsgi).extensions["brinery"], self.cfg)
        try:
            super().run()
            if self._grpc is not None:
                self._grpc.stop(self.cfg.graceful_timeout)
                while self._grpc.wait(LOOK):
                    super().notify()
        finally:
            if self._grpc is not None:
                self._grpc.close(LAST_MOMENT)
            if self._stuck:
                sys.stdout.flush()
                os._exit(STUCK)

    def notify(self) -> None:
        """Tell the master that we live, and end after our share of requests; the calls are among them."""
        super().notify()
        if self._grpc is None:
            return
        if (stuck := self._grpc.overdue()) and not self._stuck:
            cast("Any", self.wsgi).extensions["brinery"].log.error("worker_stuck", predictions=stuck)
            self._stuck = True
        if self._stuck:
            self._grpc.abandon()
        if self._stuck or self.nr + self._grpc.asked >= self.max_requests:
            self.alive = False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ANN401, ARG002
        """Answer what never became a request with a problem document."""
        self.log.warning("A request was refused before it was read: %s", type(exc).__name__)
        with contextlib.suppress(OSError):  # who does not listen cannot be told
            client.sendall(raw_answer(_refusal(exc)))

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Start or stop to take connections; those that wait already when we stop for good are still taken."""
        super().set_accept_enabled(enabled)
        if self.alive or enabled:
            return
        if self._grpc is not None:
            self._grpc.stop(self.cfg.graceful_timeout)
        for listener in self.sockets:
            with selectors.DefaultSelector() as waiting:
                waiting.register(listener, selectors.EVENT_READ)
                for _ in range(self.cfg.backlog):
                    if not waiting.select(0):
                        break
                    self.accept(listener)
            listener.close()
        self.sockets = []


def _refusal(error: BaseException) -> RequestError:
    """Give our own error for one that Gunicorn's parser raised."""
    if isinstance(error, LimitRequestLine):
        return TargetTooLong("The request's first line is too long; send data in the body.")
    if isinstance(error, LimitRequestHeaders):
        return HeadersTooLarge("The request's headers are too many or too long; send fewer or shorter ones.")
    return MalformedRequest("The request is not well-formed HTTP/1.1; look at its first line and its headers.")
