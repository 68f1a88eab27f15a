"""The three questions of a page.

They hold the values of each arm that answer them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite, nan

from lit_lossopt.comparison.comparison import Arm, Trial
from lit_lossopt.comparison.measures.axes import least_to_target
from lit_lossopt.comparison.measures.trial import batch_size_of
from lit_lossopt.comparison.statistics.contrasts import (
    CLIMB_BACK,
    FINAL,
    ROUGHNESS,
    STEPS_TO_TARGET,
    Quantity,
    Question,
    Sample,
    without_unknown,
)


def final_question(arms: Sequence[Arm], margin: float, *, higher_is_better: bool) -> Question:
    """Return the question which arm has the better final value.

    Args:
        arms: all that are compared.
        margin: differences within it are equivalent.
        higher_is_better: of the metric.
    """
    quantity = Quantity(FINAL, higher_is_better, margin=margin)
    return Question(quantity, tuple(_sample(arm, lambda trial: trial.final) for arm in arms))


def speed_question(arms: Sequence[Arm]) -> Question:
    """Return the question which arm needs fewer steps to the target.

    It has no samples if no run reached the target.
    """
    quantity = replace(STEPS_TO_TARGET, least=least_to_target(arms))
    return Question(quantity, tuple(map(_speed, arms)) if any(arm.reached for arm in arms) else ())


def oscillation_question(arms: Sequence[Arm]) -> Question:
    """Return the question which arm is steadier.

    It asks for climb-back. Where no two arms have one, it asks for the roughness of evaluations.
    """
    climbing = [_climbing(arm) for arm in arms if isfinite(arm.climb_back.value)]
    if len(climbing) > 1:
        return Question(CLIMB_BACK, tuple(climbing))
    rough = [_sample(arm, lambda trial: trial.roughness) for arm in arms]
    return Question(ROUGHNESS, tuple(sample for sample in rough if sample.values))


def _climbing(arm: Arm) -> Sample:
    """Return the climb-back of an arm's runs.

    Climb-back depends on length and batch size. So its group has only arms whose runs are alike in both.
    """
    kinds = {
        f"{int(trial.probe.steps[-1])} steps of {batch_size_of(trial.run)}"
        for trial in arm.trials
        if isfinite(trial.climb_back)
    }
    sample = _sample(arm, lambda trial: trial.climb_back)
    return replace(sample, group=kinds.pop() if len(kinds) == 1 else f"{arm.name} alone")


def _sample(arm: Arm, value: Callable[[Trial], float]) -> Sample:
    return Sample(arm.name, without_unknown({trial.seed: value(trial) for trial in arm.trials if trial.seed}))


def _speed(arm: Arm) -> Sample:
    """Return the steps to the target of those runs whose length is known."""
    limits = {trial.seed: trial.end for trial in arm.trials if trial.seed and isfinite(trial.end)}
    sample = _sample(arm, lambda trial: trial.steps_to_target if isfinite(trial.end) else nan)
    return replace(sample, limits=limits)
