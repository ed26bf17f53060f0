"""What processes take."""

from pathlib import Path

from tests.live.running import Server


def descriptors(pid: int) -> int:
    """Give how many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory(pid: int) -> int:
    """Give the bytes that a process has for itself, those shared with others in parts (PSS).

    Without files: how much of a library is ours depends on who else on the machine has it open.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def tree_of(server: Server) -> list[int]:
    """Give the master of a server and its workers."""
    return [server.process.pid, *server.workers()]
