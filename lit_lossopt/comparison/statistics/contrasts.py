"""Every arm against every other, in every question of a page.

Values by seed come in. Differences, tests, and what may be claimed go out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf, isinf, isnan, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import SAME, Arm, Contrast, Estimate
from lit_lossopt.comparison.statistics.family import Family, Presence, count_pairs, family
from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS, Judge
from lit_lossopt.comparison.statistics.paired_tests import (
    PAIRED_T,
    SIGN_FLIP,
    PairedTest,
    paired_test,
    seeds_for_power,
    wins,
)
from lit_lossopt.core.names import Verdict

Floats = NDArray[np.float64]

NO_SHARED_SEED = "no seed in common"
TOO_FEW_SEEDS = "too few seeds for so many comparisons"
NEITHER = "neither reached the target"
BEYOND = "reached only beyond the budget of the other"
NEXT_TO_NOTHING = "next to nothing in both"
# Nobody trains more.
_MOST_SEEDS = 1000
# Values that are equal up to rounding are equal.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Quantity:
    """What is compared.

    Attributes:
        name: as in ``Contrast.quantity``.
        higher_is_better: whether more of it is better.
        least: None if differences count. If ratios count, values below this (of no meaning, or 0) count as this.
        margin: differences within it are equivalent. NaN if none was stated.
    """

    name: str
    higher_is_better: bool = False
    least: float | None = None
    margin: float = nan


FINAL = "final"
# A target that was met before the first step was met in one step.
STEPS_TO_TARGET = Quantity("steps_to_target", least=1.0)
# Below this, climbing back is next to nothing, and ratios of it would be ratios of rounding.
CLIMB_BACK = Quantity("climb_back", least=0.01)
ROUGHNESS = Quantity("roughness")


@dataclass(frozen=True)
class Sample:
    """The values of one arm.

    Attributes:
        name: of the arm.
        values: seed → value, infinite if a run never got there. Seeds without a value are left out.
        limits: seed → how far the run went, or would have gone. Values are compared up to where both of a pair went.
        group: only arms of one group are compared.
    """

    name: str
    values: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class Question:
    """A quantity, and the arms that have it."""

    quantity: Quantity
    samples: tuple[Sample, ...]

    def pairs(self) -> Iterator[tuple[Sample, Sample]]:
        """Give all pairs of arms that may be compared."""
        return (pair for pair in combinations(self.samples, 2) if pair[0].group == pair[1].group)

    def presence(self) -> list[Presence]:
        """Return which arm has a value at which seed ``[arms, seeds]``.

        There is one such table for each group of arms.

        >>> Question(ROUGHNESS, (Sample("Adam", {"0": 0.1, "1": 0.2}), Sample("SGD", {"1": 0.3}))).presence()
        [array([[ True,  True],
               [False,  True]])]
        """
        seeds = sorted({seed for sample in self.samples for seed in sample.values})
        groups: dict[str, list[list[bool]]] = {}
        for sample in self.samples:
            groups.setdefault(sample.group, []).append([seed in sample.values for seed in seeds])
        return [np.array(rows, dtype=bool) for rows in groups.values()]


def contrasts(questions: Sequence[Question]) -> tuple[list[list[Contrast]], Family]:
    """Return the contrasts of all pairs, for each question.

    With them comes the family by which all of them were judged. They are adjusted together, because which arm is best,
    and in which question, was found in the same data.

    >>> first = Sample("Adam", {"0": 0.91, "1": 0.93, "2": 0.92, "3": 0.94})
    >>> second = Sample("SGD", {"0": 0.81, "1": 0.82, "2": 0.83, "3": 0.84})
    >>> [[contrast]], family = contrasts([Question(Quantity(FINAL, higher_is_better=True), (second, first))])
    >>> contrast.first, contrast.claimed, family.comparisons
    ('Adam', True, 1)
    """
    whole = family([present for question in questions for present in question.presence()])
    return contrasts_by(whole, questions), whole


def contrasts_by(judge: Judge, questions: Sequence[Question]) -> list[list[Contrast]]:
    """Return the contrasts of all pairs, for each question, by one judge."""
    return [[contrast(*pair, question.quantity, judge) for pair in question.pairs()] for question in questions]


def count_comparisons(questions: Sequence[Question]) -> int:
    """Return how many pairs share enough seeds for a test, over all questions."""
    return sum(count_pairs(present) for question in questions for present in question.presence())


def count_all_pairs(questions: Sequence[Question]) -> int:
    """Return how many pairs may ever be tested, over all questions.

    Pairs that share too few seeds by now are among them, because seeds may be added.
    """
    return sum(1 for question in questions for _ in question.pairs())


def not_equal_by_accident(contrasts: Sequence[Contrast], arms: Sequence[Arm]) -> list[Contrast]:
    """Return contrasts of final values in which no broken arm is equivalent.

    A run that diverged or collapsed counts at its last finite evaluation, which may be as good as any. Nobody would
    take its arm for the other.
    """
    broken = {arm.name for arm in arms if set(arm.verdicts) - {Verdict.COMPLETED}}
    return [
        replace(contrast, equivalent=contrast.equivalent and not {contrast.first, contrast.second} & broken)
        for contrast in contrasts
    ]


def contrast(first: Sample, second: Sample, quantity: Quantity, judge: Judge) -> Contrast:
    """Return the contrast of two arms, the better one first.

    Args:
        first: one arm.
        second: the other.
        quantity: what is compared.
        judge: says what may be claimed, and makes the interval.
    """
    seeds = sorted(set(first.values) & set(second.values))
    lead = _lead(first, second, seeds, quantity)
    if float(np.sum(lead)) < 0:
        first, second, lead = second, first, -lead
    test = paired_test(lead)
    if test.test and not judge.may_claim(len(lead)):
        test = PairedTest(test.mean, remark=TOO_FEW_SEEDS, effect=test.effect)
    # The same level makes the interval and the claim, so that both always agree.
    half = judge.critical_value(len(lead)) * test.error if test.test == PAIRED_T else nan
    low, high = test.mean - half, test.mean + half
    # Of differences that are all the same there is no interval.
    claimed = test.p < judge.level_of(len(lead)) if isnan(half) else low > 0
    equivalent = max(abs(low), abs(high)) < quantity.margin
    remark = _remark(test, first, second, seeds)
    unknown = remark in {NEITHER, BEYOND, NEXT_TO_NOTHING}
    return Contrast(
        first=first.name,
        second=second.name,
        quantity=quantity.name,
        difference=_difference(nan if unknown else test.mean, low, high, len(lead), quantity),
        p=test.p,
        p_adjusted=judge.adjusted(test.p, len(lead)),
        test=test.test,
        wins=nan if unknown else wins(lead),
        claimed=claimed,
        equivalent=equivalent,
        seeds_needed=None if claimed or equivalent else _seeds_needed(test, len(lead), judge),
        remark=remark,
        leads=tuple(lead.tolist()),
        missed=_missed(first, second, seeds),
    )


def _lead(first: Sample, second: Sample, seeds: Sequence[str], quantity: Quantity) -> Floats:
    """Return by how much the first is better, seed by seed ``[n]``.

    Leads of ratios are logarithms. Runs are compared up to where both of a pair went, and one that never got there
    counts as far as that. Two that both did not get there are even.

    Source: Royston and Parmar 2013, "Restricted mean survival time".
    """
    one, other = _restricted(first, second, seeds)
    even = np.isclose(one, other, rtol=_ROUNDING, atol=0)
    if quantity.least is not None:
        one, other = (np.log(np.maximum(values, quantity.least)) for values in (one, other))
    lead: Floats = np.where(even, 0.0, one - other if quantity.higher_is_better else other - one)
    return lead


def _restricted(first: Sample, second: Sample, seeds: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the values of both arms ``[n]``.

    Each is at most as far as both runs of its pair went.
    """
    limits = [min(first.limits.get(seed, inf), second.limits.get(seed, inf)) for seed in seeds]
    one, other = (np.array([sample.values[seed] for seed in seeds], dtype=np.float64) for sample in (first, second))
    return np.minimum(one, limits), np.minimum(other, limits)


