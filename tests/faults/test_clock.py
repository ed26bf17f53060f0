"""The wall clock is set while the server works; fault: clock_jump."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.faults.load import THEFT, Load, posted
from tests.live.metrics import counters, scrape
from tests.live.running import PATIENCE, Server, eventually

pytestmark = pytest.mark.live

HOUR = 3_600
# Answers in the place of the C library what the time is: the real one, and as many seconds more as a file says.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("JUMP"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    now->tv_sec += jump();
    return result;
}

time_t time(time_t *now) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (now) *now = moment.tv_sec;
    return moment.tv_sec;
}
"""


@pytest.fixture
def compiler() -> str:
    """Give a C compiler."""
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        pytest.skip("there is no C compiler")
    return found


@pytest.mark.slow
def test_the_clock_is_set(compiler: str, tmp_path: Path) -> None:
    """An hour forth and back: nobody fails, no time is negative or an hour long, and no connection is let go."""
    (tmp_path / "clock.c").write_text(CLOCK)
    library, jump = tmp_path / "clock.so", tmp_path / "jump"
    command: list[str | Path] = [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, tmp_path / "clock.c", "-ldl"]
    subprocess.run(command, check=True)
    jump.write_text("0")
    environ = {"LD_PRELOAD": str(library), "JUMP": str(jump)}
    with Server(workers=2, environ=environ) as server:
        eventually(lambda: len(server.workers()) == 2, "both workers")
        workers = server.workers()
        with socket.create_connection((server.host, server.port), PATIENCE) as begun, Load(server) as load:
            request = posted(json.dumps(THEFT).encode())
            begun.sendall(request[:40])
            load.until(20)
            day = server.request("GET", "/api/health/live").headers["Date"]
            for seconds in (HOUR, -HOUR, 0):
                jump.write_text(str(seconds))
                load.until(50)
                load.lasting(1.2)  # so that the master and every worker have looked at their clocks
                assert server.request("GET", "/api/health/live").headers["Date"] != day
            begun.sendall(request[40:])
            assert begun.recv(15) == b"HTTP/1.1 200 OK"
        assert not load.failed
        assert server.workers() == workers
        page = scrape(server)
        sums = {
            series: value for series, value in counters(page).items() if series[0].endswith("_duration_seconds_sum")
        }
        assert all(0 <= value < HOUR / 2 for value in sums.values()), sums
        lines = [json.loads(line) for line in server.out if '"duration_ms"' in line]
        assert all(0 <= line["duration_ms"] < HOUR * 500 for line in lines)
