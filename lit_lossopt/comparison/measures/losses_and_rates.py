"""Which learning rate suits which loss.

Arms that were tried come in. How far best rates are apart goes out, and which losses share a rate that was not tuned.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import isfinite, isnan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import Arm, ArmRuns, Edge, RateShift, SharedRate
from lit_lossopt.comparison.grouping.alike import LossFamily, alike_but_for_loss
from lit_lossopt.comparison.grouping.arms import TUNING
from lit_lossopt.comparison.measures.rate_shift import best_rate, rate_shift
from lit_lossopt.comparison.measures.trial import final_of, seed_of, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.names import RESULTS, Verdict

Floats = NDArray[np.float64]
# Of each seed: rate → final value, of which more is better, and whether the rate can be the best.
Curves = Mapping[str, Mapping[float, tuple[float, bool]]]


def rate_shifts(tried: Sequence[ArmRuns], metric: str, *, higher_is_better: bool) -> tuple[RateShift, ...]:
    """Return how far the best rates of each two losses are apart.

    Both are trained alike but for the loss, at two rates or more in each seed that counts.

    Args:
        tried: all arms, compared or for tuning.
        metric: the compared one.
        higher_is_better: of the metric.
    """
    sign = 1.0 if higher_is_better else -1.0
    shifts = []
    for group in alike_but_for_loss(tried):
        curves = [(family, _curves(family, metric, sign)) for family in group]
        shifts += [_shift(one, other) for one, other in itertools.combinations(curves, 2)]
    return tuple(shift for shift in shifts if shift is not None)


def shared_rates(arms: Sequence[Arm], tried: Sequence[ArmRuns]) -> tuple[SharedRate, ...]:
    """Return losses that were trained alike at one rate, if no other rate was tried for any of them.

    Args:
        arms: those that are compared.
        tried: all arms, compared or for tuning.
    """
    compared = {arm.name for arm in arms}
    found = []
    for group in alike_but_for_loss(tried):
        at: dict[float, list[LossFamily]] = {}
        for family in group:
            rates = {arm.learning_rate for arm in family.arms}
            if len(rates) == 1 and isfinite(rate := rates.pop()) and compared & {arm.name for arm in family.arms}:
                at.setdefault(rate, []).append(family)
        found += [
            SharedRate(tuple(family.loss for family in families), families[0].beside, rate)
            for rate, families in at.items()
            if len(families) > 1
        ]
    return tuple(found)


def _curves(family: LossFamily, metric: str, sign: float) -> Curves:
    """Return the final value at each rate, seed by seed."""
    found: dict[str, dict[float, list[tuple[float, bool]]]] = {}
    for arm in family.arms:
        for run in arm.runs:
            if verdict_of(run) in RESULTS and arm.learning_rate > 0:
                point = sign * final_of(run, metric), verdict_of(run) != Verdict.DIVERGED
                found.setdefault(seed_of(run), {}).setdefault(arm.learning_rate, []).append(point)
    return {
        seed: {rate: _mean(points) for rate, points in sorted(curve.items())}
        for seed, curve in found.items()
        if len(curve) > 1
    }


def _mean(points: Sequence[tuple[float, bool]]) -> tuple[float, bool]:
    return float(np.mean([value for value, _ in points])), all(able for _, able in points)


def _shift(one: tuple[LossFamily, Curves], other: tuple[LossFamily, Curves]) -> RateShift | None:
    """Return how far two losses' best rates are apart, the higher one first."""
    pairs = [(_best(one[1][seed]), _best(other[1][seed])) for seed in one[1] if seed in other[1]]
    known = [(a, b) for a, b in pairs if not (isnan(a[0]) or isnan(b[0]))]
    if not known:
        return None
    factor = rate_shift([a[0] for a, _ in known], [b[0] for _, b in known])
    if factor.value < 1:
        return _shift(other, one)
    edges = (*_edges(one[0].loss, [a for a, _ in known]), *_edges(other[0].loss, [b for _, b in known]))
    step = max(_step(curve) for curves in (one[1], other[1]) for curve in curves.values())
    return RateShift(one[0].loss, other[0].loss, one[0].beside, factor, step, edges, _is_tuning(one[0], one[1]))


def _is_tuning(family: LossFamily, curves: Curves) -> bool:
    phases = {run.tags.get(names.TAG_PHASE) for arm in family.arms for run in arm.runs if seed_of(run) in curves}
    return phases == {TUNING}


def _best(curve: Mapping[float, tuple[float, bool]]) -> tuple[float, int]:
    return best_rate(
        np.log10(list(curve)), [value for value, _ in curve.values()], [able for _, able in curve.values()]
    )


def _edges(loss: str, best: Sequence[tuple[float, int]]) -> list[Edge]:
    """Return at which ends of the tried rates the best of some seed lies."""
    ends = {side: 10**log for log, side in best if side}
    return [Edge(loss, rate, highest=side > 0) for side, rate in sorted(ends.items())]


def _step(curve: Mapping[float, tuple[float, bool]]) -> float:
    return float(max(second / first for first, second in itertools.pairwise(curve)))