def _remark(test: PairedTest, first: Sample, second: Sample, seeds: Sequence[str]) -> str:
    """Return why no test was made, or an empty text.

    Two arms are the same only if runs got there, with values of some meaning.
    """
    if not seeds:
        return NO_SHARED_SEED
    if test.remark != SAME:
        return test.remark
    one, other = _restricted(first, second, seeds)
    if not np.allclose(one, other, rtol=_ROUNDING, atol=0):
        return NEXT_TO_NOTHING
    if any(_missed(first, second, [seed]) == (0, 0) for seed in seeds):
        return SAME
    reached = [value for sample in (first, second) for seed, value in sample.values.items() if seed in seeds]
    return NEITHER if all(map(isinf, reached)) else BEYOND


def _missed(first: Sample, second: Sample, seeds: Sequence[str]) -> tuple[int, int]:
    """Return at how many shared seeds each arm missed the target.

    A run misses it if it did not get there within what both runs of the pair went.
    """
    limits = [min(first.limits.get(seed, inf), second.limits.get(seed, inf)) for seed in seeds]
    ahead, behind = (
        sum(
            isinf(sample.values[seed]) or sample.values[seed] > limit for seed, limit in zip(seeds, limits, strict=True)
        )
        for sample in (first, second)
    )
    return ahead, behind


def _difference(mean: float, low: float, high: float, n: int, quantity: Quantity) -> Estimate:
    """Return a lead as ``Contrast.difference`` gives it.

    It has an interval.
    """
    if quantity.least is not None:
        return Estimate(_exp(mean), _exp(low), _exp(high), n)
    if quantity.higher_is_better:
        return Estimate(mean, low, high, n)
    # Without a zero that has a sign.
    return Estimate(0 - mean, 0 - high, 0 - low, n)


def _exp(value: float) -> float:
    # Larger ones overflow.
    return math.exp(min(value, 700.0))


def _seeds_needed(test: PairedTest, seeds: int, judge: Judge) -> int | None:
    """Return the seeds that would be needed, if that is more than there are."""
    if test.remark == TOO_FEW_SEEDS:
        return next((n for n in range(LEAST_PAIRS, _MOST_SEEDS) if judge.may_claim(n)), None)
    if test.test == SIGN_FLIP:
        # The smallest n whose least possible p, 2 / 2ⁿ, is below the level.
        return math.floor(1 + math.log2(1 / judge.level_of(seeds))) + 1
    needed = seeds_for_power(test.effect, judge.level_of(seeds))
    return needed if needed is not None and needed > seeds else None


def without_unknown(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are not NaN.

    >>> without_unknown({"0": 0.5, "1": nan})
    {'0': 0.5}
    """
    return {seed: value for seed, value in values.items() if not isnan(value)}
