"""What a comparison found.

These records are plain. Terminal, page, tables and figures all show the same ones.

Steps, seconds and examples to target are infinite where the target was never reached. NaN means: not known, or not
defined for this run. Accuracies are shares (0 to 1); only the texts speak of points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.tracking.reading.runs import History, Run

Floats = NDArray[np.float64]
# The remark of a contrast in which nothing differs.
SAME = "no difference"


@dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm as they were read.

    A comparison is computed from these.

    Attributes:
        name: as short as it can be while it differs from the other arms' names.
        family: the name without the learning rate.
        settings: what sets this arm apart (``optimizer`` → ``Adam``).
        learning_rate: NaN where it is unknown or differs within the arm.
        runs: with their histories; in any order.
    """

    name: str
    family: str
    settings: Mapping[str, str]
    learning_rate: float
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval and its number of observations.

    The interval is NaN, NaN where none can be given. Observations are runs, or pairs of runs.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 0


@dataclass(frozen=True)
class Oscillation:
    """How much the evaluations of one run swing.

    They are those of the second half of training, in the unit of the metric.
    """

    deviation: float
    mean_change: float
    best_minus_final: float
    drops: float


@dataclass(frozen=True)
class Trial:
    """One run, measured.

    Attributes:
        run: as it was read, with its histories.
        arm: the name of its arm.
        seed: what pairs it with runs of other arms; empty where the run names none.
        learning_rate: NaN where the run names none.
        verdict: completed, diverged or collapsed.
        curve: the compared metric at each evaluation.
        seconds: training seconds at each evaluation of the curve.
        examples: examples seen at each evaluation of the curve.
        losses: the training loss of each step.
        axis: where each evaluation of the curve lies on the comparison's axis (``Comparison.axis``); empty where no
            axis is shared.
        losses_axis: the same for each point of ``losses``.
        end: how far on that axis the run would have gone; runs that never reached a target were given so much.
        probe: the loss of a fixed set of training images, at pairs of consecutive steps; empty without a probe.
        climb_back: how much of each unit of descent the probe loss climbed back; NaN where it is not known.
        scores: final values of other yardsticks (``val/nll`` → value), as far as the loss implies them.
        ripple: of the step losses, beyond what the batches explain; it describes, and nothing is claimed of it. NaN
            without a completed run of another arm with the same seed. With two arms it is a ratio of this arm's to the
            other's (``Comparison.ripple_is_ratio``).
        roughness: how far evaluations of the metric lie from the line between their neighbours, in the second half of
            training; NaN with too few.
    """

    run: Run
    arm: str
    seed: str
    learning_rate: float
    verdict: str
    curve: History
    seconds: Floats
    examples: Floats
    losses: History
    steps_to_target: float
    seconds_to_target: float
    examples_to_target: float
    final: float
    best: float
    best_step: int
    area: float
    oscillation: Oscillation | None
    ripple: float
    roughness: float
    scores: Mapping[str, float] = field(default_factory=dict)
    axis: Floats = field(default_factory=lambda: np.empty(0))
    losses_axis: Floats = field(default_factory=lambda: np.empty(0))
    end: float = nan
    climb_back: float = nan
    probe: History = field(default_factory=lambda: History(np.empty(0, np.int64), np.empty(0)))


@dataclass(frozen=True)
class Arm:
    """All runs that differ by their seed alone.

    Attributes:
        name: as short as it can be while it differs from the other arms' names.
        family: the name without the learning rate: arms of one family are points of one sensitivity curve.
        settings: what sets this arm apart (``optimizer`` → ``Adam``).
        learning_rate: NaN where it is unknown or differs within the arm.
        trials: in the order of their seeds.
        verdicts: how many runs ended how.
        final: mean over the runs, with a t interval; so are ``best``, ``area``, ``ripple``, ``roughness``,
            ``climb_back`` and ``scores``.
        steps_to_target: median over the runs, infinite where half of them never reached it; so are ``seconds_…`` and
            ``examples_to_target``.
        reached: runs that reached the target.
        oscillation: means over the runs.
    """

    name: str
    family: str
    settings: Mapping[str, str]
    learning_rate: float
    trials: tuple[Trial, ...]
    verdicts: Mapping[str, int]
    final: Estimate
    best: Estimate
    area: Estimate
    steps_to_target: Estimate
    seconds_to_target: Estimate
    examples_to_target: Estimate
    reached: int
    ripple: Estimate
    roughness: Estimate
    oscillation: Oscillation | None
    scores: Mapping[str, Estimate]
    climb_back: Estimate = field(default_factory=lambda: Estimate(nan))


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
        difference: of ``final`` and ``roughness``: first − second; of ``steps_to_target`` and ``climb_back``: the
            geometric mean of second over first, a factor of at least 1 (how much faster, or steadier, the first is).
            Its interval holds together with those of all other contrasts of the page (95 % for all at once), and leaves
            out "no difference" exactly where the difference is claimed. NaN, NaN where no interval can be given.
        p: of the test that decides, by itself.
        p_adjusted: for everything that the page may claim (``Comparison.comparisons``).
        test: ``paired t`` or ``sign-flip``; empty where no test was made.
        wins: P(first better than second) over the pairs, ties half.
        claimed: whether the difference may be claimed.
        equivalent: whether the interval lies within the stated margin.
        seeds_needed: seeds for 80 % power at the observed effect, if more than there are; None where it cannot be told.
        remark: why no test was made, if none was.
        leads: by how much the first is better, seed by seed; of factors, their logarithms.
        missed: of ``steps_to_target``: shared seeds at which the first, and the second, did not reach the target before
            the shorter of the two runs ended; they count as if they had there, so ``difference`` is too small.
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

        It is one if every run of the first arm reached the target and some run of the second did not.
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
        open_low: whether the window touches the lowest tried rate (so that it is at least as wide); ``open_high``.
        diverging: the smallest diverging rate above the best; NaN where none was tried.
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

    The value for k trials is ``expected[k - 1]``.
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
        finals: contrasts of the final value; ``speeds`` of the steps to target.
        alike: the arm that is named best, then those whose final value cannot be told apart from its. It is the first
            of the arms that no claimed contrast beats; empty where each is beaten by another.
        alike_speed: the same for steps to target.
        sensitivity: one a family with several learning rates.
        budgets: one a family with tuning trials.
        left_out: runs that were not compared.
        notes: what a reader must know (duplicates, unpaired seeds, several losses, …), one sentence each.
        margin: what counts as equivalent.
        runs_address: the page of a run in MLflow, with ``{experiment_id}`` and ``{run_id}`` to fill in; may be empty.
        oscillations: contrasts of all comparable pairs of arms by climb-back or, where no two arms have one, by the
            roughness of evaluations; first is the steadier.
        axis: what all curves are measured along: ``step``, ``epoch`` or ``example``.
        no_speed: why no speed is compared, a sentence; empty where it is.
        on_test_images: whether in any run the metric, although called one of validation, is of the test images.
        ripple_is_ratio: whether ripples are ratios of one arm's to the only other one's.
        comparisons: pairs that were tested, over all questions; p values are adjusted for them together.
        level: what the p of one pair had to stay below.
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
