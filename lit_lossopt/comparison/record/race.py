"""A race in the JSON of a comparison, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lit_lossopt.comparison.comparison import Contrast, Rules


@dataclass(frozen=True)
class DecidedPair:
    """A pair of arms that a race has decided.

    Attributes:
        arms: the two.
        seeds: with how many seeds it was decided.
    """

    arms: tuple[str, str]
    seeds: int


@dataclass(frozen=True)
class RaceLook:
    """A look of a race.

    Attributes:
        seeds: with how many.
        contrasts: of the pairs that were open then.
    """

    seeds: int
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class RecordedRace:
    """How far a race has gone.

    Attributes:
        rules: what was fixed before.
        seeds_of: arm → number of its seeds that were looked at.
        looks: in their order.
        decided: the pairs that are decided.
        racing: the arms of which a pair is open.
        unbeaten: the arms that are worse than no other, and have not left.
        left: arms that lack a run which a look needed.
        next_look: the number of seeds of the next look. None where there is none.
        trainings: how many runs were looked at.
    """

    rules: Rules
    seeds_of: Mapping[str, int]
    looks: tuple[RaceLook, ...]
    decided: tuple[DecidedPair, ...]
    racing: tuple[str, ...]
    unbeaten: tuple[str, ...]
    left: tuple[str, ...]
    next_look: int | None
    trainings: int
