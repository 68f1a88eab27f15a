"""A branch with the steps of the run that it begins from.

The record of a branch begins where it was begun. What it has behind it stands in the record of another run, its trunk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.records import History, Run

# Ids of runs → those of them that the store has, with histories of some metrics.
Read = Callable[[Collection[str]], Sequence[Run]]


def trunk_of(run: Run) -> tuple[str, int] | None:
    """Return the id of the run that a branch begins from, and the step behind which it does.

    The result is None if the run is no branch.
    """
    run_id, at, step = run.tags.get(names.TAG_BRANCH, "").rpartition("@")
    return (run_id, int(step)) if at and step.isdigit() else None


def with_trunks(runs: Sequence[Run], read: Read) -> list[Run]:
    """Return the same runs, where branches have the histories of their trunks in front of their own.

    A trunk may be a branch itself. Results of tests belong to the trunk alone. A branch whose trunk is gone stays as it
    is.

    Args:
        runs: with histories.
        read: reads further runs with histories of the same metrics.
    """
    known = {run.run_id: run for run in runs}
    wanted = {trunk[0] for run in runs if (trunk := trunk_of(run))} - known.keys()
    while wanted:
        found = {run.run_id: run for run in read(wanted)}
        known |= found
        wanted = {trunk[0] for run in found.values() if (trunk := trunk_of(run))} - known.keys()
    return [_joined(run, known) for run in runs]


def own_part(run: Run) -> Run:
    """Return a run with the steps that it has trained itself."""
    trunk = trunk_of(run)
    if trunk is None:
        return run
    own = {name: points.part(points.steps > trunk[1]) for name, points in run.histories.items()}
    return replace(run, histories={name: points for name, points in own.items() if points.steps.size})


def _joined(run: Run, known: Mapping[str, Run]) -> Run:
    trunk = trunk_of(run)
    if trunk is None:
        return run
    run_id, step = trunk
    if run_id not in known:
        return replace(run, missing_trunk=run_id)
    before = _joined(known[run_id], known)
    joined = dict(run.histories)
    for name, points in before.histories.items():
        if name.startswith(f"{names.TEST}/"):
            continue
        front = points.part(points.steps <= step)
        joined[name] = _in_turn(front, joined[name]) if name in joined else front
    kept = {name: points for name, points in joined.items() if points.steps.size}
    return replace(run, histories=kept, missing_trunk=before.missing_trunk)


def _in_turn(front: History, own: History) -> History:
    """Return one history of two parts. What the run has logged itself counts at a step of both."""
    rest = front.part(~np.isin(front.steps, own.steps))
    order = np.argsort(np.concatenate([rest.steps, own.steps]), kind="stable")
    return History(
        np.concatenate([rest.steps, own.steps])[order],
        np.concatenate([rest.values, own.values])[order],
        np.concatenate([rest.milliseconds, own.milliseconds])[order],
        rest.overridden + own.overridden,
    )
