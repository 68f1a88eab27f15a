"""What is drawn of an arm and of a run: the middle of its runs with a band, and each run's own values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lit_lossopt.compare.comparison import Arm, Trial
from lit_lossopt.compare.curves import grid, middle, on_grid, smooth
from lit_lossopt.compare.drawing import EXAMPLES, SECONDS, STEP, Floats, Line, Raw

Values = Callable[[Trial], tuple[Floats, Floats]]


def clocks(trial: Trial) -> dict[str, tuple[Floats, Floats]]:
    """Return axis → (steps, values) of the clocks that were read at a run's evaluations; each begins at zero."""
    steps = trial.curve.steps.astype(np.float64)
    found = {}
    for axis, values in ((SECONDS, trial.seconds), (EXAMPLES, trial.examples)):
        if len(values) == len(steps):
            known = np.isfinite(values)
            if known.sum() > 1:
                late = [0.0] if steps[known][0] > 0 else []
                found[axis] = (np.concatenate([late, steps[known]]), np.concatenate([late, values[known]]))
    return found


def axes_of(trials: Sequence[Trial]) -> list[str]:
    """Return the axes along which every run that was evaluated can be drawn."""
    known = [clocks(trial) for trial in trials if len(trial.curve.steps) > 1]
    return [STEP, *(axis for axis in (SECONDS, EXAMPLES) if known and all(axis in clock for clock in known))]


def raw_losses(arm: Arm) -> list[Raw]:
    """Return each run's loss of each step."""
    return [_raw(trial, trial.losses.steps.astype(np.float64), trial.losses.values) for trial in arm.trials]


def raw_curves(arm: Arm, factor: float) -> list[Raw]:
    """Return each run's metric at each evaluation, times ``factor``."""
    return [_raw(trial, trial.curve.steps.astype(np.float64), factor * trial.curve.values) for trial in arm.trials]


def loss_line(arm: Arm, axes: Sequence[str]) -> Line:
    """Return the median over an arm's runs of the smoothed loss, with the lowest and the highest."""

    def smoothed(trial: Trial) -> tuple[Floats, Floats]:
        return trial.losses.steps.astype(np.float64), smooth(trial.losses.values)

    filled = [trial for trial in arm.trials if len(trial.losses.steps)]
    if not filled:
        return Line(arm.name, {axis: np.empty(0) for axis in axes}, np.empty(0))
    first, last = (end(trial.losses.steps[place] for trial in filled) for end, place in ((min, 0), (max, -1)))
    return _line(arm, filled, grid(float(first), float(last)), axes, smoothed)


def metric_line(arm: Arm, axes: Sequence[str], factor: float) -> Line:
    """Return the median over an arm's runs of the metric, with the lowest and highest.

    A run that diverged stays at its last finite value, as it does in the table.
    """
    last = max((int(trial.curve.steps[-1]) for trial in arm.trials if len(trial.curve.steps)), default=0)

    def held(trial: Trial) -> tuple[Floats, Floats]:
        finite = np.isfinite(trial.curve.values)
        steps, values = trial.curve.steps[finite].astype(np.float64), factor * trial.curve.values[finite]
        if trial.verdict == "diverged" and len(steps) and steps[-1] < last:
            return np.append(steps, last), np.append(values, values[-1])
        return steps, values

    steps = [held(trial)[0] for trial in arm.trials]
    return _line(arm, arm.trials, np.unique(np.concatenate(steps)) if steps else np.empty(0), axes, held)


def change_line(arm: Arm, axes: Sequence[str], factor: float) -> Line:
    """Return the median over an arm's runs of the change from one evaluation to the next, without its sign."""

    def changes(trial: Trial) -> tuple[Floats, Floats]:
        return trial.curve.steps[1:].astype(np.float64), np.abs(np.diff(factor * trial.curve.values))

    steps = [changes(trial)[0] for trial in arm.trials]
    return _line(arm, arm.trials, np.unique(np.concatenate(steps)) if steps else np.empty(0), axes, changes)


def _line(arm: Arm, trials: Sequence[Trial], points: Floats, axes: Sequence[str], values: Values) -> Line:
    rows = np.array([on_grid(points, *values(trial)) for trial in trials])
    ended = np.array([trial.verdict == "diverged" for trial in trials])
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
