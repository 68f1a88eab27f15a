"""The level and the critical value of everything that a page may claim.

With it, equal arms give any claim in at most 5 % of pages. A page asks several questions (speed, final value,
oscillation), each of all pairs of arms. The best arm, and the question in which it shines, are found in the same data.
So all these comparisons are one family, adjusted in one step. One level decides for every pair and makes its interval,
so that both always agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS, LEVEL, Judge

Floats = NDArray[np.float64]
Presence = NDArray[np.bool_]

_MOST_DRAWS, _LEAST_DRAWS = 100_000, 20_000
# Values in a table of draws × arms × arms.
_TABLE = 10_000_000
# With more arms, Bonferroni's bound is as good.
MOST_SIMULATED = 30


@dataclass(frozen=True)
class Family(Judge):
    """The comparisons of a page, taken together.

    Attributes:
        comparisons: number of pairs that are tested, over all questions.
        level: what the p value of one pair must stay below, so that equal arms give any claim in 5 % of pages.
    """

    comparisons: int
    level: float
    _smallest: tuple[Floats, ...] = ()
    _pairs: tuple[int, ...] = ()

    def level_of(self, pairs: int) -> float:  # a judge's; here it is the same for all pairs
        """Return the level, whatever the number of pairs.

        >>> round(Family(1, 0.05).critical_value(8), 3)
        2.365
        >>> Family(1, 0.05).may_claim(8), Family(1, 0.05).may_claim(2)
        (True, False)
        """
        return self.level

    def adjusted(self, p: float, pairs: int) -> float:  # a judge's; p has them in it
        """Return the p value, adjusted for all comparisons.

        It is the chance that among equal arms the smallest p of the page is at most this one. NaN stays NaN.

        >>> page = family_of_equals(arms=3, seeds=8, questions=1)
        >>> 0.01 < page.adjusted(0.01, 8) < 0.03
        True
        """
        return nan if math.isnan(p) else _chance(p, self._smallest, self._pairs)


def family(questions: Sequence[Presence]) -> Family:
    """Return the family of these questions.

    The distribution of the smallest p over all pairs is simulated. Arms have equal, independent normal noise, with the
    pairs and missing runs of this page, and t statistics with each pair's own deviation. That counts how pairs of one
    question depend on each other (three arms make three pairs, of which any two give the third). Above thirty arms that
    makes no difference to speak of, and Bonferroni's bound takes its place. Questions are taken for independent, which
    is on the safe side. The draws are fixed, so the same page always gets the same level.

    >>> page = family([np.ones((3, 8), dtype=bool)])
    >>> page.comparisons, 0.05 / 3 < page.level < 0.05
    (3, True)

    Args:
        questions: for each, which arm has a value at which seed ``[arms, seeds]``.

    Source: the single-step max-|t| of Westfall and Young 1993, "Resampling-Based Multiple Testing", §2.3, with normal
    draws in place of permutations. Šidák 1967 for the product over questions. docs/measures.md says why.
    """
    counted = [(present, pairs) for present in questions if (pairs := count_pairs(present))]
    smallest = tuple(
        _smallest_p(*_as_key(present)) if len(present) <= MOST_SIMULATED else np.empty(0) for present, _ in counted
    )
    numbers = tuple(number for _, number in counted)
    return Family(sum(numbers), _level(smallest, numbers) if numbers else nan, smallest, numbers)


def family_of_equals(arms: int, seeds: int, questions: int) -> Family:
    """Return the family of complete runs.

    Each arm has each seed, in each question.

    >>> family_of_equals(arms=2, seeds=5, questions=3).comparisons
    3
    """
    return family([np.ones((arms, seeds), dtype=bool)] * questions)


def count_pairs(present: Presence) -> int:
    """Return how many pairs of arms share enough seeds for a test.

    >>> count_pairs(np.array([[True, True, True], [True, True, True], [True, False, False]]))
    1

    Args:
        present: which arm has a value at which seed ``[arms, seeds]``.
    """
    shared = present.astype(int) @ present.T.astype(int)
    return int(np.count_nonzero(np.triu(shared >= LEAST_PAIRS, 1)))


def _chance(p: float, smallest: Sequence[Floats], pairs: Sequence[int]) -> float:
    """Return P(min over all questions of their smallest p ≤ p).

    It is at most Bonferroni's bound.
    """
    none = 1.0
    for draws, number in zip(smallest, pairs, strict=True):
        share = (1 + np.searchsorted(draws, p, side="right")) / (1 + len(draws)) if len(draws) else 1.0
        none *= 1 - min(1.0, float(share), number * p)
    return 1 - none


def _level(smallest: Sequence[Floats], pairs: Sequence[int]) -> float:
    """Return the largest p whose adjusted p is below 0.05."""
    low, high = 0.0, LEVEL
    if _chance(high, smallest, pairs) < LEVEL:
        return high
    # To the last bit, so that decision and interval cannot differ.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _chance(middle, smallest, pairs) < LEVEL else (low, middle)
    return high


def number_of_draws(arms: int) -> int:
    """Return how many pages of so many equal arms are drawn.

    >>> number_of_draws(4), number_of_draws(30)
    (100000, 20000)
    """
    return min(_MOST_DRAWS, max(_LEAST_DRAWS, _TABLE // arms**2))


def _as_key(present: Presence) -> tuple[bytes, int]:
    """Return the pattern with its seeds in an order of its own.

    So the order in which seeds come changes nothing.
    """
    ordered = present[:, np.lexsort(present)]
    return ordered.tobytes(), len(ordered)


@lru_cache(maxsize=32)
def _smallest_p(pattern: bytes, arms: int) -> Floats:
    """Return the smallest p in each draw of equal arms ``[draws]``.

    It is over all pairs. The draws are sorted.
    """
    present = np.frombuffer(pattern, dtype=bool).reshape(arms, -1).astype(np.float64)
    draws = number_of_draws(arms)
    random = np.random.default_rng(0)
    chunk = max(1, _TABLE // (10 * arms**2))
    parts = [
        _smallest_of(random.standard_normal((min(chunk, draws - first), *present.shape)), present)
        for first in range(0, draws, chunk)
    ]
    smallest = np.sort(np.concatenate(parts))
    # The cache hands the same array to all.
    smallest.setflags(write=False)
    return smallest


def _smallest_of(values: Floats, present: Floats) -> Floats:
    """Return the smallest p over the pairs of each table: ``[draws]``.

    The tables are ``values [draws, arms, seeds]``, and ``present [arms, seeds]`` is 1 if there is a run, otherwise 0.
    """
    x = values * present
    shared = present @ present.T
    sums = x @ present.T
    sums = sums - sums.transpose(0, 2, 1)
    squares = (x * x) @ present.T
    squares = squares + squares.transpose(0, 2, 1) - 2 * x @ x.transpose(0, 2, 1)
    first, second = np.nonzero(np.triu(shared >= LEAST_PAIRS, 1))
    n = shared[first, second]
    mean = sums[:, first, second] / n
    # Rounding may make a variance of nothing negative.
    variance = np.maximum(squares[:, first, second] - n * mean**2, 1e-300) / (n - 1)
    t_squared = mean**2 * n / variance
    largest = [(pairs, t_squared[:, n == pairs].max(axis=1)) for pairs in np.unique(n)]
    p = [2 * special.stdtr(pairs - 1, -np.sqrt(values)) for pairs, values in largest]
    smallest: Floats = np.min(p, axis=0)
    return smallest
