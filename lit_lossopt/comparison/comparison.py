"""What a comparison found, as plain records.

Terminal, page, tables and figures show them alike. Runs and arms in numbers are in ``measured``. What their tuning
tells is in ``tuned``. NaN means that a value is not known. Accuracies are shares (0 to 1), and only the texts speak of
points.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import nan

from lit_lossopt.comparison.measured import Arm, ArmRuns, Estimate, Floats, Oscillation, Trial
from lit_lossopt.comparison.tuned import Edge, Held, RateShift, SharedRate, SpecialCase

__all__ = [
    "SAME",
    "Arm",
    "ArmRuns",
    "BudgetCurve",
    "Comparison",
    "Contrast",
    "Decision",
    "Edge",
    "Estimate",
    "Floats",
    "Held",
    "LeftOut",
    "Oscillation",
    "RateShift",
    "Sensitivity",
    "SharedRate",
    "SpecialCase",
    "Trial",
]

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


@dataclass(frozen=True)
class Sensitivity:
    """How an arm's final value depends on its learning rate.

    Attributes:
        family: the arms' common name.
        rates: tried learning rates, rising ``[n]``.
        finals: mean final value at each ``[n]``.
        points: (rate, final, verdict) of each run.
        window: the interval of rates around the best in which the final value stays at 95 % of the best.
        decades: its width.
        open_low: whether the window touches the lowest tried rate, so that it is at least as wide.
        open_high: whether it touches the highest tried rate, likewise.
        diverging: the smallest diverging rate above the best. NaN if none was tried.
        decades_to_divergence: from the best rate to it.
    """

    family: str
    rates: Floats
    finals: Floats
    points: tuple[tuple[float, float, str], ...]
    best_rate: float
    window: tuple[float, float]
    decades: float
    open_low: bool
    open_high: bool
    diverging: float
    decades_to_divergence: float


@dataclass(frozen=True)
class BudgetCurve:
    """The expected best final value of k tuning trials.

    It is ``expected[k - 1]``, of the arms of one family.
    """

    family: str
    expected: Floats


@dataclass(frozen=True)
class LeftOut:
    """A run that is not compared, and why."""

    run_id: str
    name: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Everything that is shown.

    Attributes:
        title: experiment or sweep.
        metric: the compared metric, as ``val/accuracy``.
        higher_is_better: of the metric.
        target: value that counts as reached.
        target_origin: how it was chosen, in words.
        by: the settings that make an arm.
        arms: best first, by the mean final value of all their runs.
        finals: contrasts of the final value.
        speeds: contrasts of the steps to target.
        alike: the arm that is named best, then those whose final value cannot be told apart from its. The named arm is
            the first that no claimed contrast beats. Empty if each is beaten by another.
        alike_speed: the same for steps to target.
        sensitivity: one a family with several learning rates.
        budgets: one a family with tuning trials.
        left_out: runs that were not compared.
        notes: what a reader must know (duplicates, unpaired seeds, several losses, …), one sentence each.
        margin: what counts as equivalent.
        runs_address: the page of a run in MLflow, with ``{experiment_id}`` and ``{run_id}`` to fill in. May be empty.
        oscillations: contrasts of all comparable pairs of arms by climb-back or, if no two arms have one, by the
            roughness of evaluations. First is the steadier.
        axis: what all curves are measured along, as ``step``, ``epoch`` or ``example``.
        no_speed: why no speed is compared, a sentence. Empty if it is compared.
        on_test_images: whether in any run the metric, although called one of validation, is of the test images.
        ripple_is_ratio: whether ripples are ratios of one arm's to the only other one's.
        comparisons: pairs that were tested, over all questions. P values are adjusted for them together.
        level: what the p of one pair had to stay below.
        special_cases: arms that end worse than special cases of their own. One for each such arm.
        rate_shifts: between each two losses that were trained alike, at several rates.
        shared_rates: losses that were trained alike, at one rate.
    """

    title: str
    metric: str
    higher_is_better: bool
    target: float
    target_origin: str
    by: tuple[str, ...]
    arms: tuple[Arm, ...]
    finals: tuple[Contrast, ...]
    speeds: tuple[Contrast, ...]
    alike: tuple[str, ...]
    alike_speed: tuple[str, ...]
    sensitivity: tuple[Sensitivity, ...]
    budgets: tuple[BudgetCurve, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    margin: float
    runs_address: str = ""
    oscillations: tuple[Contrast, ...] = ()
    axis: str = "step"
    no_speed: str = ""
    on_test_images: bool = False
    ripple_is_ratio: bool = False
    comparisons: int = 0
    level: float = nan
    special_cases: tuple[SpecialCase, ...] = ()
    rate_shifts: tuple[RateShift, ...] = ()
    shared_rates: tuple[SharedRate, ...] = ()
