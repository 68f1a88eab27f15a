"""Sentences on oscillation.

They say whose training loss climbs back more, or whose evaluations swing more. Only what is claimed is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isfinite
from statistics import fmean

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast
from lit_lossopt.comparison.report.phrases import evidence, metric_of, points
from lit_lossopt.comparison.statistics.contrasts import CLIMB_BACK
from lit_lossopt.core.numbers import share, spelled

_MOST_NAMED = 3


def oscillation(comparison: Comparison) -> list[str]:
    """Return who oscillates more where tests allow it.

    Otherwise nothing is said.
    """
    claimed = [contrast for contrast in comparison.oscillations if contrast.claimed]
    if not claimed:
        return []
    arms = {name for contrast in comparison.oscillations for name in (contrast.first, contrast.second)}
    if len(arms) == 2:
        return [f"{_more(claimed[0], comparison)} {evidence(claimed)}."]
    # Where an arm is not compared with all others, having no probe or other batches, none is most or least.
    ends = [
        (name, claims, most)
        for most in (True, False)
        for name, claims in _extremes(claimed, arms, most=most)
        if len(arms) == len(comparison.arms)
    ]
    said = [f"{_extreme(name, comparison, most=most)} {evidence(claims)}." for name, claims, most in ends]
    told = {id(contrast) for _, claims, _ in ends for contrast in claims}
    left = [contrast for contrast in claimed if id(contrast) not in told]
    return [*said, *_pairs(left, comparison)]


def _extremes(claimed: Sequence[Contrast], arms: set[str], *, most: bool) -> list[tuple[str, list[Contrast]]]:
    """Return the arm that oscillates more, or less, than all others.

    With it come the claims that say so.
    """
    extremes = []
    for name in sorted(arms):
        against = [contrast for contrast in claimed if (contrast.second if most else contrast.first) == name]
        if len(against) == len(arms) - 1:
            extremes.append((name, against))
    return extremes


def _pairs(claimed: Sequence[Contrast], comparison: Comparison) -> list[str]:
    strongest = sorted(claimed, key=lambda contrast: contrast.p)[:_MOST_NAMED]
    left = len(claimed) - len(strongest)
    more = [f"So it is for {spelled(left)} more pair{'s' * (left > 1)}."] if left else []
    return [*(f"{_more(contrast, comparison)} {evidence([contrast])}." for contrast in strongest), *more]


def _more(contrast: Contrast, comparison: Comparison) -> str:
    restless, calm = _levels(contrast, comparison)
    if contrast.quantity == CLIMB_BACK.name:
        return (
            f"{contrast.second}'s training loss climbs back more than {contrast.first}'s, {restless} against {calm} of "
            "each unit of descent"
        )
    return (
        f"{contrast.second}'s evaluations swing more than {contrast.first}'s, by {restless} against {calm} of "
        f"{metric_of(comparison)} in the second half of training"
    )


def _extreme(name: str, comparison: Comparison, *, most: bool) -> str:
    arm: Arm = next(arm for arm in comparison.arms if arm.name == name)
    word = "most" if most else "least"
    if comparison.oscillations[0].quantity == CLIMB_BACK.name:
        return f"{name}'s training loss climbs back {word}, {share(arm.climb_back.value)} of each unit of descent"
    swing = points(arm.roughness.value, comparison.metric)
    return f"{name}'s evaluations swing {word}, by {swing} of {metric_of(comparison)} in the second half of training"


def _levels(contrast: Contrast, comparison: Comparison) -> tuple[str, str]:
    """Return the means of both arms that are compared.

    They are over the seeds that the arms share.
    """
    climbing = contrast.quantity == CLIMB_BACK.name
    arms = {arm.name: arm for arm in comparison.arms}
    second, first = (
        {trial.seed: trial.climb_back if climbing else trial.roughness for trial in arms[name].trials}
        for name in (contrast.second, contrast.first)
    )
    shared = [seed for seed in second if seed in first and isfinite(second[seed]) and isfinite(first[seed])]
    values = [[by_seed[seed] for seed in shared] for by_seed in (second, first)]
    restless, calm = (_climbed(row) if climbing else points(fmean(row), comparison.metric) for row in values)
    return restless, calm


def _climbed(values: Sequence[float]) -> str:
    """Return the geometric mean of climb-backs.

    This is what is compared. Climb-backs have a floor.
    """
    least = CLIMB_BACK.least or 0
    if max(values) <= least:
        return f"{share(least)} or less"
    return share(math.exp(fmean(math.log(max(value, least)) for value in values)))
