"""Points of metrics, and what a callback asks of a logger.

A logger of ours takes many points at once. Any other logger of Lightning gets them one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from lit_lossopt.core.names import Verdict

# What MLflow refuses in the name of a metric.
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")


class Point(NamedTuple):
    """One value of one metric.

    Attributes:
        name: the metric's.
        value: its value.
        step: the training step.
        milliseconds: the wall-clock time since 1970.
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

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Store tags, in place of those of the same names."""

    def log_content(self, content: bytes, name: str, folder: str = "") -> None:
        """Store a file with this content among the run's artifacts."""

    def set_verdict(self, verdict: Verdict, evidence: str = "", last_good_step: int | None = None) -> None:
        """Say how the run ends, and why."""

    def set_findings(self, findings: Sequence[tuple[str, str]]) -> None:
        """Say what diagnostics found, kind and sentence of each."""

    def logged(self) -> dict[str, int]:
        """Return metric → number of points that were logged so far."""

    def checkpoint_folder(self) -> Path:
        """Return the local folder for checkpoints of this run."""


class NewPoints:
    """Sorts out the points that a run has not logged before.

    Args:
        expected: metric → number of points that were logged.
        last_steps: metric → the last step that is not logged again. Steps rise within each metric.
    """

    def __init__(self, expected: Mapping[str, int] | None = None, last_steps: Mapping[str, int] | None = None) -> None:
        self.expected = Counter(expected or {})
        self.last_steps = dict(last_steps or {})
        # Metric → step and milliseconds of the point before.
        self._stamps: dict[str, tuple[int, int]] = {}

    def take(self, points: Sequence[Point]) -> list[Point]:
        """Return those points that are new, as MLflow can store them."""
        named = [point._replace(name=_NOT_IN_NAMES.sub("_", point.name)) for point in points]
        new = [self._apart(point) for point in named if point.step > self.last_steps.get(point.name, -1)]
        self.expected.update(point.name for point in new)
        return new

    def _apart(self, point: Point) -> Point:
        # MLflow keeps one point a metric, step, value and millisecond.
        step, milliseconds = self._stamps.get(point.name, (-1, 0))
        if point.step == step and point.milliseconds <= milliseconds:
            point = point._replace(milliseconds=milliseconds + 1)
        self._stamps[point.name] = (point.step, point.milliseconds)
        return point


def send_points(loggers: Iterable[Any], points: Sequence[Point]) -> None:
    """Hand points to every logger.

    Loggers of Lightning's own kind get them one by one.
    """
    for logger in loggers:
        if isinstance(logger, Recorder):
            logger.log_points(points)
        else:
            for point in points:
                logger.log_metrics({point.name: point.value}, step=point.step)
