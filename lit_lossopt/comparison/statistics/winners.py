"""Which arm is named first, and which are like it.

Those are like it that cannot be told apart from it. The numbers of an arm are over all of its runs. Claims are over the
seeds that two arms share. So an arm may be first by the numbers and yet be beaten. Such an arm is not named.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Contrast


def group_of_best(ranked: Sequence[str], contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    """Return the named arm and those that are not claimed to be worse.

    Empty if every arm is beaten by another.

    >>> group_of_best(["Adam", "SGD"], [])
    ('Adam', 'SGD')

    Args:
        ranked: all arms, best first by the numbers.
        contrasts: of all pairs.
    """
    beaten = {contrast.second for contrast in contrasts if contrast.claimed}
    best = next((name for name in ranked if name not in beaten), None)
    if best is None:
        return ()
    behind = {contrast.second for contrast in contrasts if contrast.claimed and contrast.first == best}
    return best, *(name for name in ranked if name != best and name not in behind)


def against_best(contrasts: Sequence[Contrast], alike: Sequence[str]) -> tuple[Contrast, ...]:
    """Return the contrasts with the named arm, and those of ``claimed_besides``."""
    besides = claimed_besides(contrasts, alike)
    named = set(alike[:1])
    return tuple(contrast for contrast in contrasts if contrast in besides or named & {contrast.first, contrast.second})


def claimed_besides(contrasts: Sequence[Contrast], alike: Sequence[str]) -> list[Contrast]:
    """Return the claimed contrasts that the named arm does not already imply.

    Their loser is not yet said to be behind the named arm.
    """
    return [contrast for contrast in contrasts if contrast.claimed and (not alike or contrast.second in alike)]


def fastest(arms: Sequence[Arm]) -> Arm:
    """Return the arm with the smallest median of steps to the target.

    Of several, it is the one whose runs reach it soonest.
    """
    return by_speed(arms)[0]


def by_speed(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms with known steps to the target, fastest first.

    Arms of equal median are ordered by the share of runs that reached the target, then by the mean of the logarithm
    of their steps, then by their names.
    """
    known = [arm for arm in arms if not isnan(arm.steps_to_target.value)]
    return sorted(
        known,
        key=lambda arm: (arm.steps_to_target.value, -arm.reached / len(arm.trials), _mean_log_steps(arm), arm.name),
    )


def _mean_log_steps(arm: Arm) -> float:
    known = [trial.steps_to_target for trial in arm.trials if not isnan(trial.steps_to_target)]
    # A target that was met before the first step has no logarithm.
    return float(np.mean([np.log(max(steps, 1e-6)) for steps in known]))
