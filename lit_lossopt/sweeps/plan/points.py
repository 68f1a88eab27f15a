"""Where an arm is tried.

It is a log grid of learning rates, or quasi-random points over several hyperparameters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

LEARNING_RATE = "model.optimizer.lr"
# Enough to place a point, few enough to type it.
DIGITS = 4

Point = Mapping[str, float]


@dataclass(frozen=True)
class LogGrid:
    """Learning rates in equal ratios, both ends included.

    Attributes:
        low: the lowest.
        high: the highest.
        count: how many, at least 2.
    """

    low: float
    high: float
    count: int

    @property
    def keys(self) -> tuple[str, ...]:
        """What is searched."""
        return (LEARNING_RATE,)

    def points(self, below: int = 0, above: int = 0) -> tuple[Point, ...]:
        """Return the points, rising.

        There are so many more below and above, in the same ratio.
        """
        ratio = (self.high / self.low) ** (1 / (self.count - 1))
        return tuple({LEARNING_RATE: rounded(self.low * ratio**i)} for i in range(-below, self.count + above))


@dataclass(frozen=True)
class Range:
    """The values that one hyperparameter may have.

    They are from ``low`` to ``high``, evenly on an axis.

    Attributes:
        low: the least.
        high: the greatest.
        scale: ``log``; ``linear``; ``whole``: log, and rounded to whole numbers.
    """

    low: float
    high: float
    scale: str = "log"

    def at(self, share: float) -> float:
        """Return the value at a share of the way, from 0 to 1."""
        if self.scale == "linear":
            return rounded(self.low + share * (self.high - self.low))
        value = self.low * math.exp(share * math.log(self.high / self.low))
        return round(value) if self.scale == "whole" else rounded(value)


@dataclass(frozen=True)
class QuasiRandom:
    """Points that fill a box evenly.

    They do so more evenly than random points, and without the repeated coordinates of a grid.

    The Halton sequence, shifted as a whole by a vector that the seed draws (modulo one), so that it is the same with
    every version of scipy. Source: Halton 1960; Cranley and Patterson 1976; for tuning: Bousquet et al. 2017.

    Attributes:
        space: hyperparameter → range.
        count: how many points.
        seed: of the shift.
    """

    space: Mapping[str, Range]
    count: int
    seed: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """What is searched."""
        return tuple(self.space)

    def points(self, below: int = 0, above: int = 0) -> tuple[Point, ...]:
        """Return the points.

        There is no edge to go beyond.
        """
        from scipy.stats import qmc

        shares = qmc.Halton(len(self.space), scramble=False).random(self.count)
        draw = random.Random(self.seed)
        shift = [draw.random() for _ in self.space]
        return tuple(
            {key: axis.at((float(x) + s) % 1) for (key, axis), x, s in zip(self.space.items(), row, shift, strict=True)}
            for row in shares
        )


Search = LogGrid | QuasiRandom


def rounded(value: float) -> float:
    """Return a value with the digits that are typed."""
    return float(f"{value:.{DIGITS}g}")
