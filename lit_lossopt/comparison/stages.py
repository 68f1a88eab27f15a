"""The records between the steps of a comparison.

Each step of ``pipeline`` takes one of them and returns the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lit_lossopt.comparison.comparison import Arm, ArmRuns, BudgetCurve, Contrast, LeftOut, Sensitivity
from lit_lossopt.comparison.measures.axes import Axes
from lit_lossopt.comparison.race import Race
from lit_lossopt.tracking.reading.runs import Experiment, Run


@dataclass(frozen=True)
class Found:
    """The runs that were asked for, without histories, and their experiments."""

    runs: tuple[Run, ...]
    experiments: tuple[Experiment, ...]

    @property
    def title(self) -> str:
        """The names of the experiments."""
        return ", ".join(experiment.name for experiment in self.experiments)


@dataclass(frozen=True)
class Read:
    """Runs that may count, with their histories.

    Their verdicts are those of their curves.

    Attributes:
        title: experiment or sweep.
        metric: the compared one.
        higher_is_better: of the metric.
        runs: those that may count.
        left_out: runs that cannot be compared by what is known without histories.
        notes: what a reader must know of the runs, one sentence each.
        repeated: id of a run → older runs that it repeats. They are among those left out.
    """

    title: str
    metric: str
    higher_is_better: bool
    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    repeated: Mapping[str, tuple[Run, ...]]


@dataclass(frozen=True)
class Terms:
    """What is compared, and how.

    Attributes:
        title: experiment or sweep.
        metric: the compared one.
        higher_is_better: of the metric.
        target: value that counts as reached. None: it is chosen from the runs.
        by: the settings that make an arm.
        margin: differences of the final value within it are equivalent.
        all_pairs: whether contrasts of all pairs of arms are shown.
        runs_address: see ``Comparison``.
        sequential: whether claims are to hold however often one looks.
    """

    title: str
    metric: str
    higher_is_better: bool
    target: float | None
    by: tuple[str, ...]
    margin: float
    all_pairs: bool
    runs_address: str
    sequential: bool = False


@dataclass(frozen=True)
class Grouped:
    """Runs in arms.

    Attributes:
        terms: what is compared, and how.
        arms: with runs whose histories are read.
        tuning: trials of a sweep that only found the arms' settings.
        left_out: runs that are not compared.
        notes: what a reader must know, one sentence each.
        race: that these runs are, if they are one.
    """

    terms: Terms
    arms: tuple[ArmRuns, ...]
    tuning: tuple[ArmRuns, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    race: Race | None = None


@dataclass(frozen=True)
class Measured:
    """Every run and every arm in numbers.

    Attributes:
        terms: what is compared, and how.
        arms: best first, by the mean final value.
        axes: what all curves are measured along.
        target: value that counts as reached.
        target_origin: how it was chosen, in words.
        sensitivity: one a family with several learning rates.
        budgets: one a family with tuning trials.
        tried: all arms as they were read, the compared ones first, then tuning trials.
        on_test_images: whether the metric is of the test images in any run.
        ripple_is_ratio: whether ripples are ratios of one arm's to the only other one's.
        left_out: runs that are not compared.
        notes: what a reader must know, one sentence each.
        race: that these runs are, if they are one.
    """

    terms: Terms
    arms: tuple[Arm, ...]
    axes: Axes
    target: float
    target_origin: str
    sensitivity: tuple[Sensitivity, ...]
    budgets: tuple[BudgetCurve, ...]
    tried: tuple[ArmRuns, ...]
    on_test_images: bool
    ripple_is_ratio: bool
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    race: Race | None = None


@dataclass(frozen=True)
class Tested:
    """The contrasts of all pairs of arms, all judged together.

    Attributes:
        measured: the arms.
        finals: contrasts of the final value.
        speeds: contrasts of the steps to the target. Empty without a shared axis.
        oscillations: contrasts of climb-back or of roughness.
        comparisons: pairs that were tested, over all questions.
        level: what the p of each pair had to stay below. NaN where it depends on the pair.
    """

    measured: Measured
    finals: tuple[Contrast, ...]
    speeds: tuple[Contrast, ...]
    oscillations: tuple[Contrast, ...]
    comparisons: int
    level: float
