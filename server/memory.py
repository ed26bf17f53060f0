"""What the workers share: the memory of the process that they are forked from."""

import ctypes
import gc


def settle() -> None:
    """Give back what the start used up, and see that what is left stays shared after a fork.

    The allocator keeps what was freed, the pickle's own memory most of all, until it is asked for it. And a collector
    that goes through objects after the fork would write to each of them: a page that is written to is copied.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
    gc.freeze()
