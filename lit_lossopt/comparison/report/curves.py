"""Many noisy values as one line.

Values are smoothed, the middle of several runs is taken, and points are thinned so that extremes stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def smooth(values: Floats, share: float = 0.02, growth: float = 0.2) -> Floats:
    """Return the centred running mean of ``values [n]``.

    The window of value k reaches ``min(growth · k, share · n)`` to either side: short at first, where a loss falls
    fast, so that the line is right on a logarithmic axis too. At the end it is cut off. A window with a value that is
    not finite is NaN.
    """
    count = len(values)
    index = np.arange(count)
    reach = np.minimum(growth * index, share * count).astype(np.int64)
    first, last = np.maximum(index - reach, 0), np.minimum(index + reach + 1, count)
    finite = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    broken = np.concatenate([[0], np.cumsum(~finite)])
    mean = (total[last] - total[first]) / np.maximum(last - first, 1)
    return np.where(broken[last] > broken[first], np.nan, mean)


def grid(first: float, last: float, linear: int = 240, logarithmic: int = 120, *, unit: float = 1.0) -> Floats:
    """Return places from first to last.

    They are dense enough for a linear and for a logarithmic axis.

    They lie at whole numbers of units after the first: where values have that distance, at values.
    """
    length = max(last - first, 0.0) / unit
    falling = np.geomspace(1, length + 1, logarithmic) - 1
    found: Floats = first + unit * np.unique(np.round(np.concatenate([np.linspace(0, length, linear), falling])))
    # Rounding must not put the last one outside of what is known.
    return np.minimum(found, last)


def on_grid(points: Floats, steps: Floats, values: Floats) -> Floats:
    """Return values at ``points [m]``.

    They are interpolated within the steps ``[n]`` and NaN outside of them.
    """
    if not len(steps):
        return np.full(len(points), np.nan)
    found: Floats = np.interp(points, steps, values, left=np.nan, right=np.nan)
    return found


def middle(rows: Floats, ended: NDArray[np.bool_], worst: float) -> tuple[Floats, Floats, Floats]:
    """Return median, lowest and highest of several runs.

    ``rows`` is ``[runs, n]``. The result is three arrays ``[n]``.

    NaN is left out, except in runs that ``ended [runs]`` early: there it counts as ``worst`` in the median, which is
    NaN where it comes out as that. So a line does not look better because its worst runs are gone.
    """
    with np.errstate(invalid="ignore", all="ignore"):
        counted = np.where(np.isnan(rows) & ended[:, None], worst, rows)
        empty = np.all(np.isnan(rows), axis=0)
        safe = np.where(empty, 0.0, counted)
        centre = np.nanmedian(safe, axis=0)
        kept = np.where(empty, 0.0, rows)
        low, high = np.nanmin(kept, axis=0), np.nanmax(kept, axis=0)
    lost = empty | ~np.isfinite(centre)
    return np.where(lost, np.nan, centre), np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def extremes(positions: Floats, values: Floats, buckets: int) -> Indices:
    """Return the indices of the extremes in equal buckets.

    They are the lowest and highest value along ``positions [n]``. Positions and indices rise.

    The first and the last value are kept too, and values that are not finite are left out. With no more than two values
    a bucket, all are kept.
    """
    finite = np.flatnonzero(np.isfinite(values) & np.isfinite(positions))
    if len(finite) <= 2 * buckets:
        return finite
    where = positions[finite]
    edges = np.searchsorted(where, np.linspace(where[0], where[-1], buckets + 1)[1:-1])
    kept = [np.array([0, len(finite) - 1])]
    for first, last in zip([0, *edges], [*edges, len(finite)], strict=True):
        if last > first:
            inside = values[finite[first:last]]
            kept.append(np.array([first + np.argmin(inside), first + np.argmax(inside)]))
    found: Indices = finite[np.unique(np.concatenate(kept))]
    return found


def regular(steps: Sequence[float] | Floats) -> tuple[float, float] | None:
    """Return (first, distance) of evenly spaced steps ``[n]``, or None."""
    array = np.asarray(steps, dtype=np.float64)
    if len(array) < 2:
        return (float(array[0]), 1.0) if len(array) else None
    distance = np.diff(array)
    return (float(array[0]), float(distance[0])) if np.all(distance == distance[0]) else None
