"""The best learning rate of a seed, and how far two losses' best rates are apart.

Arrays come in, numbers go out.
"""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_lossopt.comparison.measured import Estimate
from lit_lossopt.comparison.statistics.paired_tests import t_interval

Floats = NDArray[np.float64]


def best_rate(logs: ArrayLike, scores: ArrayLike, able: ArrayLike) -> tuple[float, int]:
    """Return the best log10 rate of one seed, and at which end of the tried ones it lies.

    The end is −1 for the lowest rate, 1 for the highest, and else 0. Between both ends the best rate is refined. It is
    the vertex of the parabola through the best point and its two neighbours. Of equal scores the middle one counts. NaN
    where no rate can be the best.

    >>> best_rate([-3, -2, -1], [0.8, 0.9, 0.85], [True, True, True])
    (-1.83..., 0)
    >>> best_rate([-3, -2, -1], [0.7, 0.8, 0.9], [True, True, True])
    (-1.0, 1)

    Args:
        logs: log10 of the tried rates ``[n]``, rising.
        scores: final values ``[n]``, of which more is better.
        able: whether a rate can be the best ``[n]``. Where a run diverged, it cannot.
    """
    x, y, may = np.asarray(logs, np.float64), np.asarray(scores, np.float64), np.asarray(able, np.bool_)
    may = may & np.isfinite(y)
    if not may.any():
        return nan, 0
    ties = np.flatnonzero(may & (y == y[may].max()))
    j = int(ties[(len(ties) - 1) // 2])
    if j in (0, len(x) - 1):
        return float(x[j]), 1 if j else -1
    return _vertex(x[j - 1 : j + 2], y[j - 1 : j + 2]), 0


def _vertex(x: Floats, y: Floats) -> float:
    """Return where the parabola through three points is highest.

    It is the middle point if a neighbour is higher, or if the three lie on a line. Otherwise it lies nearer to the
    middle point than to the others.
    """
    rise, fall = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    if not (rise >= 0 >= fall and rise > fall):
        return float(x[1])
    # The slope is linear. It is `rise` in the middle of the first gap, and `fall` in the middle of the second.
    left, right = (x[0] + x[1]) / 2, (x[1] + x[2]) / 2
    return float(left + (right - left) * rise / (rise - fall))


def rate_shift(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return the factor between best rates: first over second, with a 95 % interval.

    10 to the mean difference of the log10 rates ``[n]`` over n seeds. The ends of the interval are 10 to those of the t
    interval. There is none with fewer than two seeds.

    >>> rate_shift([-1.0, -0.9, -1.1], [-2.0, -1.9, -2.1])
    Estimate(value=10.0, low=10.0, high=10.0, n=3)
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    low, high = t_interval(differences)
    # Equal up to rounding, and readable.
    value, low, high = (float(np.round(10.0**end, 12)) for end in (np.mean(differences), low, high))
    return Estimate(value, low, high, len(differences))
