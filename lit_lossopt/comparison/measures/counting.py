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
from lit_lossopt.core.numbers import listed


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
    for reading in readings:
        if reading.clock.planned:
            longest[reading.arm] = max(longest.get(reading.arm, 0.0), reading.clock.per_epoch)
    return [
        replace(reading, clock=replace(reading.clock, per_epoch=longest[reading.arm]))
        if reading.clock.planned
        else reading
        for reading in readings
    ]


def _as_their_arm(readings: Sequence[Reading], *, settled: bool = True) -> list[Reading]:
    """Let runs of which nothing is known count as others do.

    The others are those of their arm, or all.

    Args:
        readings: of all runs.
        settled: look only at runs that have a speed, and only within arms. Otherwise look at those that have none.
    """
    known = [other for other in readings if other.clock.settled and other.clock.unit != UNSURE]

    def follow(reading: Reading) -> Reading:
        mine = [other.clock for other in known if other.arm == reading.arm]
        like = mine if settled or mine else [other.clock for other in known]
        units = {clock.unit for clock in like}
        fits = reading.clock.unit == UNSURE and reading.clock.settled == settled
        if not fits or len(units) != 1 or (settled and units != {EPOCH}):
            return reading
        losses, why = any(clock.losses_by_step for clock in like), min(clock.why for clock in like)
        return replace(reading, clock=replace(reading.clock, unit=units.pop(), why=why, losses_by_step=losses))

    return [follow(reading) for reading in readings]


def _numbered_one_by_one(readings: Sequence[Reading]) -> tuple[list[Reading], str]:
    """Decide whether numbered evaluations are steps or epochs.

    They are numbered 0, 1, 2, ….
    """
    settled = [reading for reading in readings if reading.clock.settled]
    open_ = [reading for reading in settled if reading.clock.unit == UNSURE]
    known = [reading for reading in settled if reading.clock.unit != UNSURE]
    if not open_:
        return list(readings), ""
    if not known:
        why = "the number of their evaluations is the same, counted from 0 and from 1" if _shifted(open_) else ""
        return _set(readings, open_, EPOCH if why else STEP, why), ""
    if all(reading.clock.unit == EPOCH for reading in known):
        return _set(readings, open_, EPOCH, "their evaluations are numbered one by one, like those of the others"), ""
    totals = {total for reading in known for total in _totals(reading.clock)}
    strange = sorted({reading.arm for reading in open_ if not _possible(reading.clock) & totals})
    if strange:
        others = sorted({reading.arm for reading in known if reading.clock.unit == STEP})
        end = max(reading.clock.last for reading in open_ if reading.arm == strange[0])
        return list(readings), (
            f"Speed is not compared: evaluations of {listed(strange[:3])} are numbered one by one (to {end:,.0f}), by "
            f"step or by epoch, those of {listed(others[:3])} by step. Log the metric epoch or the parameter epochs."
        )
    return _set(readings, open_, EPOCH, "they have as many evaluations as the others"), ""


def _set(readings: Sequence[Reading], chosen: Sequence[Reading], unit: str, why: str) -> list[Reading]:
    ids = {reading.run_id for reading in chosen}
    return [
        replace(reading, clock=replace(reading.clock, unit=unit, why=why)) if reading.run_id in ids else reading
        for reading in readings
    ]


def _shifted(open_: Sequence[Reading]) -> bool:
    """Return True if counts from 0 and from 1 agree.

    Some runs count from 0 and others from 1, to the same number of evaluations.
    """
    ends = {first: {reading.clock.last for reading in open_ if reading.clock.first == first} for first in (0, 1)}
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
    """Return how many evaluations follow a run's start, or None.

    The run was logged by step. Gaps are counted too. None if the evaluations are irregular.
    """
    for end in (clock.last, clock.last + 1):
        if end % clock.distance == 0:
            return end / clock.distance
    return None


def _from_zero_or_one(readings: Sequence[Reading]) -> list[Reading]:
    """Decide what runs logged by epoch from 0 on mean.

    They were evaluated before training, or begin after an epoch. First the totals of other runs tell, then what is
    known of the arm, then what is known of all.
    """
    totals = {total for reading in readings if reading.clock.settled for total in _totals(reading.clock)}
    with_totals = [_with_ahead(reading, _by_totals(reading.clock, totals)) for reading in readings]
    by_arm = [_with_ahead(reading, _ahead_of(with_totals, reading.arm)) for reading in with_totals]
    return [_with_ahead(reading, _ahead_of(with_totals)) for reading in by_arm]


