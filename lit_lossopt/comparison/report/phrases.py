"""Metrics, quantities and axes as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, isnan, nan

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Estimate, Trial
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.core.numbers import NEVER, bracketed, counted, listed, probability, significant, spelled

_MOST_NAMED = 3
_LABELS = {"step": "step", "epoch": "epoch", "example": "examples seen"}
_SPLITS = {"val": "validation", "train": "training", "test": "test"}
_QUANTITIES = {"nll": "negative log-likelihood", "brier": "Brier score", "ece": "calibration error"}


def arm_named(comparison: Comparison, name: str) -> Arm:
    """Return the arm of this name."""
    return next(arm for arm in comparison.arms if arm.name == name)


def unequal_budgets(comparison: Comparison, contrasts: Sequence[Contrast]) -> str:
    """Return the budgets of the arms where they are unequal.

    They are part of a sentence.
    """
    names = list(
        dict.fromkeys(name for contrast in contrasts[:_MOST_NAMED] for name in (contrast.first, contrast.second))
    )
    ends = {name: _budget(arm_named(comparison, name)) for name in names}
    known = [end for end in ends.values() if isfinite(end)]
    if not known or max(known) <= 1.01 * min(known):
        return ""
    told = listed([f"{name} {significant(end)}" for name, end in ends.items() if isfinite(end)])
    return f", though {told} {comparison.axis}s were run"


def _budget(arm: Arm) -> float:
    ends = [trial.end for trial in arm.trials if isfinite(trial.end)]
    return sorted(ends)[len(ends) // 2] if ends else nan


def metric_words(metric: str, *, on_test_images: bool = False) -> str:
    """Return a metric in words, as ``validation accuracy``.

    A metric that was measured on the test images is called so.
    """
    split, _, quantity = metric.rpartition("/")
    split = "test" if on_test_images and split == "val" else split
    return " ".join(filter(None, [_SPLITS.get(split, split), _QUANTITIES.get(quantity, quantity)]))


def metric_of(comparison: Comparison) -> str:
    """Return what the compared metric is called.

    It is named after the images that it was measured on.
    """
    return metric_words(comparison.metric, on_test_images=comparison.on_test_images)


def quantity(number: float, comparison: Comparison, interval: str = "", *, short: bool = False) -> str:
    """Return a value of the metric in words.

    Examples are ``60 % validation accuracy`` and ``a validation Brier score of 0.412``. With ``short`` the name is left
    out.
    """
    metric, name = comparison.metric, metric_of(comparison)
    if is_accuracy(metric):
        return f"{bare(number, metric)} %{interval}" + ("" if short else f" {name}")
    return f"{bare(number, metric)}{interval}" if short else f"a {name} of {bare(number, metric)}{interval}"


def bare(number: float, metric: str) -> str:
    """Return a value of a metric without its unit."""
    return f"{100 * number:.1f}".removesuffix(".0") if is_accuracy(metric) else significant(number)


def change(number: float, metric: str) -> str:
    """Return the size of a difference without its unit.

    That of an accuracy is in points.
    """
    size = abs(number)
    return f"{100 * size:.2g}" if is_accuracy(metric) and size < 0.1 else bare(size, metric)


def points(number: float, metric: str) -> str:
    """Return the size of a difference with its unit.

    Examples are ``one point``, ``0.59 points`` and ``0.02``.
    """
    text = change(number, metric)
    if not is_accuracy(metric):
        return text
    return "one point" if text == "1" else f"{text} points"


def size_interval(difference: Estimate, metric: str) -> str:
    """Return the interval of a difference that is not zero.

    Its ends are sizes, as `` [0.2 to 1.1]``.
    """
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return bracketed(low, high, lambda end: change(end, metric))


def signed_interval(difference: Estimate, metric: str) -> str:
    """Return the interval of a difference that may be zero.

    The difference is taken as positive, as in `` [−0.2 to 1.1]``.
    """
    turn = -1 if difference.value < 0 else 1
    low, high = sorted((turn * difference.low, turn * difference.high))
    return bracketed(low, high, lambda end: f"{'−' if end < 0 else ''}{change(end, metric)}")


def evidence(claimed: Sequence[Contrast]) -> str:
    """Return ``(eight seeds, p = 0.003)``.

    The p is adjusted for all that the page may claim.
    """
    pairs = sorted({contrast.difference.n for contrast in claimed})
    seeds = counted(pairs[0], "seed") if len(pairs) == 1 else f"{spelled(pairs[0])} to {counted(pairs[-1], 'seed')}"
    p = probability(max(contrast.p_adjusted for contrast in claimed))
    each = "each " if len(claimed) > 1 else ""
    return f"({seeds}, {each}{p.replace('p =', 'p ≤') if each else p})"


def within(estimate: Estimate, text: Callable[[float], str]) -> str:
    """Return an interval, as `` [1,180 to 1,310]``.

    It is empty where there is none. An infinite end is ``never``.
    """
    return bracketed(estimate.low, estimate.high, lambda end: text(end) if isfinite(end) else NEVER)


def to_target(comparison: Comparison) -> str:
    """Return ``steps to target``, or epochs, or examples."""
    return f"{comparison.axis}s to target"


def axis_label(comparison: Comparison) -> str:
    """Return the label below a curve.

    It is ``step``, ``epoch`` or ``examples seen``.
    """
    return "as logged, by step or by epoch" if comparison.no_speed else _LABELS[comparison.axis]


def by_axis(comparison: Comparison) -> str:
    """Return the title of a panel, as ``by steps``."""
    return "as logged" if comparison.no_speed else f"by {comparison.axis}s"


def place_of_best(trial: Trial) -> float:
    """Return where on the axis the best evaluation lies.

    Where there is no axis, it is the logged step.
    """
    places = np.flatnonzero(trial.curve.steps == trial.best_step)
    known = len(places) and len(trial.axis) == len(trial.curve.steps) and not isnan(trial.axis[places[0]])
    return float(trial.axis[places[0]]) if known else float(trial.best_step)
