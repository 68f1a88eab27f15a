"""What a comparison found, as plain records.

Terminal, page, tables and figures show them alike. Runs and arms in numbers are in ``measured``. What their tuning
tells is in ``tuned``. NaN means that a value is not known. Accuracies are shares (0 to 1), and only the texts speak of
points.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from lit_lossopt.comparison.contrast import SAME, Contrast, Decision
from lit_lossopt.comparison.measured import Arm, ArmRuns, Estimate, Floats, Oscillation, Trial
from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import Rules
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
    "Race",
    "RateShift",
    "Rules",
    "Sensitivity",
    "SharedRate",
    "SpecialCase",
    "Trial",
]


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
        level: what the p of one pair had to stay below. NaN where it depends on the pair.
        sequential: whether claims hold however often one looks.
        race: that the runs are, if they are one. Its question is decided by its looks, and the other questions hold at
            the same looks.
        special_cases: arms that end worse than special cases of their own. One for each such arm.
        rate_shifts: between each two losses that were trained alike, at several rates.
        shared_rates: losses that were trained alike, at one rate.
        contrasts: every contrast that was tested, of all questions and pairs, whether it is shown or not.
        tuning: trials of a sweep that only found the arms' settings.
        all_pairs: whether a person asked to see the contrasts of all pairs.
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
    sequential: bool = False
    race: Race | None = None
    special_cases: tuple[SpecialCase, ...] = ()
    rate_shifts: tuple[RateShift, ...] = ()
    shared_rates: tuple[SharedRate, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    tuning: tuple[ArmRuns, ...] = ()
    all_pairs: bool = False
