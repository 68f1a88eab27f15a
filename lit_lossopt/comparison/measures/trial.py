"""One run in numbers.

A run with its histories comes in. A ``Trial`` goes out, with its curve on each axis and what is read off it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns, Trial
from lit_lossopt.comparison.measures.climb_back import climb_back
from lit_lossopt.comparison.measures.convergence import area_under_curve, best_value, final_value, reach
from lit_lossopt.comparison.measures.oscillation import ONE_POINT, evaluation_oscillation, roughness
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.core import names
from lit_lossopt.core.names import Status, Verdict
from lit_lossopt.tracking.reading.runs import History, Run

Floats = NDArray[np.float64]

# What MLflow's status says of a run that other programs logged.
_BY_STATUS: dict[str, str] = {
    Status.FINISHED: Verdict.COMPLETED,
    Status.FAILED: Verdict.FAILED,
    Status.KILLED: Verdict.INTERRUPTED,
}
# What does not depend on the loss.
YARDSTICKS = ("accuracy", "nll", "brier", "ece")
YARDSTICK_METRICS = tuple(names.metric(split, quantity) for split in (names.VAL, names.TEST) for quantity in YARDSTICKS)


@dataclass(frozen=True)
class Yardstick:
    """The compared metric, and its value that counts as reached.

    Attributes:
        metric: as ``val/accuracy``.
        higher_is_better: of the metric.
        target: value that counts as reached.
    """

    metric: str
    higher_is_better: bool
    target: float


@dataclass(frozen=True)
class Place:
    """Where a run lies on the axis of its comparison.

    Attributes:
        axis: of each evaluation ``[n]``, in steps, epochs or examples. Empty without a shared axis.
        losses: of each step loss ``[m]``, likewise.
        end: how far the run would have gone. NaN without a shared axis.
    """

    axis: Floats
    losses: Floats
    end: float


def verdict_of(run: Run) -> str:
    """Return how a run ended.

    Without a tag of ours, MLflow's status tells. Of a run that has not ended it is that status, as ``running``.

    >>> verdict_of(Run("id", "name", "FINISHED", {}, {}, {}))
    'completed'
    """
    return run.tags.get(names.TAG_VERDICT) or str(_BY_STATUS.get(run.status, run.status.lower()))


def seed_of(run: Run) -> str:
    """Return what pairs a run with those of other arms, or an empty text.

    >>> seed_of(Run("id", "name", "FINISHED", {"seed": "3"}, {}, {}))
    '3'
    """
    return run.tags.get(names.TAG_SEED, run.params.get("seed", ""))


def finite(history: History | None, end: float = inf) -> History:
    """Return the points of a history that are numbers.

    >>> finite(History(np.arange(4), np.array([1.0, nan, 3.0, 4.0])), end=2).values
    array([1., 3.])

    Args:
        history: None counts as one without points.
        end: the last step that counts.
    """
    if history is None:
        return History(np.empty(0, np.int64), np.empty(0))
    good = np.isfinite(history.values) & (history.steps <= end)
    times = history.milliseconds[good] if len(history.milliseconds) == len(good) else history.milliseconds[:0]
    return replace(history, steps=history.steps[good], values=history.values[good], milliseconds=times)


def curve_of(run: Run, metric: str) -> History:
    """Return the finite evaluations of a metric.

    Those of a run that diverged end with the last finite loss. Accuracy itself is finite whatever the weights are.

    >>> evaluations = History(np.array([10, 20, 30]), np.array([0.5, nan, 0.7]))
    >>> run = Run("id", "name", "FINISHED", {}, {}, {}, histories={"val/accuracy": evaluations})
    >>> curve_of(run, "val/accuracy").values
    array([0.5, 0.7])
    """
    history = run.histories.get(names.metric(metric.partition("/")[0], "loss"))
    if verdict_of(run) != Verdict.DIVERGED or history is None:
        return finite(run.histories.get(metric))
    good = np.isfinite(history.values)
    last = history.steps[good].max(initial=-1)
    broken = history.steps[~good & (history.steps > last)]
    return finite(run.histories.get(metric), float(broken[0]) - 1 if len(broken) else inf)


def final_of(run: Run, metric: str) -> float:
    """Return the final value of a run, or NaN without evaluations.

    Of a run that diverged or collapsed, it is the last finite evaluation.

    >>> evaluations = History(np.array([10, 20]), np.array([0.5, 0.7]))
    >>> final_of(Run("id", "name", "FINISHED", {}, {}, {}, histories={"val/accuracy": evaluations}), "val/accuracy")
    0.7
    """
    values = curve_of(run, metric).values
    if not len(values):
        return nan
    return final_value(values) if verdict_of(run) == Verdict.COMPLETED else float(values[-1])


def measure(run: Run, arm: ArmRuns, yardstick: Yardstick, ripple: float, place: Place) -> Trial:
    """Return a run in numbers, measured along its axis.

    A run that diverged or collapsed never reached the target. Without a shared axis a run has no speed in
    ``steps_to_target``, and all else is taken along the steps as logged.

    Args:
        run: completed, diverged or collapsed, with at least one finite evaluation of the metric.
        arm: to which it belongs.
        yardstick: what all runs of the comparison are measured by.
        ripple: which depends on the other runs of the seed.
        place: where the run lies on the axis that all share.
    """
    higher = yardstick.higher_is_better
    verdict = verdict_of(run)
    curve = curve_of(run, yardstick.metric)
    steps = curve.steps.astype(np.float64)
    seconds, examples = (_along(run.histories.get(name), steps) for name in (names.TRAIN_SECONDS, names.EXAMPLES))
    shared = isfinite(place.end) and len(place.axis) == len(steps)
    known = shared and bool(np.isfinite(place.axis).all())
    axis = place.axis if known else steps
    met = _to_target(verdict, curve.values, (axis, seconds, examples), yardstick)
    drop = ONE_POINT if is_accuracy(yardstick.metric) else nan
    best, best_step = best_value(steps, curve.values, higher_is_better=higher)
    probe = probe_of(run)
    return Trial(
        run=run,
        arm=arm.name,
        seed=seed_of(run),
        learning_rate=arm.learning_rate,
        verdict=verdict,
        curve=curve,
        seconds=seconds,
        examples=examples,
        losses=finite(run.histories.get(names.TRAIN_LOSS)),
        steps_to_target=met[0] if shared else nan,
        seconds_to_target=met[1],
        examples_to_target=met[2],
        final=final_of(run, yardstick.metric),
        best=best,
        best_step=best_step,
        area=area_under_curve(axis, curve.values, place.end if verdict != Verdict.COMPLETED and known else 0.0),
        oscillation=evaluation_oscillation(axis, curve.values, higher_is_better=higher, drop=drop),
        ripple=ripple,
        roughness=roughness(axis, curve.values),
        scores=_scores(run, yardstick.metric),
        axis=place.axis,
        losses_axis=place.losses,
        end=place.end,
        climb_back=climb_back(probe.steps.astype(np.float64), probe.values),
        probe=probe,
    )


def probe_of(run: Run) -> History:
    """Return the probe losses of a completed run.

    Other runs, and runs without a probe, have none.
    """
    return finite(run.histories.get(names.PROBE_LOSS) if verdict_of(run) == Verdict.COMPLETED else None)


def batch_size_of(run: Run) -> str:
    """Return the batch size of a run's parameters, or an empty text.

    It tells runs of equal batch size from others. Accumulated batches count.

    >>> batch_size_of(Run("id", "name", "FINISHED", {"data.batch_size": "64"}, {}, {}))
    '64'
    """
    keys = ("data.batch_size", "batch_size", "trainer.accumulate_grad_batches")
    return " ".join(run.params.get(key, "") for key in keys).strip()


def _to_target(verdict: str, values: Floats, axes: Sequence[Floats], yardstick: Yardstick) -> list[float]:
    """Return where on each axis the values reach the target.

    Axes and values have shape ``[n]``. There is one number for each axis. It is infinite if the run did not complete,
    and NaN with fewer than two evaluations.
    """
    if verdict != Verdict.COMPLETED:
        return [inf] * len(axes)
    if len(values) < 2:
        # One evaluation says where a run was, not how fast it came there.
        return [nan] * len(axes)
    better = yardstick.higher_is_better
    return [reach(axis, values, yardstick.target, higher_is_better=better) for axis in axes]


def _scores(run: Run, metric: str) -> Mapping[str, float]:
    finals = {name: final_of(run, name) for name in YARDSTICK_METRICS if name != metric}
    return {name: value for name, value in finals.items() if not math.isnan(value)}


def _along(history: History | None, steps: Floats) -> Floats:
    """Return a history's values at these steps ``[n]``.

    They are linear between its points, and NaN outside them.
    """
    points = finite(history)
    if not len(points.steps):
        return np.full(len(steps), nan)
    return np.interp(steps, points.steps.astype(np.float64), points.values, left=nan, right=nan)
