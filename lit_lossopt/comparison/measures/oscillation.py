"""How restless a run is.

It is measured between evaluations, and from step to step. From step to step, only what the batches do not explain
counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import oaconvolve

from lit_lossopt.comparison.comparison import Oscillation
from lit_lossopt.comparison.measures.convergence import best_value, final_value

Floats = NDArray[np.float64]

LEAST_EVALUATIONS = 8
LEAST_STEPS = 40
ONE_POINT = 0.01
# The windows of the rule on divergence, in steps.
_FIRST, _LAST = 10, 50
# A point that the robust fit leaves out keeps this weight, so that a window of nothing but such points has a fit.
_LEAST_WEIGHT = 1e-10


def evaluation_oscillation(
    steps: Floats, values: Floats, *, higher_is_better: bool = True, drop: float = ONE_POINT
) -> Oscillation | None:
    """Return how the metric varies over the second half of training.

    The standard deviation (n − 1), the mean |Δ|, and the number of changes for the worse of more than ``drop`` are over
    the evaluations there. How far the final value lies from the best is of the whole run. None with fewer than eight
    evaluations in that half.

    >>> values = np.array([0.1, 0.5, 0.7] + [0.9, 0.88] * 8)
    >>> late = evaluation_oscillation(np.arange(19.0), values)
    >>> round(late.mean_change, 3), late.drops
    (0.02, 5.0)

    Args:
        steps: of the evaluations, rising ``[n]``.
        values: the metric ``[n]``, finite.
        higher_is_better: of the metric.
        drop: in the metric's unit. With NaN, no change is notable by itself, and the count is NaN.
    """
    late = _late(steps, values)
    if len(late) < LEAST_EVALUATIONS:
        return None
    sign = 1.0 if higher_is_better else -1.0
    changes = np.diff(late)
    best, _ = best_value(steps, values, higher_is_better=higher_is_better)
    # A drop of exactly one point is not over it, whatever the rounding.
    drops = math.nan if math.isnan(drop) else float(np.sum(-sign * changes > drop * (1 + 1e-9)))
    return Oscillation(
        deviation=float(np.std(late, ddof=1)),
        mean_change=float(np.mean(np.abs(changes))),
        best_minus_final=sign * (best - final_value(values)),
        drops=drops,
    )


def roughness(steps: Floats, values: Floats) -> float:
    """Return how far an evaluation lies from the line between its neighbours.

    It is over the second half of training: √(Σ (y_(i − 1) − 2 y_i + y_(i + 1))² / 6 (n − 2)). If evaluations scatter
    independently about a smooth curve, it is their standard deviation. The plain deviation would call an arm restless
    that is still improving. NaN with fewer than eight evaluations in that half.

    >>> roughness(np.arange(20.0), np.linspace(0.1, 0.9, 20)) < 1e-12
    True

    Source: Gasser, Sroka, Jennen-Steinmetz 1986, "Residual Variance and Residual Pattern in Nonlinear Regression", for
    equal distances.
    """
    late = _late(steps, values)
    if len(late) < LEAST_EVALUATIONS:
        return math.nan
    return float(np.sqrt(np.mean(np.diff(late, 2) ** 2) / 6))


def window_length(steps: int) -> int:
    """Return the length of the window for detrending runs of so many steps.

    It is a twentieth of the steps, odd, and from 21 to 501.

    >>> window_length(100), window_length(2000), window_length(100_000)
    (21, 101, 501)
    """
    return min(501, max(21, steps // 20)) | 1


def local_trend(values: Floats, window: int) -> Floats:
    """Return a robust local regression of values ``[n]``, as ``[n]``.

    The values are at equal distances. At each point a straight line goes through the window around it, weighted by (1 −
    |u|³)³ of the distance u. Then it is fitted twice more with weights (1 − (r / 6 MAD)²)² of the residuals r. The
    first residuals are from a running median, so that a spike cannot hide behind itself.

    >>> line = np.linspace(2.0, 1.0, 60)
    >>> bool(np.allclose(local_trend(line, 21), line))
    True

    Source: Cleveland 1979, "Robust Locally Weighted Regression and Smoothing Scatterplots", §2, with a fixed window.
    """
    kernel = _tricube(window)
    trend: Floats = median_filter(values, size=min(window, len(values)), mode="nearest")
    for _ in range(3):
        residual = np.abs(values - trend)
        scale = 6.0 * float(np.median(residual))
        weights = np.maximum((1 - np.minimum(residual / scale, 1.0) ** 2) ** 2, _LEAST_WEIGHT) if scale > 0 else 1.0
        trend = _lines(values, np.broadcast_to(np.asarray(weights, dtype=np.float64), values.shape), kernel)
    return trend


def explained(residual: Floats, common: Floats, window: int) -> Floats:
    """Return the part of a residual ``[n]`` that a common one explains.

    It is b · common, with b by local regression: b_i = Σ_j K(i − j) residual_j common_j / Σ_j K(i − j) common_j². The
    slope is local because the noise of batches shrinks as a model learns, at another pace in each arm. One slope for
    all steps would leave noise behind.

    >>> noise = np.random.default_rng(0).normal(size=50)
    >>> bool(np.allclose(explained(3 * noise, noise, 21), 3 * noise))
    True
    """
    kernel = _tricube(window)
    above = _convolve(residual * common, kernel)
    below = _convolve(common * common, kernel)
    slope = np.divide(above, below, out=np.zeros_like(above), where=below > 1e-12 * max(float(below.max()), 1e-300))
    return slope * common


def descent(losses: Floats) -> float:
    """Return how far the loss ``[n]`` fell.

    It is the median of the first ten steps minus that of the last fifty. Of runs shorter than a hundred steps it takes
    the last half, and of ones shorter than twenty the first half.

    >>> descent(np.array([4.0, 3.0, 2.0, 1.0]))
    2.0
    """
    half = max(1, len(losses) // 2)
    return float(np.median(losses[: min(_FIRST, half)]) - np.median(losses[-min(_LAST, half) :]))


def ripples(losses: Sequence[Floats], window: int) -> list[float]:
    """Return the ripple of each run of one seed.

    It is what their common batches do not explain, over the descent. r_a = loss_a − its local trend. What is left of it
    is r_a − ``explained``(r_a, median of the other arms' r), and ripple = RMS of that / ``descent``. NaN if the loss
    did not fall. Scaling a loss changes no ripple.

    >>> random = np.random.default_rng(0)
    >>> batches, fall = random.normal(0, 0.1, 200), np.linspace(2.0, 1.0, 200)
    >>> restless = fall + batches + random.normal(0, 0.05, 200)
    >>> values = ripples([fall + batches, fall + batches, fall + batches, restless], 21)
    >>> values[3] > 10 * values[0]
    True

    Args:
        losses: at least three arms' losses of the same steps, ``[n]`` each.
        window: the same for all arms of a comparison.
    """
    residuals = np.stack([loss - local_trend(loss, window) for loss in losses])
    return [
        _over_descent(residual - explained(residual, others, window), loss)
        for residual, others, loss in zip(residuals, medians_of_others(residuals), losses, strict=True)
    ]


def medians_of_others(rows: Floats) -> Iterator[Floats]:
    """Yield, for each of several rows ``[m, n]``, the median ``[n]`` of all other rows.

    All rows are sorted once. Leaving one value out moves the middle by one place at most. So many rows take as long a
    row as few do.

    >>> [median.tolist() for median in medians_of_others(np.array([[1.0], [2.0], [9.0], [4.0]]))]
    [[4.0], [4.0], [2.0], [2.0]]

    Args:
        rows: finite values, of at least two rows.
    """
    ordered = np.sort(rows, axis=0)
    lower, upper = (len(rows) - 2) // 2, (len(rows) - 1) // 2
    for row in rows:
        # What lies at a place or before it is left out, so that the next value moves there.
        low, high = (np.where(row <= ordered[place], ordered[place + 1], ordered[place]) for place in (lower, upper))
        yield low if lower == upper else (low + high) / 2


def ripple_ratios(losses: Sequence[Floats], window: int) -> list[float]:
    """Return how the only two runs of a seed compare in ripple.

    Each ratio is the detrended RMS over the descent, relative to that of the other run. With one other arm there is no
    median of others. What one leaves unexplained, the other leaves too.

    >>> random, fall = np.random.default_rng(0), np.linspace(2.0, 1.0, 200)
    >>> noise = random.normal(0, 0.1, 200)
    >>> calm, restless = ripple_ratios([fall + noise, fall + 2 * noise], 21)
    >>> calm < 0.6, restless > 1.7
    (True, True)
    """
    first, second = (_over_descent(loss - local_trend(loss, window), loss) for loss in losses)
    return [first / second, second / first] if first > 0 and second > 0 else [math.nan, math.nan]


def _late(steps: Floats, values: Floats) -> Floats:
    return values[steps >= (steps[0] + steps[-1]) / 2] if len(steps) else values


def _over_descent(residual: Floats, losses: Floats) -> float:
    fallen = descent(losses)
    return float(np.sqrt(np.mean(residual**2))) / fallen if fallen > 0 else math.nan


def _tricube(window: int) -> Floats:
    half = window // 2
    distance = np.abs(np.arange(-half, half + 1)) / (half + 1)
    weights: Floats = (1 - distance**3) ** 3
    return weights


def _lines(values: Floats, weights: Floats, kernel: Floats) -> Floats:
    """Return the weighted least-squares line through each window, at its centre.

    Windows are cut at the ends.
    """
    middle = float(np.median(values))
    weighted = weights * (values - middle)
    half = len(kernel) // 2
    u = -np.arange(-half, half + 1) / (half + 1)
    s0, s1, s2 = (_convolve(weights, kernel * u**power) for power in range(3))
    t0, t1 = (_convolve(weighted, kernel * u**power) for power in range(2))
    determinant = s0 * s2 - s1 * s1
    line = np.divide(s2 * t0 - s1 * t1, determinant, out=t0 / s0, where=determinant > 1e-9 * s0 * s0)
    return line + middle


def _convolve(signal: Floats, kernel: Floats) -> Floats:
    """Return the convolution ``[n]`` with a kernel of odd length, zeros beyond the ends."""
    # By overlap-add, since scipy.ndimage would take steps · window, which is minutes for long runs.
    smooth: Floats = oaconvolve(signal, kernel, mode="same")
    return smooth
