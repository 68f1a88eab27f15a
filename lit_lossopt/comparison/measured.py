"""Runs and arms in numbers, as plain records.

Steps, seconds and examples to target are infinite if the target was never reached. NaN means that a value is not known,
or not defined for this run. Accuracies are shares (0 to 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.tracking.reading.runs import History, Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm, as they were read.

    Attributes:
        name: as short as it can be while it differs from the other arms' names.
        family: the name without the learning rate.
        settings: what sets this arm apart (``optimizer`` → ``Adam``).
        learning_rate: NaN if it is unknown or differs within the arm.
        runs: with their histories, in any order.
        shared: all settings that its runs share, whether they set it apart or not. Seeds and bookkeeping are none.
    """

    name: str
    family: str
    settings: Mapping[str, str]
    learning_rate: float
    runs: tuple[Run, ...]
    shared: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Attributes:
        value: a mean, a median or a difference.
        low: lower end of the interval. NaN if none can be given.
        high: upper end of the interval, likewise.
        n: number of runs, or of pairs of runs.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 0


@dataclass(frozen=True)
class Oscillation:
    """How the metric varies over the second half of training.

    All values but the last are in the metric's own unit.

    Attributes:
        deviation: standard deviation of the evaluations.
        mean_change: mean size of the change from one evaluation to the next.
        best_minus_final: how far the final value of the whole run lies from its best.
        drops: number of changes for the worse that are notable. NaN if no change is.
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
        seed: what pairs it with runs of other arms. Empty if the run names none.
        learning_rate: NaN if the run names none.
        verdict: completed, diverged or collapsed.
        curve: the compared metric at each evaluation.
        seconds: training seconds at each evaluation of the curve.
        examples: examples seen at each evaluation of the curve.
        losses: the training loss of each step.
        axis: where each evaluation of the curve lies on the comparison's axis (``Comparison.axis``). Empty without a
            shared axis.
        losses_axis: the same for each point of ``losses``.
        end: how far on that axis the run would have gone. Runs that never reached a target were given so much.
        probe: the loss of a fixed set of training images, at pairs of consecutive steps. Empty without a probe.
        climb_back: how much of each unit of descent the probe loss climbed back. NaN if it is not known.
        scores: final values of other yardsticks (``val/nll`` → value), as far as the loss implies them.
        ripple: of the step losses, beyond what the batches explain. It describes, and nothing is claimed of it. NaN
            without a completed run of another arm with the same seed. With two arms it is a ratio of this arm's to the
            other's (``Comparison.ripple_is_ratio``).
        roughness: how far evaluations of the metric lie from the line between their neighbours, in the second half of
            training. NaN with too few.
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
        family: the name without the learning rate. Arms of one family are points of one sensitivity curve.
        settings: what sets this arm apart (``optimizer`` → ``Adam``).
        learning_rate: NaN if it is unknown or differs within the arm.
        trials: in the order of their seeds.
        verdicts: how many runs ended how.
        final: mean over the runs, with a t interval. So are ``best``, ``area``, ``ripple``, ``roughness``,
            ``climb_back`` and ``scores``.
        steps_to_target: median over the runs, infinite if half of them never reached it. So are ``seconds_…`` and
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
