"""What the C library does with memory that the process frees.

Each training step allocates the same large tensors anew and frees them again. The GNU C library gives such memory back
to the system, which then fills it with zeros at its next use, page by page. That was more than a quarter of the
processor time of a step (see docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
import os
import sys

# The parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
# Older versions of the library take no larger threshold than the second.
_LARGEST_TENSORS, _STEP_OF_GROWTH, _NEVER = (1 << 30, 32 << 20), 64 << 20, (1 << 31) - 1
# A person who has set one of them has decided.
_OF_PERSON = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> int:
    """Let the process keep the memory that it frees, to use it again.

    Results do not change. The process keeps the memory of its peak until it ends. Nothing happens where the C library
    is another one, or where the environment already tells it what to do.

    Returns:
        bytes of the largest tensor whose memory is kept; 0 where nothing happens.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _OF_PERSON):
        return 0
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return 0
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_TOP_PAD, _STEP_OF_GROWTH)
    return next((size for size in _LARGEST_TENSORS if mallopt(_MMAP_THRESHOLD, size)), 0)
