"""The one axis along which all runs are measured.

It is steps, epochs or examples. If runs share none, a sentence says why. Runs count in different ways: Lightning and
Hugging Face log an evaluation at its step, Keras at its epoch. Steps of different batch size are no common axis either.
What each run tells of itself is read in ``clocks``, what runs tell of each other in ``counting``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import Arm, ArmRuns
from lit_lossopt.comparison.measures.clocks import EPOCH, STEP, UNSURE, Clock
from lit_lossopt.comparison.measures.counting import Reading, counted
from lit_lossopt.comparison.measures.trial import Place, curve_of, finite, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import listed, shown_place
from lit_lossopt.tracking.reading.runs import Run

Floats = NDArray[np.float64]

EXAMPLE = "example"
# Batches that end an epoch are smaller, so the examples of a step differ a little at equal batch size. If parameters
# say that the size is equal, only several devices make it another one.
_ALIKE, _ALIKE_BY_NAME = 1.1, 1.5
_TO_ONE_AXIS: Mapping[str, Callable[..., Floats]] = {
    STEP: Clock.in_steps,
    EPOCH: Clock.in_epochs,
    EXAMPLE: Clock.in_examples,
}


@dataclass(frozen=True)
class Axes:
    """What all curves are measured along.

    Attributes:
        noun: step, epoch or example. Of no meaning if ``no_speed`` is not empty.
        no_speed: why no axis is shared, a sentence. Empty if one is.
        notes: how runs were read, a sentence each.
        clocks: run id → how the run counts.
        ends: run id → how far on the axis it would have gone. Empty without a shared axis.
    """

    noun: str = STEP
    no_speed: str = ""
    notes: tuple[str, ...] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    ends: Mapping[str, float] = field(default_factory=dict)

    def along(self, run: Run, logged: Floats, *, losses: bool = False) -> Floats:
        """Return where logged steps ``[n]`` lie on the axis ``[n]``.

        The steps are of the run's metric, or of its losses. NaN if the place is not known. Empty without a shared axis.
        """
        if self.no_speed:
            return np.empty(0)
        # Beyond nine digits it is rounding, which would part points that belong together.
        return np.round(_TO_ONE_AXIS[self.noun](self.clocks[run.run_id], logged, losses=losses), 9)

    def place(self, run: Run, metric: str) -> Place:
        """Return where a run lies on the axis."""
        evaluations = curve_of(run, metric).steps.astype(np.float64)
        losses = finite(run.histories.get(names.TRAIN_LOSS)).steps.astype(np.float64)
        return Place(self.along(run, evaluations), self.along(run, losses, losses=True), self.ends.get(run.run_id, nan))


def common_axis(arms: Sequence[ArmRuns], metric: str) -> Axes:
    """Return the axis on which all evaluations lie.

    If all runs count by step, it is steps, or with different batch sizes the examples seen. If any counts by epoch, it
    is epochs. Only runs that completed and were evaluated at least twice have a speed, so only they decide.

    Args:
        arms: with runs whose histories are read, with the epoch and the examples if they were logged.
        metric: the compared one.
    """
    readings, unsure, notes = counted(arms, metric)
    settled = [reading for reading in readings if reading.clock.settled]
    clocks = {reading.run_id: reading.clock for reading in readings}
    if unsure:
        return Axes(no_speed=unsure, clocks=clocks)
    noun, reason = _noun(settled)
    if reason:
        return Axes(no_speed=reason, clocks=clocks)
    if noun == STEP and len({(reading.clock.unit, reading.clock.ahead == 1) for reading in settled}) == 1:
        # Where all count alike, steps stay as they were logged.
        clocks = {run_id: replace(clock, ahead=0.0) for run_id, clock in clocks.items()}
    said = (
        *_logged_by_epoch(readings, noun),
        *notes,
        *["Steps are not alike in all arms (batch size), so curves are compared by examples seen."] * (noun == EXAMPLE),
        *_by_epochs(settled, noun),
        *_nameless(settled, noun),
    )
    axes = Axes(noun, notes=said, clocks=clocks)
    ends = _ends(arms, axes, metric)
    return replace(axes, notes=(*said, *_lengths(arms, ends, noun)), ends=ends)


def least_to_target(arms: Sequence[Arm]) -> float:
    """Return what a target counts as that was met before training.

    It is a fiftieth of the distance between evaluations. That is as much on any axis, so that runs logged by epoch and
    by step give the same ratios.

    >>> least_to_target([])
    0.02
    """
    axes = [trial.axis for arm in arms for trial in arm.trials if len(trial.axis) > 1]
    distances = [float(np.median(np.diff(axis))) for axis in axes]
    return min((distance for distance in distances if distance > 0), default=1.0) / 50


def _noun(settled: Sequence[Reading]) -> tuple[str, str]:
    """Return the noun of the axis, or why there is none."""
    units = {reading.clock.unit for reading in settled} - {UNSURE}
    batches = _differing_batches(settled)
    other_data = len({reading.clock.images for reading in settled if isfinite(reading.clock.images)}) > 1
    epochs = not other_data and _all_known(settled, EPOCH)
    if units <= {STEP} and not batches and not (epochs and _differing_epochs(settled)):
        return STEP, ""
    if (EPOCH in units or _differing_epochs(settled)) and epochs:
        return EPOCH, ""
    if _all_known(settled, EXAMPLE):
        return EXAMPLE, ""
    if epochs:
        return EPOCH, ""
    if EPOCH in units and not batches and not other_data and _all_known(settled, STEP):
        return STEP, ""
    return STEP, _no_axis(settled, units, batches, other_data)


def _no_axis(settled: Sequence[Reading], units: set[str], batches: Sequence[str], other_data: bool) -> str:
    """Return why runs share no axis, and what would help."""
    if units == {EPOCH}:
        return (
            "Speed is not compared: the arms were trained on different numbers of images, so their epochs are not "
            "alike, and the examples seen are not known. Log the metric time/examples."
        )
    unknown = listed(sorted({reading.arm for reading in settled if not _known(reading, EXAMPLE)})[:3])
    if units == {STEP}:
        return (
            f"Speed is not compared: the arms differ in batch size ({', '.join(batches)}), so their steps are not "
            f"alike, and the examples seen by {unknown} are not known. Log the metric time/examples or the parameter "
            "batch_size."
        )
    where = EXAMPLE if other_data else EPOCH
    lost = sorted({reading.arm for reading in settled if reading.clock.unit == STEP and not _known(reading, where)})
    others = sorted({reading.arm for reading in settled if reading.clock.unit == EPOCH})
    return (
        f"Speed is not compared: the runs of {listed(others[:3])} were logged by epoch, those of {listed(lost[:3])} by "
        "step, and how many steps make an epoch is not known. Log the metric epoch at each step."
    )


def _known(reading: Reading, noun: str) -> bool:
    ends = np.array([reading.clock.first, reading.clock.last])
    return bool(np.isfinite(_TO_ONE_AXIS[noun](reading.clock, ends)).all())


def _all_known(settled: Sequence[Reading], noun: str) -> bool:
    return all(_known(reading, noun) for reading in settled)


def _differing_batches(settled: Sequence[Reading]) -> list[str]:
    """Return the batch sizes if they differ between arms.

    They are told by the parameters, or by the examples seen.
    """
    batches = sorted({reading.clock.batch for reading in settled if isfinite(reading.clock.batch)})
    if len(batches) > 1:
        return [f"{batch:g}" for batch in batches]
    paces = sorted(pace for pace in (_pace(reading.clock) for reading in settled) if isfinite(pace))
    if not settled or len(paces) < len(settled):
        return []
    most = _ALIKE_BY_NAME if all(isfinite(reading.clock.batch) for reading in settled) else _ALIKE
    return [f"{paces[0]:.3g}", f"{paces[-1]:.3g}"] if paces[-1] > most * paces[0] else []


def _differing_epochs(settled: Sequence[Reading]) -> list[float]:
    """Return the smallest and the largest epoch in steps, if they differ.

    Only logged epochs count, and only if neither batch sizes nor examples say why they differ.
    """
    nameless = [
        reading.clock for reading in settled if not isfinite(reading.clock.batch) and not isfinite(_pace(reading.clock))
    ]
    logged = [clock for clock in nameless if not clock.planned]
    sizes = sorted(clock.per_epoch for clock in logged if clock.unit == STEP and isfinite(clock.per_epoch))
    differ = len(sizes) == len(settled) > 0 and sizes[-1] > _ALIKE * sizes[0]
    return [sizes[0], sizes[-1]] if differ else []


def _pace(clock: Clock) -> float:
    """Return the examples of a step as they were logged, or NaN."""
    if clock.unit != STEP or len(clock.examples[0]) < 2:
        return nan
    at, seen = clock.examples
    pace = float((seen[-1] - seen[0]) / (at[-1] - at[0]))
    return pace if pace > 0 else nan


def _logged_by_epoch(readings: Sequence[Reading], noun: str) -> list[str]:
    """Return a note on arms that were logged by epoch."""
    reasons: dict[str, set[str]] = {}
    for reading in readings:
        if reading.clock.unit == EPOCH and reading.clock.why:
            reasons.setdefault(reading.clock.why, set()).add(reading.arm)
    along = "examples seen" if noun == EXAMPLE else f"{noun}s"
    return [
        f"Runs of {listed(sorted(arms))} were read as logged by epoch, since {why}. Curves are compared along {along}."
        for why, arms in sorted(reasons.items())
    ]


def _by_epochs(settled: Sequence[Reading], noun: str) -> list[str]:
    sizes = _differing_epochs(settled)
    if noun != EPOCH or not sizes:
        return []
    differ = f"An epoch has {sizes[0]:,.0f} to {sizes[-1]:,.0f} steps, so batch sizes seem to differ"
    return [f"{differ}. Curves are compared along epochs, which are taken to be of the same images."]


def _nameless(settled: Sequence[Reading], noun: str) -> list[str]:
    """Say which arms name no batch size.

    It matters only if steps are compared and others name one.
    """
    lost = sorted(
        {reading.arm for reading in settled if not isfinite(reading.clock.batch) and not isfinite(_pace(reading.clock))}
    )
    if noun != STEP or not lost or not any(isfinite(reading.clock.batch) for reading in settled):
        return []
    return [f"Runs of {listed(lost)} name no batch size, so their steps are taken to be like those of the others."]


def _lengths(arms: Sequence[ArmRuns], ends: Mapping[str, float], noun: str) -> list[str]:
    """Say how far completed runs went, if that differs."""
    known = [ends[run.run_id] for arm in arms for run in arm.runs if verdict_of(run) == Verdict.COMPLETED]
    known = sorted(end for end in known if isfinite(end))
    if not known or known[-1] <= known[0] * (1 + 1e-6):
        return []
    between = f"{shown_place(known[0])} to {shown_place(known[-1])}"
    return [f"Runs differ in length ({between} {noun}s), and each counts at its own end."]


def _ends(arms: Sequence[ArmRuns], axes: Axes, metric: str) -> dict[str, float]:
    """Return how far each run would have gone.

    A completed run went to its last evaluation. Any other would have gone to its arm's budget, which is the longest of
    its completed runs. Without one, it is the longest of all completed runs, or without any, of all runs.
    """
    reached = {run.run_id: _last(axes, run, metric) for arm in arms for run in arm.runs}
    longest = max((end for end in reached.values() if isfinite(end)), default=nan)
    completed = [reached[run.run_id] for arm in arms for run in arm.runs if verdict_of(run) == Verdict.COMPLETED]
    longest = max((end for end in completed if isfinite(end)), default=longest)
    ends = {}
    for arm in arms:
        well = [reached[run.run_id] for run in arm.runs if verdict_of(run) == Verdict.COMPLETED]
        budget = max((end for end in well if isfinite(end)), default=longest)
        for run in arm.runs:
            own = reached[run.run_id]
            ends[run.run_id] = own if verdict_of(run) == Verdict.COMPLETED else float(np.nanmax([own, budget, 0.0]))
    return ends


def _last(axes: Axes, run: Run, metric: str) -> float:
    steps = curve_of(run, metric).steps.astype(np.float64)
    return float(axes.along(run, steps[-1:])[0]) if len(steps) else nan
