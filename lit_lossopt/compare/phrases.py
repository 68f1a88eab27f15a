"""Numbers and lists as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, isfinite, isnan, log10

from lit_lossopt.compare.comparison import Estimate
from lit_lossopt.compare.metric_choice import is_accuracy

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_SPLITS = {"val": "validation", "train": "training", "test": "test"}
_QUANTITIES = {"nll": "negative log-likelihood", "brier": "Brier score", "ece": "calibration error"}


def spelled(number: int) -> str:
    """Return ``eight``; digits above twelve."""
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return ``one seed``, ``eight seeds``."""
    return f"{spelled(number)} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def metric_words(metric: str) -> str:
    """Return ``validation accuracy`` for ``val/accuracy``."""
    split, _, quantity = metric.rpartition("/")
    return " ".join(filter(None, [_SPLITS.get(split, split), _QUANTITIES.get(quantity, quantity)]))


def quantity(number: float, metric: str, interval: str = "") -> str:
    """Return ``60 % validation accuracy``, ``a validation negative log-likelihood of 0.412``."""
    if is_accuracy(metric):
        return f"{bare(number, metric)} %{interval} {metric_words(metric)}"
    return f"a {metric_words(metric)} of {bare(number, metric)}{interval}"


def bare(number: float, metric: str) -> str:
    """Return a value of a metric without its unit."""
    return f"{100 * number:.1f}".removesuffix(".0") if is_accuracy(metric) else significant(number)


def change(number: float, metric: str) -> str:
    """Return the size of a difference without its unit, in points of an accuracy."""
    size = abs(number)
    return f"{100 * size:.2g}" if is_accuracy(metric) and size < 0.1 else bare(size, metric)


def points(number: float, metric: str) -> str:
    """Return the size of a difference: ``one point``, ``0.59 points``, ``0.02``."""
    text = change(number, metric)
    if not is_accuracy(metric):
        return text
    return "one point" if text == "1" else f"{text} points"


def significant(number: float) -> str:
    """Return three digits, with separators from a thousand on: ``1,240``, ``0.0412``, ``2.1``."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def ratio(value: float) -> str:
    """Return a factor in three digits, or in as many as tell it from 1: ``2.03``, ``1.0017``."""
    text = f"{value:.3g}"
    return f"{value:.{min(6, 1 - floor(log10(abs(value - 1))))}f}" if text == "1" and value != 1 else text


def within(estimate: Estimate, text: Callable[[float], str]) -> str:
    """Return `` [1,180 to 1,310]``, or nothing where there is no interval; an infinite end is ``never``."""
    if isnan(estimate.low) or isnan(estimate.high):
        return ""
    low, high = (text(end) if isfinite(end) else "never" for end in (estimate.low, estimate.high))
    return f" [{low} to {high}]"


def probability(p: float) -> str:
    """Return ``p = 0.003``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
