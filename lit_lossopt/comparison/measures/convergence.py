"""How fast a curve reaches a value and where it ends."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# What of the best counts as reached, for the target and for the window of learning rates.
SHARE = 0.95


def median_of_three(values: Floats) -> Floats:
    """Return values smoothed by a centred median of three.

    They have shape ``[n]``. Both ends stay as they are.

    Source: Tukey 1977, "Exploratory Data Analysis", ch. 7.
    """
    if len(values) < 3:
        return values.copy()
    middle = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    return np.concatenate([values[:1], middle, values[-1:]])


def reach(axis: Floats, values: Floats, target: float, *, higher_is_better: bool = True) -> float:
    """Return where on the axis values reach the target.

    The result is infinite if they never do.

    s = median_of_three(values); j = the first index with s ≥ target at j and j + 1 (at j alone if it is the last);
    linear between j − 1 and j.

    Args:
        axis: steps, seconds or examples ``[n]`` of the evaluations; the answer is NaN where they are NaN at j.
        values: the metric ``[n]``, finite.
        target: in its unit.
        higher_is_better: of the metric; if not, ≤ takes the place of ≥.

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

    It is computed by the trapezoidal rule. Without values it is NaN.

    ∫ values d(steps) / (end − first step), where the last value holds until ``budget`` if the curve ends before.

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
    """Return the mean of the last tenth of the evaluations.

    They have shape ``[n]``. The tenth is rounded down to at least one. Without evaluations the result is NaN.
    """
    return float(np.mean(values[-max(1, len(values) // 10) :])) if len(values) else math.nan


def best_value(steps: Floats, values: Floats, *, higher_is_better: bool = True) -> tuple[float, int]:
    """Return the best value and its first step.

    Without values they are NaN and −1.

    Without values they are NaN and −1.
    """
    if not len(values):
        return math.nan, -1
    j = int(np.argmax(values if higher_is_better else -values))
    return float(values[j]), int(steps[j])


def near_best(best: float, start: float, *, higher_is_better: bool = True) -> float:
    """Return the value that counts as near the best.

    It is 0.95 · best.

    Where lower is better, or the best is not positive, a share of the value means nothing; there it is 95 % of the way,
    start − 0.95 · (start − best), and the best itself where training led nowhere.

    Args:
        best: the best final value.
        start: the value before training.
        higher_is_better: of the metric.
    """
    if higher_is_better and best > 0:
        return SHARE * best
    way = start - SHARE * (start - best)
    return min(best, way) if higher_is_better else max(best, way)
