"""Every arm against every other by one quantity: differences by seed, tests, what may be claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.compare.comparison import Contrast, Estimate
from lit_lossopt.compare.statistics import (
    LEAST_PAIRS,
    LEVEL,
    SIGN_FLIP,
    PairedTest,
    bca_interval,
    holm,
    holm_levels,
    paired_test,
    seeds_for_power,
    seeds_for_sign_flip,
    signed_ranks,
    wins,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """What is compared.

    Attributes:
        name: as in ``Contrast.quantity``.
        higher_is_better: whether more of it is better.
        least: None where differences count; where ratios count, values below this (of no meaning, or 0) count as this.
        margin: differences within it are equivalent; NaN where none was stated.
    """

    name: str
    higher_is_better: bool = False
    least: float | None = None
    margin: float = nan


# A target that was met before the first step was met in one step.
STEPS_TO_TARGET = Quantity("steps_to_target", least=1.0)
# Below this, ripple is rounding.
RIPPLE = Quantity("ripple", least=1e-9)
ROUGHNESS = Quantity("roughness")


@dataclass(frozen=True)
class Sample:
    """One arm's values.

    Attributes:
        name: of the arm.
        values: seed → value, infinite where a run never got there.
        limits: seed → how far a run that never got there would have gone.
        beyond: whether some values are infinite only because the other run of the pair had ended by then.
    """

    name: str
    values: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)
    beyond: bool = False


def contrasts(samples: Sequence[Sample], quantity: Quantity) -> list[Contrast]:
    """Return the contrasts of all pairs of arms, in the order of the samples, adjusted together.

    Holm's adjustment runs over all pairs, also where only those with the best arm are shown: which arm is best was
    found in the same data, and among four or six equal arms the best differs "significantly" from another in 7 to 10 %
    of cases if only the comparisons with it are counted.
    """
    made = [_pair(first, second, quantity) for index, first in enumerate(samples) for second in samples[index + 1 :]]
    raw = [test.p for _, test in made]
    judged = zip(made, holm(raw), holm_levels(raw), strict=True)
    return [_judged(contrast, test, adjusted, level) for (contrast, test), adjusted, level in judged]


def _pair(first: Sample, second: Sample, quantity: Quantity) -> tuple[Contrast, PairedTest]:
    """Return the contrast of two arms before adjustment, the better one first."""
    seeds = [
        seed
        for seed in sorted(set(first.values) & set(second.values))
        if not (math.isnan(first.values[seed]) or math.isnan(second.values[seed]))
    ]
    first, second = _within_both(first, second), _within_both(second, first)
    lead = _lead(
        np.array([first.values[seed] for seed in seeds]), np.array([second.values[seed] for seed in seeds]), quantity
    )
    if _direction(lead) < 0:
        first, second, lead = second, first, -lead
    test = paired_test(lead)
    contrast = Contrast(
        first=first.name,
        second=second.name,
        quantity=quantity.name,
        difference=_difference(test.mean, test.low, test.high, len(seeds), quantity),
        bound=_bound(first, second, seeds, quantity) if not np.isfinite(lead).all() else nan,
        p=test.p,
        p_adjusted=nan,
        p_sign_flip=test.p_sign_flip,
        test=test.test,
        wins=wins(lead),
        claimed=False,
        equivalent=max(abs(test.low), abs(test.high)) < quantity.margin,
        seeds_needed=None,
        remark=_remark(test.remark, first, second, seeds),
    )
    estimate = _difference(test.mean, *bca_interval(lead), len(seeds), quantity)
    return replace(contrast, bootstrap=(estimate.low, estimate.high)), test


def _within_both(one: Sample, other: Sample) -> Sample:
    """Return values with never for those that came after the other run had ended without getting there.

    Which of the two is faster is not known then.
    """
    lost = {
        seed
        for seed, value in one.values.items()
        if other.values.get(seed) == inf and inf > value > other.limits.get(seed, nan)
    }
    return replace(one, values={**one.values, **dict.fromkeys(lost, inf)}, beyond=bool(lost)) if lost else one


def _judged(contrast: Contrast, test: PairedTest, adjusted: float, level: float) -> Contrast:
    needed = seeds_for_power(test.effect, level)
    if test.test == SIGN_FLIP:
        possible = seeds_for_sign_flip(round(LEVEL / level))
        needed = max(possible, needed or possible)
    return replace(contrast, p_adjusted=adjusted, claimed=adjusted < LEVEL, seeds_needed=needed)


def _lead(first: Floats, second: Floats, quantity: Quantity) -> Floats:
    """Return by how much the first is better, seed by seed ``[n]``; two runs that both never got there are even."""
    if quantity.least is not None:
        first, second = (np.log(np.maximum(values, quantity.least)) for values in (first, second))
    even = first == second
    with np.errstate(invalid="ignore"):
        lead = first - second if quantity.higher_is_better else second - first
    return np.where(even, 0.0, lead)


def _direction(lead: Floats) -> float:
    return float(np.sum(lead if np.isfinite(lead).all() else signed_ranks(lead)))


def _difference(mean: float, low: float, high: float, n: int, quantity: Quantity) -> Estimate:
    """Return a lead with its interval in the terms of ``Contrast.difference``."""
    if not math.isfinite(mean):
        return Estimate(nan, n=n)
    if quantity.least is not None:
        return Estimate(math.exp(mean), math.exp(low), math.exp(high), n)
    if quantity.higher_is_better:
        return Estimate(mean, low, high, n)
    return Estimate(-mean, -high, -low, n)


def _bound(first: Sample, second: Sample, seeds: Sequence[str], quantity: Quantity) -> float:
    """Return the geometric mean of the least factors by which the first is ahead, over seeds that bound it from below.

    A seed where the second never got there bounds it by how far that run would have gone; one where neither did says
    nothing. NaN where the first never got to where the second did: nothing bounds it then.
    """
    logs = []
    for seed in seeds:
        ahead, behind = first.values[seed], second.values[seed]
        if ahead == behind == inf:
            continue
        if ahead == inf:
            return nan
        behind = second.limits.get(seed, nan) if behind == inf else behind
        logs.append(math.log(max(behind, quantity.least or 0.0) / max(ahead, quantity.least or 0.0)))
    return math.exp(float(np.mean(logs))) if logs else nan


def _remark(said: str, first: Sample, second: Sample, seeds: Sequence[str]) -> str:
    if seeds and all(first.values[seed] == second.values[seed] == inf for seed in seeds):
        beyond = first.beyond or second.beyond
        return "reached only beyond the budget of the other" if beyond else "neither reached the target"
    if len(seeds) >= LEAST_PAIRS or not said:
        return said
    return "fewer than three pairs of seeds" if seeds else "no seed in common"
