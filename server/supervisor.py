"""What we add to Gunicorn's master: a stop that drains first, another model without a lost request, and its books.

The master loads a model that will serve only after a child process has tried it: what crashes there, crashes there.
"""

import contextlib
import dataclasses
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from server.apart import Apart
from server.application import Application, Common
from server.bundle import Files
from server.crashes import Crashes
from server.errors import BundleError, StartError, one_line
from server.launch import trial
from server.memory import settle
from server.metric_files import MetricFiles
from server.options import PREFIX
from server.scoreboard import Record, Reload
from server.sources.fetching import Fetch, begin
from server.status_file import Status, StatusFile
from server.worker import STUCK

CHANGE_OVER: Final = 10.0  # seconds that the workers of a new model have to begin; then the old go if one of them has


class Supervisor:
    """Watches over one arbiter (Gunicorn's master), whose signals and looks at its workers come here first.

    `renew` makes of an application's successor what the workers serve. SIGTERM drains: the arbiter stops
    `drain_delay` seconds later. SIGHUP reloads the bundle. The time of both is looked at when the arbiter looks after
    its workers, at least once a second.
    """

    def __init__(
        self,
        arbiter: Any,  # noqa: ANN401  # whose methods are replaced
        application: Application,
        renew: Callable[[Files], object],
        files: MetricFiles,
    ) -> None:
        self._arbiter, self._renew, self._files = arbiter, renew, files
        self._settings, self._log = application.settings, application.log
        self._status_file = StatusFile(self._settings.port)
        self._common: Common = application.common
        self._digest = application.model.identity.digest
        self._stop, self._spawn = arbiter.handle_term, arbiter.spawn_worker
        self._until: float | None = None  # when to stop
        self._crashes = Crashes(self._settings.max_crashes)
        self._record = Record()
        self._asked = False  # to reload
        self._fetch: Fetch | None = None
        self._trial: tuple[Apart, Files] | None = None
        self._retiring: set[int] = set()  # the workers of the model before
        self._change_over, self._changed_over = 0.0, True
        self._told: Status | None = None
        arbiter.handle_term, arbiter.handle_hup = self.stop, self.reload
        arbiter.reap_workers, arbiter.manage_workers = self.reap_workers, self.manage_workers
        arbiter.spawn_worker = self.spawn_worker
        self._tell()

    # What the arbiter asks.

    def stop(self) -> None:
        """Start to drain; asked a second time, stop at once."""
        if self._until is not None:
            self._end()
        self._until = time.monotonic() + self._settings.drain_delay
        self._common.readiness.drain()
        self._log.info("draining", seconds=self._settings.drain_delay)

    def reload(self) -> None:
        """Begin to replace the model, or do so as soon as the replacement that goes on has ended."""
        self._asked = True
        self._tell()

    def reap_workers(self) -> None:
        """Take note of every child that has ended."""
        with contextlib.suppress(ChildProcessError):  # there are none
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if self._fetch is not None and pid == self._fetch.pid:
                    self._fetched(status)
                elif self._trial is not None and pid == self._trial[0].pid:
                    self._tried(status)
                elif pid == self._arbiter.reexec_pid:
                    self._arbiter.reexec_pid = 0
                elif pid in self._arbiter.WORKERS:
                    self._ended_worker(pid, status)

    def spawn_worker(self) -> int:
        """Start a worker, and count it; where the system has nothing left for one, the next look tries again."""
        try:
            pid: int = self._spawn()
        except OSError as error:  # the workers that there are go on, and so must we
            self._log.error("worker_not_started", error=error.strerror)
            return 0
        self._note(starts=self._record.starts + 1)
        return pid

    def manage_workers(self) -> None:
        """Do what is due, and see that there are as many workers as there should be."""
        if self._until is not None and time.monotonic() >= self._until:
            self._end()
        self._files.move()
        self._tell_stability()
        if self._fetch is not None:
            self._fetch.overdue()
        elif self._trial is not None:
            self._trial[0].overdue()
        elif self._asked and self._until is None:
            self._asked = False
            self._begin()
        if self._is_changing_over():
            return
        for pid in self._retiring & self._arbiter.WORKERS.keys():
            self._arbiter.kill_worker(pid, signal.SIGTERM)
        self._keep_number()
        self._tell()

    def _keep_number(self) -> None:
        """Start as many workers as are missing beside those that leave, and end those that are too many."""
        workers, wanted = self._arbiter.WORKERS, self._arbiter.num_workers
        staying = [pid for pid, each in workers.items() if pid not in self._retiring and not _has_left(each)]
        for _ in range(wanted - len(staying)):
            if not self._crashes.may_start():
                break
            self.spawn_worker()
        staying.sort(key=lambda pid: workers[pid].age)
        for pid in staying[: max(0, len(staying) - wanted)]:
            self._arbiter.kill_worker(pid, signal.SIGTERM)

    # Crashes.

    def _ended_worker(self, pid: int, status: int) -> None:
        worker = self._arbiter.WORKERS.pop(pid)
        worker.tmp.close()
        if (shares := getattr(worker, "shares", None)) is not None:
            shares.forget(worker.age)
        self._files.bury(pid)
        self._retiring.discard(pid)
        # SIGTERM is what it was asked by, perhaps once more just before its end.
        if status not in (0, signal.SIGTERM) and self._until is None:
            cause = _cause(status)
            self._crashes.note()
            self._log.error("worker_crashed", pid=pid, cause=cause)
            self._note(crashes={**self._record.crashes, cause: self._record.crashes.get(cause, 0) + 1})

    def _tell_stability(self) -> None:
        readiness, unstable = self._common.readiness, self._crashes.unstable
        if unstable and not readiness.unstable:
            self._log.error("unstable", crashes=dict(self._record.crashes))
        elif readiness.unstable and not unstable:
            self._log.info("stable", crashes=dict(self._record.crashes))
        readiness.unstable = unstable

    # Another model.

    def _begin(self) -> None:
        """Read what stands in the bundle's folder now, or let a child process fetch the bundle."""
        try:
            begun = begin(self._settings, self._settings.bundle)
            if isinstance(begun, Fetch):
                self._fetch = begun
            else:
                self._try(begun)
        except (BundleError, OSError) as error:
            self._refused(error)

    def _fetched(self, status: int) -> None:
        """Try what was fetched."""
        assert self._fetch is not None, "it ended"
        fetch, self._fetch = self._fetch, None
        try:
            files = fetch.finish(status)
            if self._until is None:  # it is not asked to stop
                self._try(files)
        except (BundleError, OSError) as error:
            self._refused(error)

    def _try(self, files: Files) -> None:
        """Let a child process try a bundle."""
        self._log.info("reload_started", digest=files.digest)
        self._trial = trial(self._settings, files), files

    def _refused(self, error: Exception) -> None:
        """Say why there is no bundle to try; without its place, since /api/info says it to callers."""
        place = rf"(?<!\S){re.escape(str(self._settings.bundle))}(?!\w)"  # which may be a mere dot
        self._failed(re.sub(place, f"{PREFIX}BUNDLE", str(error)))

    def _tried(self, status: int) -> None:
        """Serve what was tried, the same bytes, if it can be served."""
        assert self._trial is not None, "it ended"
        (tried, files), self._trial = self._trial, None
        reasons = tried.outcome(status)
        if self._until is not None:  # it is asked to stop
            return
        if reasons:
            self._failed(" ".join(reasons))
            return
        try:
            self._arbiter.app.callable = self._renew(files)
        except Exception as error:  # nothing may end the master: the model before goes on
            self._failed(str(error) if isinstance(error, StartError) else one_line(error))
            return
        self._digest = files.digest
        del tried, files  # the workers would inherit them
        settle(afresh=True)
        self._retiring = set(self._arbiter.WORKERS)
        self._change_over, self._changed_over = time.monotonic() + CHANGE_OVER, False
        for _ in range(self._arbiter.num_workers):
            self._arbiter.spawn_worker()
        self._ended(Reload(succeeded=True, at=time.time()))

    def _failed(self, reason: str) -> None:
        self._log.error("reload_failed", reason=reason)
        self._ended(Reload(succeeded=False, at=time.time(), reason=reason))

    def _ended(self, reload: Reload) -> None:
        succeeded, failed = self._record.reloads_succeeded, self._record.reloads_failed
        self._note(
            reloads_succeeded=succeeded + reload.succeeded,
            reloads_failed=failed + (not reload.succeeded),
            last_reload=reload,
        )

    def _is_changing_over(self) -> bool:
        """Tell whether the workers of the model before still have to serve, since those of the new one do not yet."""
        if not self._retiring or self._changed_over:
            return False
        wanted = self._arbiter.num_workers
        fresh = [worker for pid, worker in self._arbiter.WORKERS.items() if pid not in self._retiring]
        serving = sum(_serves(worker) for worker in fresh)
        self._changed_over = serving >= wanted or (serving > 0 and time.monotonic() >= self._change_over)
        if len(fresh) < wanted and not self._changed_over and self._crashes.may_start():
            self._arbiter.spawn_worker()
        return not self._changed_over

    # The rest.

    def _note(self, **members: Any) -> None:  # noqa: ANN401
        self._record = dataclasses.replace(self._record, **members)
        self._common.scoreboard.write(self._record)
        self._tell()

    def _tell(self) -> None:
        """Tell `brinery reload`, where there is news: a reload goes on while anybody new is asked the model before."""
        last, workers = self._record.last_reload, self._arbiter.WORKERS
        old_serve = any(not _has_left(workers[pid]) for pid in self._retiring & workers.keys())
        status = Status(
            os.getpid(),
            reloading=self._asked or self._fetch is not None or self._trial is not None or old_serve,
            reloads=self._record.reloads_succeeded + self._record.reloads_failed,
            failure=None if last is None or last.succeeded else last.reason,
            digest=self._digest,
        )
        if status != self._told:
            self._status_file.write(status)
            self._told = status

    def _end(self) -> None:
        if self._fetch is not None:
            self._fetch.close()
        if self._trial is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._trial[0].pid, signal.SIGKILL)
        self._stop()


def _cause(status: int) -> str:
    """Name how a worker ended, for the metrics."""
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return "stuck" if code == STUCK else f"exit {code}"


def _has_left(worker: Any) -> bool:  # noqa: ANN401
    """Tell whether a worker takes nothing new any more, by its own decision, and only answers what it was asked."""
    shares = getattr(worker, "shares", None)
    return shares is not None and _serves(worker) and shares.has_left(worker.age)


def _serves(worker: Any) -> bool:  # noqa: ANN401
    """Tell whether a worker has begun: it writes the monotonic clock where the file's own time stood, since 1970."""
    with contextlib.suppress(OSError, ValueError):  # it has ended
        updated: float = worker.tmp.last_update()
        return updated <= time.monotonic()
    return False
