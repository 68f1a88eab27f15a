"""The levels of a race, in which one looks again and again.

Of the chance to claim anything among equal arms every look may spend a part. The boundary of a look is simulated for
all pairs of arms and all earlier looks together. So the intervals of all looks hold together, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lit_lossopt.comparison.statistics.family import MOST_SIMULATED, number_of_draws
from lit_lossopt.comparison.statistics.judge import LARGEST_CRITICAL_VALUE, LEVEL, Judge, critical_value
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS, look_sizes

Floats = NDArray[np.float64]

# What the deciding question of a race may spend, and each of the other two. Together they are the level of a page.
DECIDING, OTHERS = 0.6 * LEVEL, 0.2 * LEVEL
# The first looks spend this in equal parts. Of the rest each further look spends a half.
_OF_FIRST_LOOKS = 0.9
# Values in a table of draws × arms × arms.
_TABLE = 2_000_000


@dataclass(frozen=True)
class Look(Judge):
    """The judge of one look at one question.

    Attributes:
        arms: with which the race began. Arms that have stopped count, because their pairs might have been claimed.
        place: of the look, from 0.
        share: the chance of any claim among equal arms in this question, over all looks.

    >>> first, last = Look(arms=2, place=0, share=0.05), Look(arms=2, place=7, share=0.05)
    >>> first.critical_value(3) > 10, 2.5 < last.critical_value(32) < 3
    (True, True)

    Source: Lan and DeMets 1983 (a part of the chance for each look); Jennison and Turnbull 1989 (repeated confidence
    intervals); Westfall and Young 1993 (the largest |t| over all pairs).
    """

    arms: int
    place: int
    share: float

    def level_of(self, pairs: int) -> float:  # a judge's; a look has one level for all pairs
        """Return the level of this look."""
        return _boundary(self.arms, self.share, self.place).level

    def adjusted(self, p: float, pairs: int) -> float:  # a judge's; p has them in it
        """Return the p value, adjusted for all pairs and looks of the race, and for the other questions.

        It is 0.05 times the chance to reach this p at this look, over the chance that the look may spend.
        """
        return math.nan if math.isnan(p) else min(1.0, _boundary(self.arms, self.share, self.place).adjusted(p))


@dataclass(frozen=True)
class _Boundary:
    """Where a look claims.

    Attributes:
        level: what p must stay below, or 0.
        allowed: number of draws that may cross it.
        smallest: the smallest p of all pairs in each draw that has not crossed before, rising.
        bonferroni: pairs of arms over the chance that the look may spend. Used without draws.
    """

    level: float
    allowed: int
    smallest: Floats
    bonferroni: float

    def adjusted(self, p: float) -> float:
        if not self.level > 0:
            return 1.0
        if not len(self.smallest):
            return LEVEL * p * self.bonferroni
        crossed = np.searchsorted(self.smallest, p, side="right")
        # One half between two draws, so that 0.05 itself is never met.
        return float(LEVEL * (crossed + 0.5) / (self.allowed + 1))


def shares_spent() -> Iterator[float]:
    """Give the part that has been spent with each look, without end.

    >>> [f"{part:.2f}" for part in itertools.islice(shares_spent(), 10)]
    ['0.11', '0.23', '0.34', '0.45', '0.56', '0.68', '0.79', '0.90', '0.95', '0.97']
    """
    for look in range(1, len(FIRST_LOOKS) + 1):
        yield _OF_FIRST_LOOKS * look / len(FIRST_LOOKS)
    left = 1 - _OF_FIRST_LOOKS
    while True:
        left /= 2
        yield 1 - left


@lru_cache(maxsize=256)
def _boundary(arms: int, share: float, place: int) -> _Boundary:
    """Return the boundary of a look.

    A look that could claim only with a critical value above 20 claims nothing, and leaves its part to the next one.
    """
    sizes = list(itertools.islice(look_sizes(), place + 1))
    due = [share * part for part in itertools.islice(shares_spent(), place + 1)]
    if arms > MOST_SIMULATED:
        return _by_bonferroni(arms, due, sizes)
    draws = smallest_p(arms, place)
    going = np.ones(draws.shape[1], dtype=bool)
    for number, (smallest, spent, size) in enumerate(zip(draws, due, sizes, strict=True)):
        left = np.sort(smallest[going])
        allowed = math.floor(spent * (1 + len(going))) - 1 - int(np.count_nonzero(~going))
        level = float(left[allowed]) if 0 < allowed < len(left) else 0.0
        level = level if level > 0 and critical_value(level, size) <= LARGEST_CRITICAL_VALUE else 0.0
        if number == place:
            return _Boundary(level, allowed, left, math.nan)
        going &= ~(smallest < level)
    raise AssertionError(place)


def _by_bonferroni(arms: int, due: Sequence[float], sizes: Sequence[int]) -> _Boundary:
    """Return the boundary of the last look, by Bonferroni's bound over pairs and looks."""
    pairs, spent, part, level = arms * (arms - 1) / 2, 0.0, 0.0, 0.0
    for whole, size in zip(due, sizes, strict=True):
        part = whole - spent
        level = part / pairs if critical_value(part / pairs, size) <= LARGEST_CRITICAL_VALUE else 0.0
        spent += part if level else 0.0
    return _Boundary(level, 0, np.empty(0), pairs / part)


@lru_cache(maxsize=16)
def smallest_p(arms: int, place: int) -> Floats:
    """Return the smallest p over all pairs of equal arms, at each look and in each draw ``[looks, draws]``.

    The looks are those up to ``place``. A draw goes on from look to look, and does not depend on how many there are.
    """
    if place < len(FIRST_LOOKS) - 1:
        return smallest_p(arms, len(FIRST_LOOKS) - 1)[: place + 1]
    sizes = list(itertools.islice(look_sizes(), place + 1))
    draws = number_of_draws(arms)
    chunk = max(1, _TABLE // arms**2)
    parts = [_chunk(arms, sizes, min(chunk, draws - first), first) for first in range(0, draws, chunk)]
    smallest = np.concatenate(parts, axis=1)
    # The cache hands the same array to all.
    smallest.setflags(write=False)
    return smallest


def _chunk(arms: int, sizes: list[int], draws: int, first: int) -> Floats:
    """Return the smallest p of some draws ``[looks, draws]``."""
    sums, products = np.zeros((draws, arms)), np.zeros((draws, arms, arms))
    one, other = np.triu_indices(arms, 1)
    rows, before = [], 0
    for look, size in enumerate(sizes):
        x = np.random.default_rng([first, look]).standard_normal((draws, arms, size - before))
        sums, products, before = sums + x.sum(axis=2), products + x @ x.transpose(0, 2, 1), size
        squares = np.diagonal(products, axis1=1, axis2=2)
        mean = (sums[:, one] - sums[:, other]) / size
        total = squares[:, one] + squares[:, other] - 2 * products[:, one, other]
        # Rounding may make a variance of nothing negative.
        variance = np.maximum(total - size * mean**2, 1e-300) / (size - 1)
        largest = np.sqrt((mean**2 * size / variance).max(axis=1))
        rows.append(2 * special.stdtr(size - 1, -largest))
    return np.array(rows)
