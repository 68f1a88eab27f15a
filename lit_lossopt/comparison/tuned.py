"""What the tuning of arms tells, as plain records.

It may have been too small, and it shows which learning rates suit which loss.
"""

from __future__ import annotations

from dataclasses import dataclass

from lit_lossopt.comparison.measured import Estimate


@dataclass(frozen=True)
class Held:
    """A setting of which an arm's search did not try what was needed.

    Attributes:
        name: of the parameter.
        low: the lowest tried value.
        high: the highest tried value. It is ``low`` where nothing else was tried.
        wanted: the value of the special case. Empty where the case itself tells it.
    """

    name: str
    low: str
    high: str
    wanted: str = ""


@dataclass(frozen=True)
class SpecialCase:
    """An arm that is claimed to end worse than a special case of its own.

    Attributes:
        general: the arm that ends worse.
        special: the arm that ends better.
        case: which case of the first the second is, as ``momentum 0``.
        held: what the first arm's search lacked of this case. Empty where it contained the case.
        limit: whether the special case is only a limit of the general one.
    """

    general: str
    special: str
    case: str
    held: tuple[Held, ...]
    limit: bool = False

    @property
    def under_tuned(self) -> bool:
        """Whether the search contained the case, so that it was too small."""
        return not self.held


@dataclass(frozen=True)
class Edge:
    """A best learning rate at an end of those that were tried.

    Attributes:
        loss: in words.
        rate: the learning rate.
        highest: whether it is the highest that was tried, and not the lowest.
    """

    loss: str
    rate: float
    highest: bool


@dataclass(frozen=True)
class RateShift:
    """How the best learning rate of one loss differs from that of another.

    Attributes:
        first: the loss with the higher best rate, in words.
        second: the other.
        beside: what both were trained with, in words. May be empty.
        factor: best rate of the first over that of the second. It is the geometric mean over seeds, with a t interval.
        step: the largest factor between neighbouring rates that were tried.
        edges: best rates that are the lowest or the highest that was tried, in some seed.
        tuning: whether the rates were tried by tuning trials of a sweep.
    """

    first: str
    second: str
    beside: str
    factor: Estimate
    step: float
    edges: tuple[Edge, ...] = ()
    tuning: bool = False

    @property
    def told(self) -> bool:
        """Whether the interval leaves out a factor of 1."""
        return self.factor.low > 1 and not self.edges

    @property
    def is_seen(self) -> bool:
        """Whether the best rates are at least one step of the tried ones apart."""
        # Rates of a grid are rounded to four digits.
        return self.factor.value >= 0.99 * self.step


@dataclass(frozen=True)
class SharedRate:
    """Losses that were trained at one learning rate which was tuned for none of them.

    Attributes:
        losses: in words, in the order of the alphabet.
        beside: what all were trained with, in words. May be empty.
        rate: the learning rate.
    """

    losses: tuple[str, ...]
    beside: str
    rate: float
