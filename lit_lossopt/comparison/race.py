"""How far a race has gone, as a plain record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from lit_lossopt.comparison.contrast import Contrast, Decision
from lit_lossopt.comparison.race_rules import USUAL_SEEDS, Rules


def _closes(found: Contrast, size: int) -> bool:
    """Return whether a contrast decides a pair at a look.

    A few seeds may be even by chance, where values are coarse. So arms that are the same at every seed are open until
    the usual number of seeds.
    """
    same = found.decision is Decision.SAME and size >= USUAL_SEEDS
    return same or found.decision in (Decision.CLAIMED, Decision.EQUIVALENT)


def pair_of(found: Contrast) -> frozenset[str]:
    """Return the two arms of a contrast."""
    return frozenset((found.first, found.second))


@dataclass(frozen=True)
class Race:
    """How far a race has gone.

    Attributes:
        rules: what was fixed before.
        seeds_of: arm → number of its seeds that were looked at.
        looks: number of seeds → the contrasts of the pairs that were open at that look.
        left: arms that lack a run which a look needed.
    """

    rules: Rules
    seeds_of: Mapping[str, int]
    looks: Mapping[int, tuple[Contrast, ...]] = field(default_factory=dict)
    left: frozenset[str] = frozenset()

    @property
    def racing(self) -> tuple[str, ...]:
        """The arms of which a pair is open.

        They are worse than no other arm, by what was claimed.
        """
        decided, arms = self.decided, self.unbeaten
        pairs = [pair for pair in combinations(arms, 2) if frozenset(pair) not in decided]
        return tuple(arm for arm in arms if any(arm in pair for pair in pairs))

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """The arms that are worse than no other arm, and have not left."""
        out = self.left | {one.second for one in self.contrasts if one.claimed}
        return tuple(sorted(arm for arm in self.seeds_of if arm not in out))

    @property
    def next_look(self) -> int | None:
        """The number of seeds of the next look, or None where there is none."""
        if not self.racing:
            return None
        gone = max(self.looks, default=0)
        return next((size for size in self.rules.looks if size > gone), None)

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The contrasts of all pairs, each at its last look.

        That is the look at which it was decided, or else the last one that both arms took part in.
        """
        return tuple(one for _, one in self._last().values())

    @property
    def decided(self) -> Mapping[frozenset[str], int]:
        """Pair of arms → the number of seeds at which it was decided."""
        return {pair: size for pair, (size, one) in self._last().items() if _closes(one, size)}

    @property
    def open(self) -> tuple[Contrast, ...]:
        """The contrasts of the pairs that are not decided."""
        return tuple(one for size, one in self._last().values() if not _closes(one, size))

    @property
    def trainings(self) -> int:
        """How many runs were looked at."""
        return sum(self.seeds_of.values())

    def _last(self) -> dict[frozenset[str], tuple[int, Contrast]]:
        return {pair_of(one): (size, one) for size in sorted(self.looks) for one in self.looks[size]}
