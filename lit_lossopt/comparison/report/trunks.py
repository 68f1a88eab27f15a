"""Arms as they are drawn, so that what several share is drawn once.

A branch has the steps of its trunk in front of its own. Its line begins where it leaves the trunk's line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Trial
from lit_lossopt.tracking.reading.branches import trunk_of


def drawn_once(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Return arms whose runs begin where they leave runs of another arm.

    An arm stays whole if no other arm has what is in front of its branches.

    Args:
        arms: in the order in which they are drawn.
    """
    shown = []
    for place, arm in enumerate(arms):
        step = _common_step(arm)
        others = [(other, before) for before, other in enumerate(arms) if other is not arm]
        if step and any(_has_front(other, arm, earlier=before < place) for other, before in others):
            arm = replace(arm, trials=tuple(_from(trial, step) for trial in arm.trials))  # noqa: PLW2901  # as drawn
        shown.append(arm)
    return tuple(shown)


def _common_step(arm: Arm) -> int:
    """Return the step behind which all runs of an arm branch off, or 0."""
    steps = {trunk[1] if (trunk := trunk_of(trial.run)) else 0 for trial in arm.trials}
    return steps.pop() if len(steps) == 1 else 0


def _has_front(other: Arm, arm: Arm, *, earlier: bool) -> bool:
    """Return whether another arm draws what is in front of an arm's branches.

    It has their trunks, or later branches of the same trunks, or is an earlier arm with branches of the same step.
    """
    ids = {trial.run.run_id for trial in other.trials}
    reach = {trunk[0]: trunk[1] for trial in other.trials if (trunk := trunk_of(trial.run))}
    for trial in arm.trials:
        trunk = trunk_of(trial.run)
        if trunk is None:
            return False
        further = reach.get(trunk[0], 0)
        if not (trunk[0] in ids or further > trunk[1] or (earlier and further == trunk[1])):
            return False
    return True


def _from(trial: Trial, step: int) -> Trial:
    """Return a run from its branch on, with the evaluation before, at which its line begins."""
    first = int(np.searchsorted(trial.curve.steps, step, side="right")) - 1
    evaluations = slice(max(first, 0), None)
    losses = slice(int(np.searchsorted(trial.losses.steps, step, side="right")), None)
    return replace(
        trial,
        curve=trial.curve.part(evaluations),
        losses=trial.losses.part(losses),
        seconds=trial.seconds[evaluations],
        examples=trial.examples[evaluations],
        axis=trial.axis[evaluations] if len(trial.axis) else trial.axis,
        losses_axis=trial.losses_axis[losses] if len(trial.losses_axis) else trial.losses_axis,
    )