def _with_ahead(reading: Reading, ahead: float) -> Reading:
    open_ = reading.clock.unit == EPOCH and isnan(reading.clock.ahead)
    return replace(reading, clock=replace(reading.clock, ahead=ahead)) if open_ else reading


def _by_totals(clock: Clock, totals: set[float]) -> float:
    """Return what to add to logged epochs, or NaN.

    It is NaN if the totals of other runs do not tell.
    """
    if clock.first > 0:
        return 0.0
    ends = (clock.last, clock.last + 1) if clock.settled else ()
    return next((float(ahead) for ahead, end in enumerate(ends) if end in totals), nan)


def _ahead_of(readings: Sequence[Reading], arm: str | None = None) -> float:
    """Return what runs that begin at 0 add to their logged epochs.

    The runs are of one arm, or all. NaN if it is not one number.
    """
    known = {
        reading.clock.ahead
        for reading in readings
        if reading.clock.unit == EPOCH
        and reading.clock.first == 0
        and isfinite(reading.clock.ahead)
        and arm in (None, reading.arm)
    }
    return known.pop() if len(known) == 1 else nan


def _sizes_of_epochs(readings: Sequence[Reading]) -> tuple[list[Reading], list[str]]:
    """Fill in how many steps an epoch has.

    The arm tells. In a mix of runs by step and by epoch, equal numbers of evaluations tell too.
    """
    readings = [_with_size(reading, _median_size(readings, reading.arm, reading.clock.unit)) for reading in readings]
    if {reading.clock.unit for reading in readings if reading.clock.settled} != {STEP, EPOCH}:
        return readings, []
    totals = {
        float(reading.clock.in_epochs(np.array([reading.clock.last]))[0])
        for reading in readings
        if reading.clock.settled and reading.clock.unit == EPOCH
    }
    concluded: dict[str, float] = {}
    for reading in readings:
        evaluations = _evaluations(reading.clock) if reading.clock.settled and reading.clock.unit == STEP else None
        if evaluations in totals and isnan(reading.clock.per_epoch) and not len(reading.clock.epochs[0]):
            concluded[reading.run_id] = reading.clock.distance
    filled = [_with_size(reading, concluded.get(reading.run_id, nan)) for reading in readings]
    sizes = {reading.clock.distance: reading.clock.per_epoch for reading in filled if reading.run_id in concluded}
    # A run that ended early, and is evaluated as often as one that did not, has epochs of the same size.
    again = [_with_size(reading, sizes.get(reading.clock.distance, nan)) for reading in filled]
    return [_with_size(reading, _median_size(again, reading.arm, reading.clock.unit)) for reading in again], _concluded(
        again, concluded
    )


def _concluded(readings: Sequence[Reading], concluded: dict[str, float]) -> list[str]:
    arms = sorted({reading.arm for reading in readings if reading.run_id in concluded})
    sizes = sorted({f"{size:,.0f}" for size in concluded.values()}, key=lambda text: (len(text), text))
    if not arms:
        return []
    size = f"an epoch is read as {listed(sizes)} steps"
    return [f"Those of {listed(arms)}, logged by step, have as many evaluations, so {size}."]


def _median_size(readings: Sequence[Reading], arm: str, unit: str) -> float:
    known = [
        reading.clock.per_epoch
        for reading in readings
        if reading.arm == arm and reading.clock.unit == unit and isfinite(reading.clock.per_epoch)
    ]
    return float(np.median(known)) if known else nan


def _with_size(reading: Reading, size: float) -> Reading:
    """Fill in the steps of an epoch if they are not known.

    They tell whether the steps count from zero.
    """
    clock = reading.clock
    if isnan(size) or isfinite(clock.per_epoch) or len(clock.epochs[0]) or clock.unit == UNSURE:
        return reading
    if clock.unit == EPOCH:
        return replace(reading, clock=replace(clock, per_epoch=size))
    from_zero = clock.last % size != 0 and (clock.last + 1) % size == 0
    return replace(reading, clock=replace(clock, per_epoch=size, ahead=1.0 if from_zero else 0.0))
