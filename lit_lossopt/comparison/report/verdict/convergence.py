"""Sentences on convergence.

They say who reaches the target sooner, and who ends better.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Decision
from lit_lossopt.comparison.report.phrases import (
    arm_named,
    bare,
    evidence,
    metric_of,
    points,
    quantity,
    size_interval,
    unequal_budgets,
    within,
)
from lit_lossopt.comparison.statistics.winners import claimed_besides
from lit_lossopt.core.numbers import counted, listed, ratio, significant, some, spelled, times

_MOST_LISTED = 4


def speed(comparison: Comparison) -> list[str]:
    """Say who reaches the target sooner."""
    unknown = no_speed(comparison)
    if unknown:
        return [unknown]
    goal = quantity(comparison.target, comparison)
    if len(comparison.arms) == 1:
        return [f"{comparison.arms[0].name} reaches {goal} {_to_target(comparison.arms[0], comparison)}."]
    if _all_are(comparison.speeds, Decision.SAME):
        return []
    if _all_are(comparison.speeds, Decision.UNTESTED):
        return _medians(comparison, goal)
    return _compared_speed(comparison, goal)


def _compared_speed(comparison: Comparison, goal: str) -> list[str]:
    others = claimed_besides(comparison.speeds, comparison.alike_speed)
    besides = _besides([f"{contrast.first} is {faster(contrast)}" for contrast in others], others)
    if not comparison.alike_speed:
        return [f"No arm is first to {goal}, since over shared seeds each is behind another.", *besides]
    return [*_soonest(comparison, goal), *besides]


def _soonest(comparison: Comparison, goal: str) -> list[str]:
    first = arm_named(comparison, comparison.alike_speed[0])
    claimed = [contrast for contrast in comparison.speeds if contrast.claimed and contrast.first == first.name]
    if not claimed:
        return [f"No arm can be said to reach {goal} sooner than all others.", *_medians(comparison, goal)]
    ahead = some([faster(contrast) for contrast in claimed])
    budgets = unequal_budgets(comparison, claimed)
    reaches = f"{first.name} reaches {goal} {_to_target(first, comparison)}"
    return [f"{reaches}, seed by seed {ahead}{budgets} {evidence(claimed)}."]


def no_speed(comparison: Comparison) -> str:
    """Return why nothing can be said of speed, if so."""
    if comparison.no_speed:
        return comparison.no_speed
    if all(isnan(trial.steps_to_target) for arm in comparison.arms for trial in arm.trials):
        return "Speed cannot be told, since the runs have one evaluation each."
    if not any(arm.reached for arm in comparison.arms):
        return f"No run reached {quantity(comparison.target, comparison)}."
    return ""


def final(comparison: Comparison) -> list[str]:
    """Say who ends better."""
    side = "above" if comparison.higher_is_better else "below"
    others = claimed_besides(comparison.finals, comparison.alike)
    besides = _besides(
        [f"{contrast.first} ends {_difference(contrast, comparison)} {side} {contrast.second}" for contrast in others],
        others,
    )
    if len(comparison.arms) == 1:
        return [f"It ends at {_level(comparison.arms[0], comparison)}."]
    if _all_are(comparison.finals, Decision.SAME):
        return []
    if _all_are(comparison.finals, Decision.UNTESTED):
        return _means(comparison)
    if not comparison.alike:
        return ["No arm ends best, since over shared seeds each is behind another.", *besides]
    best = arm_named(comparison, comparison.alike[0])
    claimed = [contrast for contrast in comparison.finals if contrast.claimed and contrast.first == best.name]
    if not claimed:
        said = f"No arm can be said to end better than all others in {metric_of(comparison)}."
        return [said, *_means(comparison), *besides]
    ahead = some([f"{_difference(contrast, comparison)} {side} {contrast.second}" for contrast in claimed])
    ends = "ends best, at" if len(comparison.alike) == 1 else "ends at"
    budgets = unequal_budgets(comparison, claimed)
    return [
        f"{best.name} {ends} {_level(best, comparison)}, {ahead}{budgets} {evidence(claimed)}.",
        *_by_all_runs(comparison, best),
        *besides,
    ]


def faster(contrast: Contrast) -> str:
    """Return ``1.4× [1.2 to 1.6] faster than sgd``.

    There is no factor where the faster arm missed the target, too.
    """
    ahead, (own, missed) = contrast.difference, contrast.missed
    if own:
        got = [spelled(ahead.n - count) if count < ahead.n else "none" for count in (own, missed)]
        return (
            f"faster than {contrast.second} as far as both were run, where {contrast.first} gets there in {got[0]} of "
            f"{counted(ahead.n, 'run')} and {contrast.second} in {got[1]}"
        )
    if not missed:
        return f"{times(ahead.value)}{within(ahead, ratio)} faster than {contrast.second}"
    got_there = spelled(ahead.n - missed) if missed < ahead.n else "none"
    from_ = "" if isnan(ahead.low) else f" [{ratio(ahead.low)} or more]"
    return (
        f"at least {times(ahead.value)}{from_} faster than {contrast.second}, which gets there in {got_there} of "
        f"{counted(ahead.n, 'run')}"
    )


def _to_target(arm: Arm, comparison: Comparison) -> str:
    """Return how fast an arm reached the target.

    An example is ``in 1,240 steps [1,180 to 1,310]``. It says in how many runs that was, or ``never``.
    """
    place = arm.steps_to_target
    if not isfinite(place.value):
        return f"in {spelled(arm.reached)} of {counted(len(arm.trials), 'run')}" if arm.reached else "never"
    noun = comparison.axis if significant(place.value) == "1" else f"{comparison.axis}s"
    runs = f" ({counted(len(arm.trials), 'run')}, no arm to compare with)" if len(comparison.arms) == 1 else ""
    return f"in {significant(place.value)} {noun}{within(place, significant)}{runs}"


def _medians(comparison: Comparison, goal: str) -> list[str]:
    """Return how long each arm took, without ranking them.

    Arms are in the order of their names.
    """
    arms = sorted(comparison.arms, key=lambda arm: arm.name)
    if len(arms) > _MOST_LISTED:
        return []
    first, *others = arms
    reaches = f"{first.name} reaches {goal} {_to_target(first, comparison)}"
    return [f"In the median {listed([reaches, *(f'{arm.name} {_to_target(arm, comparison)}' for arm in others)])}."]


def _means(comparison: Comparison) -> list[str]:
    """Return where each arm ends, without ranking them.

    Arms are in the order of their names. Unknown ends are left out.
    """
    arms = sorted((arm for arm in comparison.arms if not isnan(arm.final.value)), key=lambda arm: arm.name)
    if not arms or len(arms) > _MOST_LISTED:
        return []
    first, *others = arms
    ends = f"{first.name} ends at {_level(first, comparison)}"
    return [
        f"In the mean {listed([ends, *(f'{arm.name} at {_level(arm, comparison, short=True)}' for arm in others)])}."
    ]


def _level(arm: Arm, comparison: Comparison, *, short: bool = False) -> str:
    interval = within(arm.final, lambda x: bare(x, comparison.metric))
    if isnan(arm.final.value):
        return "unknown"
    return quantity(arm.final.value, comparison, interval, short=short)


def _besides(said: Sequence[str], claims: Sequence[Contrast]) -> list[str]:
    return [f"Over shared seeds {some(said)} {evidence(claims)}."] if claims else []


def _by_all_runs(comparison: Comparison, best: Arm) -> list[str]:
    """Return a remark where the best mean is not the named arm's."""
    top = comparison.arms[0]
    if top.name == best.name or not any(
        contrast.claimed and contrast.second == top.name for contrast in comparison.finals
    ):
        return []
    level = quantity(top.final.value, comparison)
    return [f"The mean over all runs of {top.name} is better, {level}, but over shared seeds it is behind."]


def _difference(contrast: Contrast, comparison: Comparison) -> str:
    difference, metric = contrast.difference, comparison.metric
    return f"{points(difference.value, metric)}{size_interval(difference, metric)}"


def _all_are(contrasts: Sequence[Contrast], decision: Decision) -> bool:
    return all(contrast.decision is decision for contrast in contrasts)
