"""Where on their axis runs were evaluated.

A run that is looked at more often must not come off better for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.axes import Axes
from lit_lossopt.comparison.measures.trial import YARDSTICK_METRICS, curve_of, verdict_of
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import listed, shown_place
from lit_lossopt.tracking.reading.runs import Run

Floats = NDArray[np.float64]

# Distances of evaluations within this factor are one schedule.
_ONE_SCHEDULE = 1.05
# Runs are compared at shared places alone if these are so large a share of the places of the run that was evaluated
# least often, and at least so many.
_LEAST_SHARED, _LEAST_PLACES = 0.75, 4
# How far from such a place another run's evaluation may lie, in distances between places.
_NEAR = 0.02


def at_common_places(arms: Sequence[ArmRuns], axes: Axes, metric: str) -> tuple[list[ArmRuns], list[str]]:
    """Return runs with only those evaluations that all of them have.

    It does so only if some were evaluated more often. More evaluations are more chances to meet a target by luck, a
    larger best, and another last tenth. If too few places are shared, runs stay as they are. A note says either.

    Args:
        arms: with runs whose histories are read.
        axes: what their evaluations lie along.
        metric: the compared one.
    """
    places = {run.run_id: _places(axes, run, metric) for arm in arms for run in arm.runs}
    settled = {
        run.run_id: places[run.run_id]
        for arm in arms
        for run in arm.runs
        if verdict_of(run) == Verdict.COMPLETED and len(places[run.run_id]) > 2
    }
    distances = {run_id: float(np.median(np.diff(own_places))) for run_id, own_places in settled.items()}
    if not distances or max(distances.values()) <= _ONE_SCHEDULE * min(distances.values()):
        return list(arms), []
    distance = max(distances.values())
    sparse = [own_places for run_id, own_places in settled.items() if distances[run_id] > distance / _ONE_SCHEDULE]
    common = _common(
        max(sparse, key=lambda own_places: (own_places[-1], len(own_places))), list(settled.values()), distance
    )
    if common is None:
        return list(arms), [_said(arms, distances, axes.noun, ", which favours the one that is evaluated more often.")]
    thinned = [
        replace(arm, runs=tuple(_thinned(run, _near(places[run.run_id], common, distance), metric) for run in arm.runs))
        for arm in arms
    ]
    what = f". Only the {len(common)} evaluations that all have are compared and shown."
    return thinned, [_said(arms, distances, axes.noun, what)]


def _places(axes: Axes, run: Run, metric: str) -> Floats:
    places = axes.along(run, curve_of(run, metric).steps.astype(np.float64))
    return places if np.isfinite(places).all() else np.empty(0)


def _common(wanted: Floats, settled: Sequence[Floats], distance: float) -> Floats | None:
    """Return the places ``[k]`` that all runs share, or None.

    A run counts only up to where it went. None if the places are too few.
    """
    kept = np.ones(len(wanted), dtype=bool)
    for own_places in settled:
        within = (wanted >= own_places[0] - _NEAR * distance) & (wanted <= own_places[-1] + _NEAR * distance)
        kept &= ~within | _near(wanted, own_places, distance)
    # Before a run's first evaluation there is none to compare with.
    kept &= wanted >= max(own_places[0] for own_places in settled) - _NEAR * distance
    enough = kept.sum() >= max(_LEAST_PLACES, _LEAST_SHARED * len(wanted))
    return wanted[kept] if enough else None


def _near(places: Floats, others: Floats, distance: float) -> NDArray[np.bool_]:
    """Return which places ``[n]`` lie at one of the others ``[m]``.

    Both rise.
    """
    if not len(others) or not len(places):
        return np.zeros(len(places), dtype=bool)
    right = np.clip(np.searchsorted(others, places), 0, len(others) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.minimum(np.abs(others[right] - places), np.abs(others[left] - places))
    return np.asarray(nearest <= _NEAR * distance)


def _thinned(run: Run, kept: NDArray[np.bool_], metric: str) -> Run:
    """Return a run with only the kept ones ``[n]`` of its evaluations.

    They are of the metric and of every yardstick.
    """
    steps = curve_of(run, metric).steps
    if len(steps) != len(kept) or not kept.any():
        return run
    lost = steps[~kept]
    wanted = {metric, *YARDSTICK_METRICS}
    histories = dict(run.histories)
    for name in wanted & histories.keys():
        history = histories[name]
        stays = ~np.isin(history.steps, lost)
        times = history.milliseconds[stays] if len(history.milliseconds) == len(stays) else history.milliseconds
        histories[name] = replace(history, steps=history.steps[stays], values=history.values[stays], milliseconds=times)
    return replace(run, histories=histories)


def _said(arms: Sequence[ArmRuns], distances: Mapping[str, float], noun: str, what: str) -> str:
    """Say how often arms were evaluated, and what follows."""
    by_distance: dict[str, set[str]] = {}
    for arm in arms:
        for run in arm.runs:
            if run.run_id in distances:
                distance = distances[run.run_id]
                how = f"each {noun}" if distance == 1 else f"every {shown_place(distance)} {noun}s"
                by_distance.setdefault(how, set()).add(arm.name)
    often = "; ".join(f"{listed(sorted(arm_names))} {how}" for how, arm_names in sorted(by_distance.items()))
    return f"Runs were evaluated at different places ({often}){what}"
