"""A learning-rate range test read as a curve.

It says where the loss falls, how steeply, and where it diverges.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", §3.3 (the test); fastai's ``lr_find`` (the
rate at the steepest descent in log rate as suggestion); Cleveland 1979, "Robust Locally Weighted Regression and
Smoothing Scatterplots" (the local lines).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Fewer losses tell nothing of noise.
FEWEST = 20
# How many standard deviations of single losses a fall, or a rise, must exceed; smoothed ones scatter a third of that.
CLEAR = 4.0
# The share of its fall that the loss must have lost again to count as diverged.
LOST = 0.5
_MEDIAN = 5
# Losses of the beginning, whose rates are too small to matter: the level is theirs.
_BEGINNING = 10


@dataclass(frozen=True)
class RangeTest:
    """What a range test says.

    Attributes:
        smoothed: the losses, smoothed, and capped above where they began; NaN from the first that was not finite.
        suggestion: the rate at which the loss falls most steeply, per factor of rate; None where the curve gives none.
        begins: the rate at which the loss begins to fall; None where it never does.
        lowest: the rate of the lowest smoothed loss before divergence; None where it never falls.
        diverges: the rate from which half of the fall is lost again, or the loss is not finite; None: in no part.
        problem: why there is no suggestion, and what to do; empty where there is one.
    """

    smoothed: Array
    suggestion: float | None = None
    begins: float | None = None
    lowest: float | None = None
    diverges: float | None = None
    problem: str = ""


def read_curve(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Return what the losses of a range test say.

    With ``s`` the smoothed loss, ``s₀`` the median of the first ten losses and ``σ`` the noise of the first quarter,
    the loss has fallen when ``s₀ − s > 4σ``. It has diverged at the first point where a loss is not finite, or where,
    ``m`` being the lowest ``s`` so far, ``s − m > max((s₀ − m) / 2, 4σ)``. The suggestion is where ``ds / d log(rate)``
    is lowest, in front of the lowest ``s`` before divergence. A factor of the losses changes nothing; one of the rates
    is one of the suggestion.

    Args:
        rates: of each step, rising geometrically.
        losses: of each step, not finite where training broke.

    Raises:
        ValueError: there are fewer than 20 steps, or rates that do not rise from above 0.
    """
    rate, loss = np.asarray(rates, float), np.asarray(losses, float)
    if len(loss) < FEWEST or rate.shape != loss.shape or rate[0] <= 0 or (np.diff(rate) <= 0).any():
        raise ValueError(f"a range test needs at least {FEWEST} losses, each at a higher rate than the one before")
    finite = len(loss) if np.isfinite(loss).all() else int(np.argmin(np.isfinite(loss)))
    smoothed, slope = np.full(len(loss), np.nan), np.full(len(loss), np.nan)
    start, noise = _beginning(loss[: min(finite, max(2 * _BEGINNING, len(loss) // 4))])
    if finite > _BEGINNING:
        calm = _capped(_running_median(loss[:finite]), start, noise)
        smoothed[:finite], slope[:finite] = _local_lines(calm, width=max(2, len(loss) / 50))
    end = _divergence(smoothed[:finite], start, noise)
    diverges = float(rate[end]) if end < len(rate) else None
    lowest = int(np.argmin(smoothed[:end])) if finite > _BEGINNING and end else 0
    fall = start - smoothed[lowest]
    if not fall > CLEAR * noise + 1e-9 * abs(start):
        return RangeTest(smoothed, diverges=diverges, problem=_never_falls(diverges))
    steepest = int(np.argmin(slope[: lowest + 1]))
    level = np.flatnonzero(smoothed[: steepest + 1] >= start - 0.1 * fall)
    begins = int(level[-1]) if len(level) else 0
    places = {"begins": float(rate[begins]), "lowest": float(rate[lowest]), "diverges": diverges}
    problem = _at_the_edge(steepest, lowest, len(rate))
    return RangeTest(smoothed, None if problem else float(rate[steepest]), **places, problem=problem)


def geometric(lowest: float, highest: float, steps: int) -> list[float]:
    """Return rates from the lowest to the highest.

    Each is the same multiple of the one before.
    """
    return [float(rate) for rate in np.geomspace(lowest, highest, steps)]


def _never_falls(diverges: float | None) -> str:
    if diverges is None:
        return (
            "the loss never falls by more than its noise; raise --max-lr, take larger batches (data.batch_size), or "
            "look at the data"
        )
    return f"the loss rises from {diverges:.2g} on without having fallen; lower --min-lr, or take more --steps"


def _at_the_edge(steepest: int, lowest: int, count: int) -> str:
    """Return a note if the range ends too soon or begins too late.

    The last or first point is no turning point.
    """
    if lowest >= count - 2:
        return "the loss is still falling at the end of the range; raise --max-lr"
    if steepest == 0:
        return "the loss falls most steeply at the first step; lower --min-lr"
    return ""


def _beginning(losses: Array) -> tuple[float, float]:
    """Return level and noise of the first losses.

    The noise is a standard deviation. Both come from medians, so that a spike there changes neither.

    The noise is that of differences, so that a loss which falls already does not count as noisy.
    """
    if len(losses) < 3:
        return float("nan"), float("nan")
    steps = np.diff(losses)
    noise = 1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2)
    return float(np.median(losses[:_BEGINNING])), float(noise)


def _capped(values: Array, start: float, noise: float) -> Array:
    """Return losses without a later explosion.

    It would bend the curve. None is further above the start than the lowest is below it.
    """
    return np.minimum(values, start + max(start - float(values.min()), 2 * CLEAR * noise))


def _divergence(smoothed: Array, start: float, noise: float) -> int:
    """Return the place of the first point that has diverged.

    It is the number of points where none has.
    """
    best = np.minimum.accumulate(np.minimum(smoothed, start))
    rounding = 1e-9 * abs(start)
    bad = np.flatnonzero(smoothed - best > np.maximum(LOST * (start - best), CLEAR * noise) + rounding)
    return int(bad[0]) if len(bad) else len(smoothed)


def _running_median(values: Array) -> Array:
    """Return the running median of five points.

    Up to two spikes in a row vanish.
    """
    half = _MEDIAN // 2
    # Mirrored through the end points, so that a slope goes on beyond them.
    front = 2 * values[0] - values[half:0:-1]
    back = 2 * values[-1] - values[-2 : -half - 2 : -1]
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([front, values, back]), _MEDIAN)
    middle: Array = np.median(windows, axis=1)
    # A spike at an end would be mirrored through itself.
    middle[:half], middle[-half:] = np.median(values[:_MEDIAN]), np.median(values[-_MEDIAN:])
    return middle


def _local_lines(values: Array, width: float) -> tuple[Array, Array]:
    """Return value and slope of the line fitted around each point.

    The slope is for each step. Weights are Gaussian.
    """
    place = np.arange(len(values), dtype=float)
    away = place[None, :] - place[:, None]
    weight = np.exp(-0.5 * (away / width) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    mean_place, mean_value = (weight * away).sum(axis=1), weight @ values
    spread = (weight * away**2).sum(axis=1) - mean_place**2
    slope = ((weight * away) @ values - mean_place * mean_value) / spread
    return mean_value - slope * mean_place, slope
