"""Signals taken over and given back, held back, or handed on.

What a program does at a signal stands where that is known. This module has the mechanism alone.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
# What asks a program to end.
STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handled(handler: Handler, numbers: Sequence[int] = STOPPING) -> Iterator[bool]:
    """Let a handler take signals within a block.

    The handlers of before are put back afterwards. Python allows this in the main thread only, so in any other thread
    nothing changes.

    Yields:
        Whether the handler takes them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield True
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def take(handler: Handler, number: int) -> None:
    """Put a handler in front of another one; ``handled`` gives it back."""
    signal.signal(number, handler)


def hand_on(number: int, processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Send a signal to those processes that still run."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def ignore(numbers: Sequence[int]) -> None:
    """Ignore signals from now on, also those that were held back."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@contextmanager
def held_back(numbers: Sequence[int] = STOPPING) -> Iterator[None]:
    """Hold back signals within a block, and in processes started there.

    In this process it holds for the calling thread. Other threads may still take a signal for the process.

    Those that come meanwhile arrive afterwards. A child lets them through by ``ignore``.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wake_when_child_ends(pipe: int) -> None:
    """Write a byte to a pipe whenever a child process ends."""
    signal.set_wakeup_fd(pipe, warn_on_full_buffer=False)
    # With no handler of its own Python writes nothing.
    signal.signal(signal.SIGCHLD, lambda *_: None)


def forget_wakeup() -> None:
    """Leave the parent's pipe alone, in a process that was forked."""
    signal.set_wakeup_fd(-1)


def reset() -> None:
    """Give a forked process the handlers of a new interpreter."""
    forget_wakeup()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
