"""Ctrl-C and SIGTERM while trials run.

They are noted, so that trials end whole and nothing is lost.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lit_lossopt.core import signals


class Interrupted(KeyboardInterrupt):
    """Trials were stopped by Ctrl-C or SIGTERM.

    They have saved what they had.

    Attributes:
        status: the exit status that tells so: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


class NotedSignals:
    """Which signal has come.

    Before one comes, ``number`` is None.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal.

        The second one ends the process at once.
        """
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def raised_sigterm() -> Iterator[None]:
    """Make SIGTERM raise ``Interrupted``.

    Ctrl-C raises its like. This has no effect outside the main thread.
    """

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a handler's
        raise Interrupted(number)

    with signals.handled(end, (signal.SIGTERM,)):
        yield


@contextmanager
def noted_signals() -> Iterator[NotedSignals]:
    """Take over SIGINT and SIGTERM, and give them back afterwards.

    This has no effect outside the main thread.
    """
    noted = NotedSignals()
    with signals.handled(noted.note):
        yield noted
