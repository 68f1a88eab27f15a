"""What is drawn of an arm and of a run.

It is the middle of an arm's runs with a band, and each run's own values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Trial
from lit_lossopt.comparison.report.curves import grid, middle, on_grid, smooth
from lit_lossopt.comparison.report.figure_spec import EXAMPLES, SECONDS, STEP, Floats, Line, Raw
from lit_lossopt.core.names import Verdict

Values = Callable[[Trial], tuple[Floats, Floats]]


def places(trial: Trial) -> Floats:
    """Return where a run's evaluations are drawn ``[n]``.

    They are on the axis that all runs share, or else as logged.
    """
    return trial.axis if len(trial.axis) == len(trial.curve.steps) else trial.curve.steps.astype(np.float64)


def loss_places(trial: Trial) -> Floats:
    """Return where a run's step losses are drawn ``[n]``.

    It is NaN where their place on the axis is not known.
    """
    return trial.losses_axis if len(trial.losses_axis) == len(trial.losses.steps) else trial.losses.steps.astype(float)


def clocks(trial: Trial) -> dict[str, tuple[Floats, Floats]]:
    """Return the clocks that were read at a run's evaluations.

    Each axis has places and values. Each clock begins at zero.
    """
    steps = places(trial)
    by_axis = {}
    for axis, values in ((SECONDS, trial.seconds), (EXAMPLES, trial.examples)):
        if len(values) == len(steps):
            known = np.isfinite(values) & np.isfinite(steps)
            if known.sum() > 1:
                late = [0.0] if steps[known][0] > 0 else []
                by_axis[axis] = (np.concatenate([late, steps[known]]), np.concatenate([late, values[known]]))
    return by_axis


def axes_of(trials: Sequence[Trial], noun: str) -> list[str]:
    """Return the axes along which every evaluated run can be drawn.

    The first is that of the comparison.

    Args:
        trials: the runs.
        noun: of the comparison's axis: where it is that of examples, it needs no second one.
    """
    known = [clocks(trial) for trial in trials if len(trial.curve.steps) > 1]
    others = (SECONDS,) if noun == "example" else (SECONDS, EXAMPLES)
    return [STEP, *(axis for axis in others if known and all(axis in clock for clock in known))]


def raw_losses(arm: Arm) -> list[Raw]:
    """Return each run's loss of each step."""
    return [_raw(trial, loss_places(trial), trial.losses.values) for trial in arm.trials]


def raw_curves(arm: Arm, factor: float) -> list[Raw]:
    """Return each run's metric at each evaluation, times ``factor``."""
    return [_raw(trial, places(trial), factor * trial.curve.values) for trial in arm.trials]


def loss_line(arm: Arm, axes: Sequence[str]) -> Line:
    """Return the median of an arm's smoothed losses.

    With it come the lowest and the highest.
    """

    def smoothed(trial: Trial) -> tuple[Floats, Floats]:
        return loss_places(trial), smooth(trial.losses.values)

    filled = [trial for trial in arm.trials if len(trial.losses.steps) and np.isfinite(loss_places(trial)).all()]
    if not filled:
        return Line(arm.name, {axis: np.empty(0) for axis in axes}, np.empty(0))
    places = [loss_places(trial) for trial in filled]
    distance = min((float(np.median(np.diff(along))) for along in places if len(along) > 1), default=1.0)
    first, last = min(float(along[0]) for along in places), max(float(along[-1]) for along in places)
    return _line(arm, filled, grid(first, last, unit=distance or 1.0), axes, smoothed)


def metric_line(arm: Arm, axes: Sequence[str], factor: float) -> Line:
    """Return the median of the metric over an arm's runs.

    With it come the lowest and the highest.

    A run that diverged stays at its last finite value, as it does in the table.
    """
    known = [places(trial)[-1] for trial in arm.trials if len(trial.curve.steps)]
    last = max((float(end) for end in known if np.isfinite(end)), default=0.0)

    def held(trial: Trial) -> tuple[Floats, Floats]:
        finite = np.isfinite(trial.curve.values) & np.isfinite(places(trial))
        steps, values = places(trial)[finite], factor * trial.curve.values[finite]
        if trial.verdict == Verdict.DIVERGED and len(steps) and steps[-1] < last:
            return np.append(steps, last), np.append(values, values[-1])
        return steps, values

    steps = [held(trial)[0] for trial in arm.trials]
    return _line(arm, arm.trials, np.unique(np.concatenate(steps)) if steps else np.empty(0), axes, held)


def change_line(arm: Arm, axes: Sequence[str], factor: float) -> Line:
    """Return the median change between evaluations of an arm.

    Changes have no sign. The median is over the runs.
    """

    def changes(trial: Trial) -> tuple[Floats, Floats]:
        known = np.isfinite(places(trial))
        return places(trial)[known][1:], np.abs(np.diff(factor * trial.curve.values[known]))

    steps = [changes(trial)[0] for trial in arm.trials]
    return _line(arm, arm.trials, np.unique(np.concatenate(steps)) if steps else np.empty(0), axes, changes)


def _line(arm: Arm, trials: Sequence[Trial], points: Floats, axes: Sequence[str], values: Values) -> Line:
    rows = np.array([on_grid(points, *values(trial)) for trial in trials])
    ended = np.array([trial.verdict == Verdict.DIVERGED for trial in trials])
    centre, low, high = middle(rows, ended, np.inf) if rows.size else (points, points, points)
    x = {STEP: points}
    for axis in axes[1:]:
        times = np.array([on_grid(points, *clocks(trial)[axis]) for trial in trials if axis in clocks(trial)])
        x[axis] = (
            middle(times, np.zeros(len(times), dtype=bool), np.inf)[0] if times.size else np.full(len(points), np.nan)
        )
    band = (low, high) if len(trials) > 1 else (np.empty(0), np.empty(0))
    return Line(arm.name, x, centre, *band, runs=len(trials))


def _raw(trial: Trial, steps: Floats, values: Floats) -> Raw:
    seed = f"seed {trial.seed}" if trial.seed else trial.run.name
    return Raw(trial.arm, f"{trial.arm}, {seed}", steps, values, clocks(trial))
