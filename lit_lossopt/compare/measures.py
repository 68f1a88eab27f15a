"""One run in numbers: its curve on each axis, and what is read off it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt import names
from lit_lossopt.compare.comparison import ArmRuns, Trial
from lit_lossopt.compare.convergence import area_under_curve, best_value, final_value, reach
from lit_lossopt.compare.metric_choice import is_accuracy
from lit_lossopt.compare.oscillation import ONE_POINT, evaluation_oscillation, roughness
from lit_lossopt.tracking.runs import History, Run

Floats = NDArray[np.float64]

COMPLETED, DIVERGED, COLLAPSED = "completed", "diverged", "collapsed"
RESULTS = (COMPLETED, DIVERGED, COLLAPSED)
_BY_STATUS = {"FINISHED": COMPLETED, "FAILED": "failed", "KILLED": "interrupted"}
# What does not depend on the loss.
YARDSTICKS = ("accuracy", "nll", "brier", "ece")


@dataclass(frozen=True)
class Yardstick:
    """The compared metric, and what all its curves are measured by.

    Attributes:
        metric: as ``val/accuracy``.
        higher_is_better: of the metric.
        target: value that counts as reached.
        budget: steps of the longest run: to there a run that ended early counts at its last value.
    """

    metric: str
    higher_is_better: bool
    target: float
    budget: float


def verdict_of(run: Run) -> str:
    """Return completed, diverged, collapsed, interrupted, failed, or the status of a run that has not ended."""
    return run.tags.get(names.TAG_VERDICT) or _BY_STATUS.get(run.status, run.status.lower())


def seed_of(run: Run) -> str:
    """Return what pairs a run with those of other arms, or an empty text."""
    return run.tags.get(names.TAG_SEED, run.params.get("seed", ""))


def finite(history: History | None, end: float = inf) -> History:
    """Return the points of a history that are numbers, up to and including the step ``end``."""
    if history is None:
        return History(np.empty(0, np.int64), np.empty(0))
    good = np.isfinite(history.values) & (history.steps <= end)
    times = history.milliseconds[good] if len(history.milliseconds) == len(good) else history.milliseconds[:0]
    return replace(history, steps=history.steps[good], values=history.values[good], milliseconds=times)


def curve_of(run: Run, metric: str) -> History:
    """Return the finite evaluations of a metric; of a run that diverged, up to its last evaluation with a finite loss.

    Accuracy itself is finite whatever the weights are.
    """
    history = run.histories.get(names.metric(metric.partition("/")[0], "loss"))
    if verdict_of(run) != DIVERGED or history is None:
        return finite(run.histories.get(metric))
    good = np.isfinite(history.values)
    last = history.steps[good].max(initial=-1)
    broken = history.steps[~good & (history.steps > last)]
    return finite(run.histories.get(metric), float(broken[0]) - 1 if len(broken) else inf)


def final_of(run: Run, metric: str) -> float:
    """Return the final value of a run: of one that diverged or collapsed, its last finite evaluation."""
    values = curve_of(run, metric).values
    if not len(values):
        return nan
    return final_value(values) if verdict_of(run) == COMPLETED else float(values[-1])


def measure(run: Run, arm: ArmRuns, yardstick: Yardstick, ripple: float) -> Trial:
    """Return a run in numbers. One that diverged or collapsed never reached the target.

    Args:
        run: completed, diverged or collapsed, with at least one finite evaluation of the metric.
        arm: to which it belongs.
        yardstick: what all runs of the comparison are measured by.
        ripple: which depends on the other runs of the seed.
    """
    higher = yardstick.higher_is_better
    verdict = verdict_of(run)
    curve = curve_of(run, yardstick.metric)
    steps = curve.steps.astype(np.float64)
    seconds, examples = (_along(run.histories.get(name), steps) for name in (names.TRAIN_SECONDS, names.EXAMPLES))
    met = [reach(axis, curve.values, yardstick.target, higher_is_better=higher) for axis in (steps, seconds, examples)]
    # One evaluation says where a run was, not how fast it came there.
    met = [inf, inf, inf] if verdict != COMPLETED else met if len(steps) > 1 else [nan, nan, nan]
    drop = ONE_POINT if is_accuracy(yardstick.metric) else nan
    best, best_step = best_value(steps, curve.values, higher_is_better=higher)
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
        steps_to_target=met[0],
        seconds_to_target=met[1],
        examples_to_target=met[2],
        final=final_of(run, yardstick.metric),
        best=best,
        best_step=best_step,
        area=area_under_curve(steps, curve.values, yardstick.budget if verdict != COMPLETED else 0.0),
        oscillation=evaluation_oscillation(steps, curve.values, higher_is_better=higher, drop=drop),
        ripple=ripple,
        roughness=roughness(steps, curve.values),
        scores=_scores(run, yardstick.metric),
    )


def _scores(run: Run, metric: str) -> Mapping[str, float]:
    others = (names.metric(split, quantity) for split in (names.VAL, names.TEST) for quantity in YARDSTICKS)
    finals = {name: final_of(run, name) for name in others if name != metric}
    return {name: value for name, value in finals.items() if not math.isnan(value)}


def _along(history: History | None, steps: Floats) -> Floats:
    """Return a history's values at these steps, linear between its points, NaN outside them."""
    points = finite(history)
    if not len(points.steps):
        return np.full(len(steps), nan)
    return np.interp(steps, points.steps.astype(np.float64), points.values, left=nan, right=nan)
