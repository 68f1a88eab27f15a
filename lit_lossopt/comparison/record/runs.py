"""Runs in the JSON of a comparison, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lit_lossopt.comparison.comparison import Oscillation


@dataclass(frozen=True)
class Digest:
    """A history of a metric, as short as it can be.

    Attributes:
        points: how many steps have a value.
        last: the value at the last step.
        sha256: of all steps as 64-bit integers, then of all values as 64-bit floating point numbers, both with the
            lowest byte first.
    """

    points: int
    last: float
    sha256: str


@dataclass(frozen=True)
class RecordedRun:
    """A run that was read.

    Attributes:
        run_id: of MLflow.
        name: of MLflow.
        experiment_id: of MLflow.
        start: milliseconds since 1970.
        arm: the name of its arm.
        seed: what pairs it with runs of other arms. Empty if the run names none.
        verdict: completed, diverged or collapsed.
        params: the run's parameters, as MLflow has them.
        tags: those that say how the run was made and how it ended.
        histories: metric → digest, of the histories that a comparison reads. Values that were logged in per cent count
            as shares.
    """

    run_id: str
    name: str
    experiment_id: str
    start: int
    arm: str
    seed: str
    verdict: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    histories: Mapping[str, Digest]


@dataclass(frozen=True)
class Evaluations:
    """The compared metric at each evaluation, all ``[n]``.

    Attributes:
        steps: as they were logged.
        places: on the axis that all runs share. Empty without one.
        values: of the metric.
        seconds: training seconds so far.
        examples: training images seen so far.
    """

    steps: tuple[int, ...]
    places: tuple[float, ...]
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    examples: tuple[float, ...]


@dataclass(frozen=True)
class ComparedRun(RecordedRun):
    """A run that is compared.

    Attributes:
        learning_rate: not known if the run names none.
        final: the final value of the metric.
        best: the best value.
        best_step: at which step it was.
        area: under the curve of the metric, as a mean of the metric.
        steps_to_target: along the axis. Infinite if the target was never reached.
        seconds_to_target: training seconds, likewise.
        examples_to_target: training images, likewise.
        end: how far on the axis the run would have gone.
        ripple: of the step losses.
        roughness: of the evaluations.
        climb_back: of the probe loss.
        oscillation: of the evaluations.
        scores: final values of other yardsticks.
        evaluations: of the metric.
    """

    learning_rate: float
    final: float
    best: float
    best_step: int
    area: float
    steps_to_target: float
    seconds_to_target: float
    examples_to_target: float
    end: float
    ripple: float
    roughness: float
    climb_back: float
    oscillation: Oscillation | None
    scores: Mapping[str, float]
    evaluations: Evaluations
