"""Numbers and lists as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, isfinite, isnan, log10, nan

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Estimate
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.comparison.statistics.family import LEVEL

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_MOST_NAMED = 3
_SPLITS = {"val": "validation", "train": "training", "test": "test"}
_QUANTITIES = {"nll": "negative log-likelihood", "brier": "Brier score", "ece": "calibration error"}


def spelled(number: int) -> str:
    """Return a number as a word, as ``eight``.

    Above twelve it has digits.
    """
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return ``one seed``, ``eight seeds``."""
    return f"{spelled(number)} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str], between: str = ", ") -> str:
    """Return ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{between.join(items[:-1])} and {items[-1]}" if items else ""


def named(names: Sequence[str], most: int = 6) -> str:
    """Return ``a, b and c``.

    Beyond ``most`` names it says how many more there are.
    """
    left = len(names) - most
    return listed([*names[:most], *([f"{spelled(left)} more"] if left > 0 else [])])


def some(items: Sequence[str], between: str = ", ") -> str:
    """Return the first three items and how many more.

    The first three are the nearest.
    """
    left = len(items) - _MOST_NAMED
    return listed([*items[:_MOST_NAMED], *([f"{spelled(left)} more"] if left > 0 else [])], between)


def arm_named(comparison: Comparison, name: str) -> Arm:
    """Return the arm of this name."""
    return next(arm for arm in comparison.arms if arm.name == name)


def unequal_budgets(comparison: Comparison, contrasts: Sequence[Contrast]) -> str:
    """Return the budgets of the arms where they are unequal.

    They are part of a sentence.
    """
    names = list(dict.fromkeys(name for one in contrasts[:_MOST_NAMED] for name in (one.first, one.second)))
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


def size_interval(found: Estimate, metric: str) -> str:
    """Return the interval of a difference that is not zero.

    Its ends are sizes, as `` [0.2 to 1.1]``.
    """
    if isnan(found.low):
        return ""
    low, high = sorted((abs(found.low), abs(found.high)))
    return f" [{change(low, metric)} to {change(high, metric)}]"


def signed_interval(found: Estimate, metric: str) -> str:
    """Return the interval of a difference that may be zero.

    The difference is taken as positive, as in `` [−0.2 to 1.1]``.
    """
    turn = -1 if found.value < 0 else 1
    low, high = sorted((turn * found.low, turn * found.high))
    ends = [f"{'−' if end < 0 else ''}{change(end, metric)}" for end in (low, high)]
    return f" [{ends[0]} to {ends[1]}]"


def share(value: float) -> str:
    """Return a share of a descent in two digits.

    Examples are ``0.83``, ``0.021`` and ``0``.
    """
    return f"{value:.2g}"


def evidence(claimed: Sequence[Contrast]) -> str:
    """Return ``(eight seeds, p = 0.003)``.

    The p is adjusted for all that the page may claim.
    """
    pairs = sorted({one.difference.n for one in claimed})
    seeds = counted(pairs[0], "seed") if len(pairs) == 1 else f"{spelled(pairs[0])} to {counted(pairs[-1], 'seed')}"
    p = probability(max(one.p_adjusted for one in claimed))
    each = "each " if len(claimed) > 1 else ""
    return f"({seeds}, {each}{p.replace('p =', 'p ≤') if each else p})"


def significant(number: float) -> str:
    """Return three digits, with separators from a thousand on.

    Examples are ``1,240``, ``0.0412`` and ``2.1``.
    """
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def ratio(value: float) -> str:
    """Return a factor in enough digits to tell it from 1.

    It has at least three, as ``2.03`` and ``1.0017``.
    """
    text, apart = significant(value), abs(value - 1)
    return f"{value:.{min(6, 1 - floor(log10(apart)))}f}" if text == "1" and apart > 5e-7 else text


def within(estimate: Estimate, text: Callable[[float], str]) -> str:
    """Return an interval, as `` [1,180 to 1,310]``.

    It is empty where there is none. An infinite end is ``never``.
    """
    if isnan(estimate.low) or isnan(estimate.high):
        return ""
    low, high = (text(end) if isfinite(end) else "never" for end in (estimate.low, estimate.high))
    return f" [{low} to {high}]"


def probability(p: float) -> str:
    """Return ``p = 0.003`` or ``p < 0.001``.

    What is below 0.05, and so is claimed, never reads 0.050.
    """
    if p < 0.001:
        return "p < 0.001"
    if 0.0495 <= p < LEVEL:
        return f"p < {LEVEL}"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
