"""How restless a run is.

It is measured between evaluations, and from step to step beyond what the batches explain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
# The windows of the rule on divergence.
_FIRST, _LAST = 10, 50
# A point that the robust fit leaves out keeps this weight, so that a window of nothing but such points has a fit.
_LEAST_WEIGHT = 1e-10


def evaluation_oscillation(
    steps: Floats, values: Floats, *, higher_is_better: bool = True, drop: float = ONE_POINT
) -> Oscillation | None:
    """Return how the metric varies late in training.

    The evaluations of the second half count. With fewer than eight the result is None.

    Standard deviation (n − 1), mean |Δ|, and the number of changes for the worse of more than ``drop``, there; and how
    far the final value of the run lies from its best.

    Args:
        steps: of the evaluations, rising ``[n]``.
        values: the metric ``[n]``, finite.
        higher_is_better: of the metric.
        drop: in the metric's unit; NaN (as the count will be) where no change is notable by itself.
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
    """Return how rough the evaluations of the second half are.

    It is how far each lies from the line between its neighbours.

    √(Σ (y_(i − 1) − 2 y_i + y_(i + 1))² / 6 (n − 2)): the standard deviation if evaluations scatter independently about
    a smooth curve. The plain deviation would call an arm that is still improving restless. NaN with fewer than eight.

    Source: Gasser, Sroka, Jennen-Steinmetz 1986, "Residual Variance and Residual Pattern in Nonlinear Regression", for
    equal distances.
    """
    late = _late(steps, values)
    if len(late) < LEAST_EVALUATIONS:
        return math.nan
    return float(np.sqrt(np.mean(np.diff(late, 2) ** 2) / 6))


def window_length(steps: int) -> int:
    """Return the window's length for runs of so many steps.

    It is a twentieth, odd, from 21 to 501. The window is that of the detrending.
    """
    return min(501, max(21, steps // 20)) | 1


def local_trend(values: Floats, window: int) -> Floats:
    """Return a robust local regression of values ``[n]``.

    Values have equal distances. The result has shape ``[n]``.

    At each point a straight line through the window around it, weighted by (1 − |u|³)³ of the distance u; then twice
    more with weights (1 − (r / 6 MAD)²)² of the residuals r, the first ones from a running median, so that a spike
    cannot hide behind itself.

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
    """Return the part of a residual that a common one explains.

    It is b · common, with b by local regression. Both have shape ``[n]``.

    b_i = Σ_j K(i − j) residual_j common_j / Σ_j K(i − j) common_j². The slope is local because the noise of batches
    shrinks as a model learns, at another pace in each arm; one slope for all steps would leave noise behind.
    """
    kernel = _tricube(window)
    above = _convolve(residual * common, kernel)
    below = _convolve(common * common, kernel)
    slope = np.divide(above, below, out=np.zeros_like(above), where=below > 1e-12 * max(float(below.max()), 1e-300))
    return slope * common


def descent(losses: Floats) -> float:
    """Return how far the loss ``[n]`` fell.

    It is the median of the first ten steps minus that of the last fifty.

    Of runs shorter than a hundred steps, the last half; of ones shorter than twenty, the first half.
    """
    half = max(1, len(losses) // 2)
    return float(np.median(losses[: min(_FIRST, half)]) - np.median(losses[-min(_LAST, half) :]))


def ripples(losses: Sequence[Floats], window: int) -> list[float]:
    """Return the ripple of each run of one seed.

    It is what their common batches do not explain, over the descent.

    r_a = loss_a − its local trend; what is left of it is r_a − ``explained``(r_a, median of the other arms' r);
    ripple = RMS of that / ``descent``. NaN where the loss did not fall. Scaling a loss changes no ripple.

    Args:
        losses: at least three arms' losses of the same steps, ``[n]`` each.
        window: the same for all arms of a comparison.
    """
    residuals = np.stack([loss - local_trend(loss, window) for loss in losses])
    found = []
    for index, loss in enumerate(losses):
        others = np.median(np.delete(residuals, index, axis=0), axis=0)
        left = residuals[index] - explained(residuals[index], others, window)
        found.append(_over_descent(left, loss))
    return found


def ripple_ratios(losses: Sequence[Floats], window: int) -> list[float]:
    """Return the ripple ratios of the only two runs of a seed.

    Each is the detrended RMS over the descent, divided by that of the other run.

    With one other arm there is no median of others: what one leaves unexplained, the other leaves, too.
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
    """Return the regression line's value at each window's centre.

    It is a weighted least-squares line. Windows are cut at the ends.
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
    """Return the convolution ``[n]`` with a kernel of odd length.

    Beyond the ends there are zeros.
    """
    half = len(kernel) // 2
    full: Floats = oaconvolve(signal, kernel, mode="full")[half : half + len(signal)]
    return full
