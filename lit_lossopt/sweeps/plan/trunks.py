"""From which arm the trials of another one begin."""

from __future__ import annotations

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.sweeps.plan.arms import Arm, arms
from lit_lossopt.sweeps.plan.file import Level, Plan
from lit_lossopt.sweeps.plan.start import Start


def start_of(plan: Plan, arm: Arm) -> Start | None:
    """Return from which training the trials of an arm begin, if from any.

    Raises:
        UserError: two of its levels say so.
    """
    starts = [level for level in arm.levels if level.start]
    if len(starts) > 1:
        raise UserError(
            f"{plan.path}: {starts[0].name} and {starts[1].name} both have a start; a training begins in one place"
        )
    return starts[0].start if starts else None


def trunk_arm(plan: Plan, arm: Arm, start: Start, before: tuple[str, ...] = ()) -> Arm:
    """Return the arm from which the trials of another one begin.

    Args:
        plan: with the arms.
        arm: the other one.
        start: as it stands in the plan.
        before: names of the arms that begin from this one.

    Raises:
        UserError: there is no such arm, it is tried at several points, the arms begin from each other, or one begins
            before its trunk does.
    """
    own = next(level for level in arm.levels if level.start)
    where = f"{plan.path}: start.arm={start.arm} of {own.name}"
    chain = (*before, arm.name)
    found = _named(plan, arm, own, start, where)
    if found.name in chain:
        raise UserError(f"{where}: {', '.join(chain)} begin from each other; one must begin from scratch")
    if found.search:
        raise UserError(
            f"{where}: it is tried at several points, and only one can be begun from; write a training with one rate "
            "into sweep.trunks"
        )
    below = start_of(plan, found)
    if below:
        trunk_arm(plan, found, below, chain)
        if below.step is not None and start.step is not None and start.step <= below.step:
            raise UserError(
                f"{where}: step={start.step}: {found.name} itself begins behind step {below.step}; take a later one"
            )
    return found


def _named(plan: Plan, arm: Arm, own: Level, start: Start, where: str) -> Arm:
    """Return the arm that a start names: the same levels with another one of its factor, or an entry of trunks."""
    factor = next((levels for levels in plan.factors.values() if own in levels), ())
    sibling = next((level for level in factor if level.name == start.arm), None)
    trunk = next((level for level in plan.trunks if level.name == start.arm), None)
    if sibling is not None:
        levels = tuple(sibling if level is own else level for level in arm.levels)
        return next(one for one in arms(plan) if one.levels == levels)
    if trunk is not None:
        return Arm(trunk.name, (trunk,), None)
    known = [level.name for level in (*factor, *plan.trunks) if level is not own]
    raise UserError(f"{where}: no such arm{did_you_mean(start.arm, known)}; there are: {', '.join(known)}")
