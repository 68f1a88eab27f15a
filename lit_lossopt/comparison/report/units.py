"""Numbers as a person reads them.

Shares are in per cent, steps have separators, and what is not known is a dash.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf, isfinite, isinf, log10

from lit_lossopt.comparison.comparison import Comparison, Contrast
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.core.numbers import NEVER, UNKNOWN, significant, times


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
        scaled = self.factor * value
        # Two, or enough to show a first digit. A difference that is claimed must not look like none.
        decimals = -floor(log10(abs(scaled))) if 5e-7 < abs(scaled) < 0.005 else 2
        number = f"{scaled:+.{decimals}f}" if self.sign else f"{value:+.3g}"
        return f"{number.replace('-', '−')}{self.difference}"

    def spread(self, value: float) -> str:
        """Return a deviation, as ``0.42 points``."""
        return self.change(value).removeprefix("+")


def unit(metric: str) -> Unit:
    """Return how a metric is shown.

    Accuracies are in per cent and points, all else is as it is.
    """
    return Unit(100, " %", " points") if is_accuracy(metric) else Unit(1, "", "")


def count(value: float) -> str:
    """Return a count as text, or ``never`` if it is infinite."""
    return NEVER if isinf(value) else significant(value)


def factor(contrast: Contrast) -> str:
    """Return a speed-up, as ``1.8×`` or ``at least 2.1×``.

    It has enough digits to tell it from 1.
    """
    value = contrast.difference.value
    if not isfinite(value):
        return UNKNOWN
    return f"at least {times(value)}" if contrast.at_least else times(value)


def ripple_name(comparison: Comparison) -> str:
    """Return what ripple is called.

    With two arms it is a ratio.
    """
    return "ripple ratio" if comparison.ripple_is_ratio else "ripple"
