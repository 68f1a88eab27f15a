"""What was found of two arms, as a plain record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lit_lossopt.comparison.measured import Estimate

# The remark of a contrast in which nothing differs.
SAME = "no difference"


class Decision(StrEnum):
    """What may be said of two arms.

    Every sentence, caption and cell follows from it.
    """

    CLAIMED = "claimed"
    EQUIVALENT = "equivalent"
    OPEN = "cannot be told apart"
    SAME = "the same at every seed"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Contrast:
    """One arm against another, over the seeds that they share.

    Attributes:
        first: the arm that does better by this quantity over the shared seeds.
        second: the other.
        quantity: ``final``, ``steps_to_target``, ``climb_back`` or ``roughness`` (of evaluations).
        difference: first − second for ``final`` and ``roughness``. For ``steps_to_target`` and ``climb_back`` it is the
            geometric mean of second over first, a factor of at least 1 (how much faster, or steadier, the first is).
            Its interval holds together with those of all other contrasts of the page (95 % for all at once), and leaves
            out "no difference" exactly where the difference is claimed. NaN, NaN if no interval can be given.
        p: of the test that decides, by itself.
        p_adjusted: for everything that the page may claim (``Comparison.comparisons``).
        test: ``paired t`` or ``sign-flip``. Empty if no test was made.
        wins: P(first better than second) over the pairs, ties half.
        claimed: whether the difference may be claimed.
        equivalent: whether the interval lies within the stated margin.
        seeds_needed: seeds for 80 % power at the observed effect, if more than there are. None if it cannot be told.
        remark: why no test was made, if none was.
        leads: by how much the first is better, seed by seed. Factors are given as logarithms.
        missed: number of shared seeds at which the first, and the second, did not reach the target before the shorter
            of the two runs ended. They count as if they had there, so ``difference`` is too small.
    """

    first: str
    second: str
    quantity: str
    difference: Estimate
    p: float
    p_adjusted: float
    test: str
    wins: float
    claimed: bool
    equivalent: bool
    seeds_needed: int | None
    remark: str = ""
    leads: tuple[float, ...] = ()
    missed: tuple[int, int] = (0, 0)

    @property
    def decision(self) -> Decision:
        """What may be said of the two arms."""
        if self.claimed:
            return Decision.CLAIMED
        if self.equivalent:
            return Decision.EQUIVALENT
        if self.test:
            return Decision.OPEN
        return Decision.SAME if self.difference.n and self.remark == SAME else Decision.UNTESTED

    @property
    def at_least(self) -> bool:
        """Whether the factor is a lower bound.

        It is if some run of the second never got there, and every run of the first did.
        """
        return self.missed[1] > 0 and self.missed[0] == 0
