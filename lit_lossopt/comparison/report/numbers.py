"""Numbers as a person reads them.

Shares are in per cent, steps have separators, and what is not known is a dash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, inf, isfinite, isinf, isnan, log10

from lit_lossopt.comparison.comparison import Comparison, Contrast
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.comparison.report import phrases

UNKNOWN = "–"
NEVER = "never"


@dataclass(frozen=True)
class Unit:
    """How a metric is shown.

    Values are multiplied by ``factor`` and followed by ``sign``. Differences are followed by ``difference``.
    """

    factor: float
    sign: str
    difference: str

    @property
    def limit(self) -> float:
        """The largest value that can be, as it is shown.

        Accuracies end at 100 %.
        """
        return self.factor if self.sign else inf

    @property
    def axis(self) -> str:
        """The unit behind the metric's name on an axis, as ``, %``."""
        return f",{self.sign}" if self.sign else ""

    @property
    def difference_axis(self) -> str:
        """The unit of a difference on an axis, as ``, points``."""
        return f",{self.difference}" if self.difference else ""

    def text(self, value: float) -> str:
        """Return a value with its unit, as ``93.1 %``."""
        if not isfinite(value):
            return UNKNOWN
        return f"{self.bare(value)}{self.sign}"

    def bare(self, value: float) -> str:
        """Return a value without its unit."""
        if not isfinite(value):
            return UNKNOWN
        return f"{self.factor * value:.1f}" if self.sign else significant(value)

    def change(self, value: float) -> str:
        """Return a difference with its sign, as ``+0.42 points``."""
        if not isfinite(value):
            return UNKNOWN
        number = f"{self.factor * value:+.{_decimals(self.factor * value)}f}" if self.sign else f"{value:+.3g}"
        return f"{number.replace('-', '−')}{self.difference}"

    def spread(self, value: float) -> str:
        """Return a deviation, as ``0.42 points``."""
        return self.change(value).removeprefix("+")


def _decimals(value: float) -> int:
    """Return two decimals, or enough to show a first digit.

    A difference that is claimed must not look like none.
    """
    return -floor(log10(abs(value))) if 5e-7 < abs(value) < 0.005 else 2


def unit(metric: str) -> Unit:
    """Return how a metric is shown.

    Accuracies are in per cent and points, all else is as it is.
    """
    return Unit(100, " %", " points") if is_accuracy(metric) else Unit(1, "", "")


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that matter.

    Examples are ``0.0123``, ``1,240``, ``−3.2`` and ``1.8e-05``.
    """
    if isnan(value):
        return UNKNOWN
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", "−") if abs(value) < 1e9 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}".replace("-", "−", 1) if value < 0 else f"{value:.{digits}g}"


def count(value: float) -> str:
    """Return steps, seconds or examples until something.

    It is ``never`` where it did not come.
    """
    return NEVER if isinf(value) else significant(value)


def interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return an interval, as ``92.8 to 93.5``.

    Each end is as ``text`` writes it. The result is empty where there is no interval.
    """
    if isnan(low) or isnan(high):
        return ""
    return f"{text(low)} to {text(high)}"


def probability(value: float) -> str:
    """Return a p value, as ``0.012`` or ``< 0.001``."""
    return UNKNOWN if isnan(value) else phrases.probability(value).removeprefix("p ").removeprefix("= ")


def factor(contrast: Contrast) -> str:
    """Return a speed-up, as ``1.8 ×`` or ``at least 2.1 ×``.

    It has enough digits to tell it from 1.
    """
    value = contrast.difference.value
    if not isfinite(value):
        return UNKNOWN
    return f"at least {phrases.ratio(value)} ×" if contrast.at_least else f"{phrases.ratio(value)} ×"


def ripple_name(comparison: Comparison) -> str:
    """Return what ripple is called.

    With two arms it is a ratio.
    """
    return "ripple ratio" if comparison.ripple_is_ratio else "ripple"
