"""What runs tell of each other's counting.

Evaluations numbered one by one may be steps or epochs. Beside runs logged by step they are epochs. Runs in arms come
in, a ``Reading`` of each goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan, nan

import numpy as np

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.clocks import EPOCH, STEP, UNSURE, Clock, read_clock
from lit_lossopt.comparison.report.phrases import listed


@dataclass(frozen=True)
class Reading:
    """A run, its arm, and how it counts."""

    arm: str
    run_id: str
    clock: Clock


def counted(arms: Sequence[ArmRuns], metric: str) -> tuple[list[Reading], str, list[str]]:
    """Return how each run counts.

    With it come the reason why that is not known of some, or an empty text, and what was concluded, a sentence each.
    """
    readings = [Reading(arm.name, run.run_id, read_clock(run, metric)) for arm in arms for run in arm.runs]
    readings = _as_their_arm(_as_planned(readings))
    readings, unsure = _numbered_one_by_one(readings)
    if unsure:
        return readings, unsure, []
    readings = _as_their_arm(readings, settled=False)
    readings = _from_zero_or_one(readings)
    readings, notes = _sizes_of_epochs(readings)
    return readings, "", notes


def _as_planned(readings: Sequence[Reading]) -> list[Reading]:
    """Give runs of one arm the longest epochs that their plans tell.

    A run that ended early has seen fewer of them, so its own length would make them too short.
    """
    longest: dict[str, float] = {}
    for one in readings:
        if one.clock.planned:
            longest[one.arm] = max(longest.get(one.arm, 0.0), one.clock.per_epoch)
    return [
        replace(one, clock=replace(one.clock, per_epoch=longest[one.arm])) if one.clock.planned else one
        for one in readings
    ]


def _as_their_arm(readings: Sequence[Reading], *, settled: bool = True) -> list[Reading]:
    """Let runs of which nothing is known count as others of their arm, or of all, do.

    Args:
        readings: of all runs.
        settled: look only at runs that have a speed, and only within arms. Otherwise look at those that have none.
    """
    known = [other for other in readings if other.clock.settled and other.clock.unit != UNSURE]

    def follow(one: Reading) -> Reading:
        mine = [other.clock for other in known if other.arm == one.arm]
        like = mine if settled or mine else [other.clock for other in known]
        units = {clock.unit for clock in like}
        fits = one.clock.unit == UNSURE and one.clock.settled == settled
        if not fits or len(units) != 1 or (settled and units != {EPOCH}):
            return one
        losses, why = any(clock.losses_by_step for clock in like), min(clock.why for clock in like)
        return replace(one, clock=replace(one.clock, unit=units.pop(), why=why, losses_by_step=losses))

    return [follow(one) for one in readings]


def _numbered_one_by_one(readings: Sequence[Reading]) -> tuple[list[Reading], str]:
    """Decide whether evaluations numbered 0, 1, 2, … are by step or by epoch."""
    settled = [one for one in readings if one.clock.settled]
    open_ = [one for one in settled if one.clock.unit == UNSURE]
    known = [one for one in settled if one.clock.unit != UNSURE]
    if not open_:
        return list(readings), ""
    if not known:
        why = "the number of their evaluations is the same, counted from 0 and from 1" if _shifted(open_) else ""
        return _set(readings, open_, EPOCH if why else STEP, why), ""
    if all(one.clock.unit == EPOCH for one in known):
        return _set(readings, open_, EPOCH, "their evaluations are numbered one by one, as those of the others"), ""
    totals = {total for one in known for total in _totals(one.clock)}
    strange = sorted({one.arm for one in open_ if not _possible(one.clock) & totals})
    if strange:
        others = sorted({one.arm for one in known if one.clock.unit == STEP})
        end = max(one.clock.last for one in open_ if one.arm == strange[0])
        return list(readings), (
            f"Speed is not compared: evaluations of {listed(strange[:3])} are numbered one by one (to {end:,.0f}), by "
            f"step or by epoch, those of {listed(others[:3])} by step; log the metric epoch or the parameter epochs."
        )
    return _set(readings, open_, EPOCH, "they have as many evaluations as the others"), ""


def _set(readings: Sequence[Reading], chosen: Sequence[Reading], unit: str, why: str) -> list[Reading]:
    ids = {one.run_id for one in chosen}
    return [
        replace(one, clock=replace(one.clock, unit=unit, why=why)) if one.run_id in ids else one for one in readings
    ]


def _shifted(open_: Sequence[Reading]) -> bool:
    """Return True if some runs count from 0 and others from 1, to equal numbers."""
    ends = {first: {one.clock.last for one in open_ if one.clock.first == first} for first in (0, 1)}
    return bool({last + 1 for last in ends[0]} & ends[1]) and not ends[0] & ends[1]


def _possible(clock: Clock) -> set[float]:
    """Return how many epochs evaluations numbered one by one may mean.

    If they count from zero, there may be one more.
    """
    return {clock.last, clock.last + 1} if clock.first == 0 else {clock.last}


def _totals(clock: Clock) -> set[float]:
    """Return the numbers of epochs that a run may have.

    One is told by its clock, as far as that is known. The other is its number of evaluations after the start.
    """
    if clock.unit == EPOCH:
        ahead = 0.0 if clock.first > 0 else clock.ahead
        return {clock.last + ahead} if isfinite(ahead) else set()
    done = float(clock.in_epochs(np.array([clock.last]))[0])
    evaluations = _evaluations(clock)
    known = {round(done, 6)} if isfinite(done) else set()
    return known | ({evaluations} if evaluations is not None else set())


def _evaluations(clock: Clock) -> float | None:
    """Return how many evaluations a run logged by step has after its start.

    Gaps are counted too. None if the evaluations are irregular.
    """
    for end in (clock.last, clock.last + 1):
        if end % clock.distance == 0:
            return end / clock.distance
    return None


def _from_zero_or_one(readings: Sequence[Reading]) -> list[Reading]:
    """Decide whether runs logged by epoch from 0 on begin before or after an epoch.

    First the totals of other runs tell, then what is known of the arm, then what is known of all.
    """
    totals = {total for one in readings if one.clock.settled for total in _totals(one.clock)}
    found = [_with_ahead(one, _by_totals(one.clock, totals)) for one in readings]
    by_arm = [_with_ahead(one, _ahead_of(found, one.arm)) for one in found]
    return [_with_ahead(one, _ahead_of(found)) for one in by_arm]


def _with_ahead(one: Reading, ahead: float) -> Reading:
    open_ = one.clock.unit == EPOCH and isnan(one.clock.ahead)
    return replace(one, clock=replace(one.clock, ahead=ahead)) if open_ else one


def _by_totals(clock: Clock, totals: set[float]) -> float:
    """Return what to add to the logged epochs of a run, or NaN if totals do not tell."""
    if clock.first > 0:
        return 0.0
    ends = (clock.last, clock.last + 1) if clock.settled else ()
    return next((float(ahead) for ahead, end in enumerate(ends) if end in totals), nan)


def _ahead_of(readings: Sequence[Reading], arm: str | None = None) -> float:
    """Return what runs that begin at 0 add to their logged epochs.

    The runs are of one arm, or all. NaN if it is not one number.
    """
    known = {
        one.clock.ahead
        for one in readings
        if one.clock.unit == EPOCH and one.clock.first == 0 and isfinite(one.clock.ahead) and arm in (None, one.arm)
    }
    return known.pop() if len(known) == 1 else nan


def _sizes_of_epochs(readings: Sequence[Reading]) -> tuple[list[Reading], list[str]]:
    """Fill in how many steps an epoch has.

    The arm tells. In a mix of runs by step and by epoch, equal numbers of evaluations tell too.
    """
    readings = [_with_size(one, _median_size(readings, one.arm, one.clock.unit)) for one in readings]
    if {one.clock.unit for one in readings if one.clock.settled} != {STEP, EPOCH}:
        return readings, []
    totals = {
        float(one.clock.in_epochs(np.array([one.clock.last]))[0])
        for one in readings
        if one.clock.settled and one.clock.unit == EPOCH
    }
    concluded: dict[str, float] = {}
    for one in readings:
        evaluations = _evaluations(one.clock) if one.clock.settled and one.clock.unit == STEP else None
        if evaluations in totals and isnan(one.clock.per_epoch) and not len(one.clock.epochs[0]):
            concluded[one.run_id] = one.clock.distance
    filled = [_with_size(one, concluded.get(one.run_id, nan)) for one in readings]
    sizes = {one.clock.distance: one.clock.per_epoch for one in filled if one.run_id in concluded}
    # A run that ended early, and is evaluated as often as one that did not, has epochs of the same size.
    again = [_with_size(one, sizes.get(one.clock.distance, nan)) for one in filled]
    return [_with_size(one, _median_size(again, one.arm, one.clock.unit)) for one in again], _concluded(
        again, concluded
    )


def _concluded(readings: Sequence[Reading], concluded: dict[str, float]) -> list[str]:
    arms = sorted({one.arm for one in readings if one.run_id in concluded})
    sizes = sorted({f"{size:,.0f}" for size in concluded.values()}, key=lambda text: (len(text), text))
    if not arms:
        return []
    return [
        f"Those of {listed(arms)}, logged by step, have as many evaluations: an epoch is read as {listed(sizes)} steps."
    ]


def _median_size(readings: Sequence[Reading], arm: str, unit: str) -> float:
    known = [
        one.clock.per_epoch
        for one in readings
        if one.arm == arm and one.clock.unit == unit and isfinite(one.clock.per_epoch)
    ]
    return float(np.median(known)) if known else nan


def _with_size(one: Reading, size: float) -> Reading:
    """Fill in the steps of an epoch if they are not known.

    They tell whether the steps count from zero.
    """
    clock = one.clock
    if isnan(size) or isfinite(clock.per_epoch) or len(clock.epochs[0]) or clock.unit == UNSURE:
        return one
    if clock.unit == EPOCH:
        return replace(one, clock=replace(clock, per_epoch=size))
    from_zero = clock.last % size != 0 and (clock.last + 1) % size == 0
    return replace(one, clock=replace(clock, per_epoch=size, ahead=1.0 if from_zero else 0.0))
