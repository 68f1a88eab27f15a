"""Waiting for an event instead of for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Far more than any event here needs, on a machine that is overloaded too. Only what is broken comes so far.
LONGEST = 600.0


def wait_until(event: Callable[[], T], said: Callable[[], str] = str, pause: float = 0.02) -> T:
    """Return what an event gives once that is true.

    Args:
        event: asked again and again.
        said: gives what a person should read where the event never comes.
        pause: seconds from one asking to the next.

    Raises:
        AssertionError: the event did not come.
    """
    until = time.monotonic() + LONGEST
    while not (value := event()):
        assert time.monotonic() < until, f"{LONGEST:g} s are over: {said()}"
        time.sleep(pause)
    return value
