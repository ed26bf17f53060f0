"""What the master tells its workers."""

import os

from hypothesis import given
from hypothesis import strategies as st

from server.scoreboard import MAX_REASON, Record, Reload, Scoreboard

COUNTS = st.integers(0, 2**53)
RELOADS = st.builds(Reload, succeeded=st.booleans(), at=st.floats(0, 1e10), reason=st.text(max_size=MAX_REASON // 4))
RECORDS = st.builds(
    Record,
    starts=COUNTS,
    crashes=st.dictionaries(st.sampled_from(["SIGKILL", "SIGSEGV", "exit 1", "stuck"]), COUNTS),
    reloads_succeeded=COUNTS,
    reloads_failed=COUNTS,
    last_reload=st.none() | RELOADS,
)


@given(RECORDS, RECORDS)
def test_gives_what_was_written_last(first: Record, second: Record) -> None:
    """Whatever was written before, and however long it was, the last record comes back."""
    scoreboard = Scoreboard()
    assert scoreboard.read() == Record()
    scoreboard.write(first)
    scoreboard.write(second)
    assert scoreboard.read() == second


def test_a_long_reason_is_cut() -> None:
    """A reason of any length leaves the record whole."""
    scoreboard = Scoreboard()
    scoreboard.write(Record(last_reload=Reload(succeeded=False, at=1.0, reason="\N{GRINNING FACE}" * 100_000)))
    last = scoreboard.read().last_reload
    assert last is not None
    assert last.reason == "\N{GRINNING FACE}" * MAX_REASON


def test_is_never_read_half() -> None:
    """Whoever reads while another process writes gets one record or the other."""
    scoreboard = Scoreboard()
    records = [Record(starts=1, crashes={"a": 1}), Record(starts=2, crashes={str(each): each for each in range(500)})]
    scoreboard.write(records[0])
    child = os.fork()
    if child == 0:
        for turn in range(4_000):
            scoreboard.write(records[turn % 2])
        os._exit(0)
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        assert scoreboard.read() in records
