"""Who oscillates most and least, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from lit_lossopt.compare.comparison import Comparison, Contrast
from lit_lossopt.compare.phrases import counted, listed, metric_words, probability, within


def oscillation(comparison: Comparison) -> list[str]:
    """Say who oscillates most and least: as a claim where tests allow it, else as numbers."""
    made = comparison.oscillations
    if len(comparison.arms) < 2:
        return []
    if not made:
        known = sum(isfinite(arm.roughness.value) for arm in comparison.arms)
        why = "the arms share no seed" if known > 1 else "there are too few step losses and evaluations"
        return [f"Oscillation cannot be compared: {why}."]
    levels = _levels(comparison)
    ranked = sorted(levels, key=lambda name: (levels[name], name))
    least, most = ranked[0], ranked[-1]
    if len(ranked) == 2 and made[0].claimed:
        return [f"{_by(made[0], comparison)} {_evidence(made)}."]
    claims = []
    for name, better, word in ((most, False, "most"), (least, True, "least")):
        against = [one for one in made if name in {one.first, one.second}]
        if all(one.claimed and (one.first == name) == better for one in against):
            claims.append(f"{name} oscillates {word} {_evidence(against)}")
    if claims:
        return [f"{listed(claims)}, by {_measure(made[0], comparison)}."]
    if all(one.difference.value in {0.0, 1.0} for one in made):
        return [f"The arms do not differ in oscillation, by {_measure(made[0], comparison)}."]
    measure = _measure(made[0], comparison)
    return [f"By the numbers {most} oscillates most and {least} least ({measure}), but neither can be claimed."]


def _levels(comparison: Comparison) -> Mapping[str, float]:
    if comparison.oscillations[0].quantity == "ripple":
        return {arm.name: arm.ripple.value for arm in comparison.arms if isfinite(arm.ripple.value)}
    return {arm.name: arm.roughness.value for arm in comparison.arms if isfinite(arm.roughness.value)}


def _by(contrast: Contrast, comparison: Comparison) -> str:
    more = f"{contrast.second} oscillates more than {contrast.first}"
    if contrast.quantity != "ripple":
        return f"{more}, by {_measure(contrast, comparison)}"
    size = contrast.difference
    return f"{more}: the ripple of its step losses is {size.value:.3g}×{within(size, lambda x: f'{x:.3g}')} as large"


def _measure(contrast: Contrast, comparison: Comparison) -> str:
    if contrast.quantity == "ripple":
        return "the ripple of the step losses"
    return f"how much {metric_words(comparison.metric)} jumps between evaluations in the second half of training"


def _evidence(claimed: Sequence[Contrast]) -> str:
    n = min(one.difference.n for one in claimed)
    return f"({counted(n, 'seed')}, {probability(max(one.p_adjusted for one in claimed))} after Holm)"
