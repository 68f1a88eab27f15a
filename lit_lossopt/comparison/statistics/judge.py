"""What a pair of arms must show, so that a difference may be claimed.

A judge gives the level that the p value of a pair must stay below. The same level makes the interval of the pair, so
that decision and interval always agree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from scipy import special

LEVEL = 0.05
LEAST_PAIRS = 3
# With a larger critical value a claim would rest on pairs whose deviation is small by chance.
LARGEST_CRITICAL_VALUE = 20.0


class Judge(ABC):
    """Judges the pairs of a page, each by the number of seeds that it shares."""

    @abstractmethod
    def level_of(self, pairs: int) -> float:
        """Return what the p of a pair with so many shared seeds must stay below.

        It is not above zero, or NaN, where nothing may be claimed.
        """

    @abstractmethod
    def adjusted(self, p: float, pairs: int) -> float:
        """Return the p value, adjusted for everything that is judged together.

        It is below 0.05 exactly where the p is below the level. NaN stays NaN.
        """

    def critical_value(self, pairs: int) -> float:
        """Return the |t| that so many pairs must exceed.

        It is infinite with fewer than three pairs, or if the level is not above zero.
        """
        level = self.level_of(pairs)
        return critical_value(level, pairs) if pairs >= LEAST_PAIRS and level > 0 else math.inf

    def may_claim(self, pairs: int) -> bool:
        """Return True if so many pairs are enough for a claim."""
        return pairs >= LEAST_PAIRS and self.critical_value(pairs) <= LARGEST_CRITICAL_VALUE


def critical_value(level: float, pairs: int) -> float:
    """Return the |t| of a two-sided p, with one degree of freedom less than pairs.

    >>> round(critical_value(0.05, 8), 3)
    2.365
    """
    return float(special.stdtrit(pairs - 1, 1 - level / 2))
