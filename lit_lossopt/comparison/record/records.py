"""What stands in the JSON of a comparison, as plain records.

Every field and every property becomes a key of the same name. NaN becomes null, which means that a value is not known.
Infinite numbers become the texts ``infinity`` and ``-infinity``. Accuracies are shares (0 to 1).

Those of runs are in ``runs``, and those of a race in ``race``. Whoever changes a record changes the schema too, and
raises ``VERSION`` unless readers of the old one can read the new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lit_lossopt.comparison.comparison import (
    BudgetCurve,
    Contrast,
    Estimate,
    LeftOut,
    Oscillation,
    RateShift,
    Sensitivity,
    SharedRate,
    SpecialCase,
)
from lit_lossopt.comparison.expectations import Expectation
from lit_lossopt.comparison.record.race import RecordedRace
from lit_lossopt.comparison.record.runs import ComparedRun, RecordedRun

FORMAT = "lit_lossopt comparison"
VERSION = 1


@dataclass(frozen=True)
class MadeWith:
    """The programs that computed the numbers.

    With the same ones, and on the same kind of processor, the same runs give the same numbers to the last bit.

    Attributes:
        processor: its name, as the system gives it.
        source_sha256: of the files of this program.
        packages: package → version, of those that can change a number or the page. Python is among them.
    """

    processor: str
    source_sha256: str
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        words: the flags of ``lossopt compare``, without those that say where something is written. The experiment is
            among them, also where it was the newest one.
        runs: the ids of all runs that were read, in the order in which they began.
        runs_address: the page of a run in MLflow, with ``{experiment_id}`` and ``{run_id}`` to fill in. May be empty.
    """

    words: tuple[str, ...]
    runs: tuple[str, ...]
    runs_address: str


@dataclass(frozen=True)
class Question:
    """What was compared, and how.

    Attributes:
        metric: the compared one, as ``val/accuracy``.
        higher_is_better: of the metric.
        target: the value that counts as reached.
        target_origin: how it was chosen, in words.
        margin: differences of the final value within it are equivalent.
        by: the settings that make an arm.
        axis: what all curves and ``steps_to_target`` are measured along, as ``step``, ``epoch`` or ``example``.
        no_speed: why no speed is compared, a sentence. Empty if it is compared.
        on_test_images: whether in any run the metric is of the test images, although it is called one of validation.
        ripple_is_ratio: whether ripples are ratios of one arm's to the only other one's.
        comparisons: pairs that were tested, over all quantities. P values are adjusted for them together.
        level: what the p of one pair had to stay below. Not known where it depends on the pair.
        sequential: whether claims hold however often one looks.
    """

    metric: str
    higher_is_better: bool
    target: float
    target_origin: str
    margin: float
    by: tuple[str, ...]
    axis: str
    no_speed: str
    on_test_images: bool
    ripple_is_ratio: bool
    comparisons: int
    level: float
    sequential: bool


@dataclass(frozen=True)
class RecordedArm:
    """An arm: all runs that differ by their seed alone.

    Attributes:
        name: as short as it can be while it differs from the other arms' names.
        family: the name without the learning rate.
        settings: what sets this arm apart (``optimizer`` → ``Adam``).
        learning_rate: not known where it differs within the arm.
        runs: the ids of its runs, in the order of their seeds.
        verdicts: how many runs ended how.
        reached: how many runs reached the target.
        final: mean over the runs, with a t interval. So are ``best``, ``area``, ``ripple``, ``roughness``,
            ``climb_back`` and ``scores``.
        best: of the best evaluation of each run.
        area: under the curve of the metric, as a mean of the metric.
        steps_to_target: median over the runs, infinite if half of them never reached it. So are ``seconds_to_target``
            and ``examples_to_target``.
        seconds_to_target: training seconds.
        examples_to_target: training images seen.
        ripple: of the step losses, beyond what the batches explain.
        roughness: how far evaluations lie from the line between their neighbours, late in training.
        climb_back: how much of each unit of descent the probe loss climbed back.
        oscillation: means over the runs.
        scores: final values of other yardsticks (``val/nll``).
    """

    name: str
    family: str
    settings: Mapping[str, str]
    learning_rate: float
    runs: tuple[str, ...]
    verdicts: Mapping[str, int]
    reached: int
    final: Estimate
    best: Estimate
    area: Estimate
    steps_to_target: Estimate
    seconds_to_target: Estimate
    examples_to_target: Estimate
    ripple: Estimate
    roughness: Estimate
    climb_back: Estimate
    oscillation: Oscillation | None
    scores: Mapping[str, Estimate]


@dataclass(frozen=True)
class Record:
    """Everything that a comparison found.

    Attributes:
        format: tells this JSON from others.
        version: of the format.
        made_with: the programs that computed it.
        request: what was asked for.
        title: the experiment.
        answer: the verdict in words, a sentence each. The first is the shortest.
        captions: figure → what is to be concluded from it.
        expectations: what ``--expect`` asked, and what was found.
        question: what was compared, and how.
        arms: best first, by the mean final value of all their runs.
        runs: that are compared.
        contrasts: of every two arms, by every quantity. Of more than 5,000 only those that the page shows, unless all
            pairs were asked for.
        alike: the arm that is named best, then those whose final value cannot be told apart from its. Empty if each is
            beaten by another.
        alike_speed: the same by steps to the target.
        race: that the runs are, if they are one.
        special_cases: arms that end worse than special cases of their own.
        rate_shifts: how the best learning rate differs between losses.
        shared_rates: losses that were trained at one rate.
        sensitivity: how the final value depends on the learning rate, one a family.
        budgets: the expected best final value of so many tuning trials, one a family.
        tuning: trials that only found the arms' settings.
        left_out: runs that are not compared, and why.
        notes: what a reader must know, a sentence each.
    """

    format: Literal["lit_lossopt comparison"]
    version: Literal[1]
    made_with: MadeWith
    request: Request
    title: str
    answer: tuple[str, ...]
    captions: Mapping[str, str]
    expectations: tuple[Expectation, ...]
    question: Question
    arms: tuple[RecordedArm, ...]
    runs: tuple[ComparedRun, ...]
    contrasts: tuple[Contrast, ...]
    alike: tuple[str, ...]
    alike_speed: tuple[str, ...]
    race: RecordedRace | None
    special_cases: tuple[SpecialCase, ...]
    rate_shifts: tuple[RateShift, ...]
    shared_rates: tuple[SharedRate, ...]
    sensitivity: tuple[Sensitivity, ...]
    budgets: tuple[BudgetCurve, ...]
    tuning: tuple[RecordedRun, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
