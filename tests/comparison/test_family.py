"""One level for all that a page may claim: against formulas, against plain simulation, and its laws."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from lit_lossopt.comparison.comparison import Decision
from lit_lossopt.comparison.statistics.contrasts import STEPS_TO_TARGET, Quantity, Question, Sample, contrasts
from lit_lossopt.comparison.statistics.family import count_pairs, family, family_of_equals
from lit_lossopt.comparison.statistics.judge import LEVEL

FINAL = Quantity("final", higher_is_better=True, margin=0.01)


def test_a_single_pair_is_the_paired_t_test() -> None:
    one = family_of_equals(2, 8, 1)
    assert one.comparisons == 1
    # The level of a single test, up to what 100,000 draws leave.
    assert one.level == pytest.approx(LEVEL, rel=0.05)
    assert one.critical_value(8) == pytest.approx(stats.t(7).ppf(0.975), rel=0.02)


@pytest.mark.parametrize(("arms", "seeds", "questions"), [(2, 5, 3), (3, 8, 3), (4, 8, 3), (6, 4, 2)])
def test_the_level_lies_between_bonferroni_and_no_adjustment(arms: int, seeds: int, questions: int) -> None:
    whole = family_of_equals(arms, seeds, questions)
    assert whole.comparisons == questions * math.comb(arms, 2)
    assert LEVEL / whole.comparisons <= whole.level <= LEVEL
    assert whole.adjusted(whole.level, 8) >= LEVEL
    assert whole.adjusted(np.nextafter(whole.level, 0), 8) < LEVEL


def smallest_p(values: NDArray[np.float64]) -> float:
    return min(float(stats.ttest_rel(a, b).pvalue) for a, b in combinations(values, 2))


def test_the_distribution_of_the_smallest_p_against_scipy() -> None:
    random = np.random.default_rng(5)
    slow = np.array([smallest_p(random.normal(size=(3, 6))) for _ in range(1500)])
    whole = family_of_equals(3, 6, 1)
    for p in (0.005, 0.02, 0.1, 0.4):
        share = float(np.mean(slow <= p))
        assert whole.adjusted(p, 8) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1500) + 0.002)


def test_two_questions_take_the_chance_of_either() -> None:
    one, two = family_of_equals(3, 6, 1), family_of_equals(3, 6, 2)
    for p in (0.001, 0.01, 0.2):
        assert two.adjusted(p, 8) == pytest.approx(1 - (1 - one.adjusted(p, 8)) ** 2, rel=1e-6)


def test_small_p_values_are_bonferronis() -> None:
    whole = family_of_equals(4, 8, 3)
    assert whole.adjusted(1e-9, 8) == pytest.approx(18e-9, rel=1e-3)
    assert math.isnan(whole.adjusted(math.nan, 8))
    assert whole.adjusted(1.0, 8) == 1.0


def test_missing_runs_make_fewer_pairs() -> None:
    present = np.ones((3, 8), dtype=bool)
    present[2, 2:] = False
    assert count_pairs(present) == 1
    assert family([present]).comparisons == 1
    assert family([]).comparisons == 0
    assert math.isnan(family([]).level)
    assert not family([]).may_claim(8)


def test_arms_and_seeds_in_another_order_make_the_same_family() -> None:
    present = np.random.default_rng(0).random((4, 9)) < 0.8
    level = family([present]).level
    assert family([present[:, ::-1]]).level == level
    assert family([present[[2, 0, 3, 1]]]).level == pytest.approx(level, rel=0.03)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(3, 9), st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 3.0]))
def test_a_difference_is_claimed_exactly_where_its_interval_leaves_out_zero(
    arms: int, seeds: int, number: int, shift: float
) -> None:
    random = np.random.default_rng(number)
    values = random.normal(size=(2, arms, seeds)) + shift * np.arange(arms)[:, None]
    samples = [
        tuple(Sample(f"a{i}", {str(s): float(v) for s, v in enumerate(row)}) for i, row in enumerate(table))
        for table in values
    ]
    logs = tuple(Sample(one.name, {s: math.exp(v) + 1 for s, v in one.values.items()}) for one in samples[1])
    made, whole = contrasts([Question(FINAL, samples[0]), Question(STEPS_TO_TARGET, logs)])
    for one in made[0]:
        assert one.claimed == (one.difference.low > 0) == (one.p_adjusted < LEVEL)
        assert one.equivalent == (max(abs(one.difference.low), abs(one.difference.high)) < 0.01)
    for one in made[1]:
        assert one.claimed == (one.difference.low > 1) == (one.p_adjusted < LEVEL)
    assert whole.comparisons == 2 * math.comb(arms, 2)


def test_many_arms_with_few_seeds_claim_nothing_and_say_how_many_are_needed() -> None:
    random = np.random.default_rng(0)
    samples = tuple(
        Sample(f"a{arm:02}", {str(seed): arm + 0.1 * random.normal() for seed in range(3)}) for arm in range(60)
    )
    ((*made,),), whole = contrasts([Question(FINAL, samples)])
    assert whole.comparisons == math.comb(60, 2)
    assert not any(one.claimed or one.test for one in made)
    assert {one.remark for one in made} == {"too few seeds for so many comparisons"}
    needed = {one.seeds_needed for one in made}
    assert len(needed) == 1
    (least,) = needed
    assert least is not None
    assert whole.may_claim(least)
    assert not whole.may_claim(least - 1)


def test_runs_are_compared_up_to_where_both_went() -> None:
    ahead = Sample("a", {"1": 100.0, "2": 110.0, "3": 120.0}, {"1": 1000, "2": 1000, "3": 1000})
    behind = Sample("b", {"1": math.inf, "2": math.inf, "3": 700.0}, {"1": 600, "2": 600, "3": 600})
    ((one,),), _ = contrasts([Question(STEPS_TO_TARGET, (ahead, behind))])
    # The third got there after 700 of its steps, but this pair is compared up to step 600.
    assert one.difference.value == pytest.approx((6 * 600 / 110 * 5) ** (1 / 3))
    assert one.missed == (0, 3)
    assert one.at_least
    ((even,),), _ = contrasts(
        [Question(STEPS_TO_TARGET, (ahead, Sample("c", ahead.values, {"1": 50, "2": 50, "3": 50})))]
    )
    assert even.remark == "reached only beyond the budget of the other"
    assert even.decision is Decision.UNTESTED


def test_one_same_difference_at_every_seed_has_no_interval() -> None:
    def samples(seeds: int) -> tuple[Sample, Sample]:
        return tuple(Sample(name, dict.fromkeys(map(str, range(seeds)), x)) for name, x in (("a", 1.0), ("b", 2.0)))  # type: ignore[return-value]

    ((few,),), whole = contrasts([Question(FINAL, samples(5))])
    assert not few.claimed
    assert math.isnan(few.difference.low)
    assert few.seeds_needed is not None
    assert 2 / 2**few.seeds_needed < whole.level <= 2 / 2 ** (few.seeds_needed - 1)
    ((many,),), _ = contrasts([Question(FINAL, samples(9))])
    assert many.claimed
    assert many.first == "b"


def test_only_arms_of_one_group_are_compared() -> None:
    random = np.random.default_rng(0)
    samples = tuple(
        Sample(name, {str(seed): random.random() for seed in range(8)}, group=group)
        for name, group in (("a", "64"), ("b", "64"), ("c", "128"), ("d", "128"), ("e", "alone"))
    )
    ((*made,),), whole = contrasts([Question(FINAL, samples)])
    assert {frozenset((one.first, one.second)) for one in made} == {frozenset("ab"), frozenset("cd")}
    assert whole.comparisons == 2
