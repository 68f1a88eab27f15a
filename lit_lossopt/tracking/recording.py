"""What a callback may ask of a logger.

It is more than Lightning's own ``log_metrics``. Loggers without it are reached, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from lit_lossopt.core.names import Verdict


class Point(NamedTuple):
    """One value of one metric.

    It has its step, and the wall-clock time in milliseconds since 1970.
    """

    name: str
    value: float
    step: int
    milliseconds: int


@runtime_checkable
class Recorder(Protocol):
    """A logger that takes many points at once, and files."""

    def log_points(self, points: Sequence[Point]) -> None:
        """Store points, each at its own step and time."""

    def log_content(self, content: bytes, name: str, folder: str = "") -> None:
        """Store a file of this content among the run's artifacts."""

    def set_verdict(self, verdict: Verdict, evidence: str = "", last_good_step: int | None = None) -> None:
        """Say how the run ends, and why."""

    def logged(self) -> dict[str, int]:
        """Return the number of points of each metric so far."""

    def checkpoint_folder(self) -> Path:
        """Return a local folder of this run for checkpoints."""


def send_points(loggers: Iterable[Any], points: Sequence[Point]) -> None:
    """Hand points to every logger.

    They go at once where the logger can, and otherwise one by one.
    """
    for logger in loggers:
        if isinstance(logger, Recorder):
            logger.log_points(points)
        else:
            for point in points:
                logger.log_metrics({point.name: point.value}, step=point.step)
