"""Points as a store keeps them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from lit_lossopt.tracking.importing.records import Series


def moments(series: Series, start: int) -> Sequence[int]:
    """Return the milliseconds of each point.

    MLflow keeps one point a step, value and millisecond, and of several points of one step the latest counts. So those
    that repeat a step are set apart, in the order of their file.

    >>> list(moments(Series(array("q", [1, 1, 2]), array("d", [0.5, 0.5, 0.4])), 1000))
    [1000, 1001, 1000]

    Args:
        series: the points.
        start: of the run, for points without times.
    """
    known = series.milliseconds or array("q", [start]) * len(series)
    if len(set(series.steps)) == len(series):
        return known
    latest: dict[int, int] = {}
    apart = array("q")
    for step, milliseconds in zip(series.steps, known, strict=True):
        latest[step] = max(milliseconds, latest.get(step, milliseconds - 1) + 1)
        apart.append(latest[step])
    return apart
