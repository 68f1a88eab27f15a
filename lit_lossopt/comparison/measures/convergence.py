"""How fast a curve reaches a value, and where it ends.

Arrays of evaluations come in, numbers go out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Floats = NDArray[np.float64]

# This share of the best counts as reached, for the target and for the window of learning rates.
SHARE = 0.95


def median_of_three(values: Floats) -> Floats:
    """Return values ``[n]`` smoothed by a centred median of three.

    Both ends stay as they are.

    >>> median_of_three(np.array([1.0, 9.0, 3.0, 4.0]))
    array([1., 3., 4., 4.])

    Source: Tukey 1977, "Exploratory Data Analysis", ch. 7.
    """
    # With the end itself as its missing neighbour, the median at an end is the end.
    smooth: Floats = median_filter(values, size=3, mode="nearest") if len(values) else values.copy()
    return smooth


def reach(axis: Floats, values: Floats, target: float, *, higher_is_better: bool = True) -> float:
    """Return where on an axis the values reach the target.

    Let s be the smoothed values, ``median_of_three(values)``. Let j be the first index at which s ≥ target at j and at
    j + 1. The last index needs no successor. The result is linear between j − 1 and j, and infinite without such a j.

    >>> reach(np.array([0.0, 10.0, 20.0, 30.0]), np.array([0.1, 0.5, 0.9, 0.95]), 0.7)
    15.0

    Args:
        axis: steps, seconds or examples ``[n]`` of the evaluations. If they are NaN at j, so is the result.
        values: the metric ``[n]``, finite.
        target: in its unit.
        higher_is_better: of the metric. If not, ≤ takes the place of ≥.

    Source: AlgoPerf, `DOCUMENTATION.md` (a miss is infinite); Schneider et al. 2019 (DeepOBS), §3.
    """
    sign = 1.0 if higher_is_better else -1.0
    smooth, wanted = sign * median_of_three(values), sign * target
    reached = smooth >= wanted
    holds = reached & np.append(reached[1:], True)[: len(reached)]
    if not holds.any():
        return math.inf
    j = int(np.argmax(holds))
    if j == 0:
        return float(axis[0])
    share = (wanted - smooth[j - 1]) / (smooth[j] - smooth[j - 1])
    return float(axis[j - 1] + share * (axis[j] - axis[j - 1]))


def area_under_curve(steps: Floats, values: Floats, budget: float = 0.0) -> float:
    """Return the mean of the metric over the budget.

    ∫ values d(steps) / (end − first step), by the trapezoidal rule. If the curve ends before ``budget``, its last
    value holds until there. NaN without values.

    >>> area_under_curve(np.array([0.0, 10.0]), np.array([0.0, 1.0]), budget=20.0)
    0.75

    Args:
        steps: rising ``[n]``.
        values: ``[n]``.
        budget: the step at which the curve would have ended.
    """
    if not len(values):
        return math.nan
    if budget > steps[-1]:
        steps, values = np.append(steps, budget), np.append(values, values[-1])
    length = steps[-1] - steps[0]
    return float(np.trapezoid(values, steps) / length) if length > 0 else float(values[-1])


def final_value(values: Floats) -> float:
    """Return the mean of the last tenth of the evaluations ``[n]``.

    The tenth is rounded down, and is at least one evaluation. NaN without any.

    >>> final_value(np.array([0.5, 0.8, 0.9]))
    0.9
    """
    return float(np.mean(values[-max(1, len(values) // 10) :])) if len(values) else math.nan


def best_value(steps: Floats, values: Floats, *, higher_is_better: bool = True) -> tuple[float, int]:
    """Return the best value, and the first step at which it was seen.

    NaN and −1 without values.

    >>> best_value(np.array([0.0, 10.0, 20.0]), np.array([0.5, 0.9, 0.8]))
    (0.9, 10)
    """
    if not len(values):
        return math.nan, -1
    j = int(np.argmax(values if higher_is_better else -values))
    return float(values[j]), int(steps[j])


def near_best(best: float, start: float, *, higher_is_better: bool = True) -> float:
    """Return the value that counts as near the best.

    It is 0.95 · best. Where lower is better, or the best is not positive, a share of the value means nothing. There it
    is 95 % of the way, start − 0.95 · (start − best). If training led nowhere, it is the best itself.

    >>> near_best(0.8, 0.1), round(near_best(0.2, 2.2, higher_is_better=False), 3)
    (0.76, 0.3)

    Args:
        best: the best final value.
        start: the value before training.
        higher_is_better: of the metric.
    """
    if higher_is_better and best > 0:
        return SHARE * best
    way = start - SHARE * (start - best)
    return min(best, way) if higher_is_better else max(best, way)
