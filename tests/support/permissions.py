"""Runs code as somebody whom file permissions bind, also where the tests run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
_VERSION_3 = 0x20080522


def bound_by_permissions(run: Callable[[], Result]) -> Result:
    """Return what ``run`` returns in a thread without root's privilege to pass over permissions."""
    with ThreadPoolExecutor(1, initializer=_drop_capabilities) as thread:
        return thread.submit(run).result()


def _drop_capabilities() -> None:
    # Linux keeps capabilities by thread, so the others lose none.
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()):
            raise OSError(ctypes.get_errno(), "capset")
