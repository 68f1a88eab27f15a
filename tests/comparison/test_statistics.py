"""Intervals and tests against scipy, against enumeration, and on answers that are known."""

from __future__ import annotations

import itertools
from math import inf, isnan, nan, prod, sqrt

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lit_lossopt.comparison.comparison import SAME
from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.comparison.statistics.paired_tests import (
    PAIRED_T,
    SIGN_FLIP,
    TOO_FEW,
    bca_interval,
    median_interval,
    paired_test,
    seeds_for_family,
    seeds_for_power,
    sign_flip_p,
    t_interval,
    wins,
)
from tests.support.places import ROOT

CONFIGS = ROOT / "configs"
DIFFERENCES = st.lists(st.integers(-50, 50), min_size=3, max_size=9)


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_the_paired_t_test_against_scipy(n: int) -> None:
    d = np.random.default_rng(n).normal(0.4, 1, n)
    ours, theirs = paired_test(d), stats.ttest_1samp(d, 0)
    interval = theirs.confidence_interval()
    assert ours.test == PAIRED_T
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.mean / ours.error == pytest.approx(theirs.statistic)
    assert ours.effect == pytest.approx(theirs.statistic / sqrt(n))
    assert t_interval(d) == pytest.approx((interval.low, interval.high))


@given(DIFFERENCES)
def test_sign_flip_against_scipy(d: list[int]) -> None:
    theirs = stats.permutation_test(
        (np.array(d, float),), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    # scipy doubles the smaller tail; the distribution is symmetric, so it is the same, but for a sum of 0.
    assert sign_flip_p(d) == pytest.approx(min(1.0, theirs.pvalue))


@given(DIFFERENCES)
def test_sign_flip_against_all_signs(d: list[int]) -> None:
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in itertools.product((1, -1), repeat=len(d))
    ]
    assert sign_flip_p(d) == sum(total >= abs(sum(d)) for total in sums) / len(sums)


@given(DIFFERENCES.filter(any), st.floats(0.001, 1000), st.randoms(use_true_random=False))
def test_order_and_unit_of_differences_change_no_test(d: list[int], scale: float, random: object) -> None:
    shuffled = list(d)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    before, after = paired_test(d), paired_test(scale * np.array(shuffled))
    assert after.test == before.test
    assert after.p == pytest.approx(before.p, nan_ok=True)
    assert sign_flip_p(scale * np.array(shuffled)) == pytest.approx(sign_flip_p(d))
    turned = paired_test(-np.array(d))
    assert (turned.mean, turned.error) == pytest.approx((-before.mean, before.error), nan_ok=True)
    assert turned.p == pytest.approx(before.p, nan_ok=True)


def test_the_smallest_sign_flip_p() -> None:
    for n in (3, 6, 8, 20):
        assert sign_flip_p(np.arange(1.0, n + 1)) == 2 / 2**n


def test_beyond_twenty_pairs_signs_are_drawn_and_stay_close() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 21)
    t = stats.ttest_1samp(d, 0).pvalue
    assert sign_flip_p(d) == pytest.approx(t, abs=0.03)
    assert sign_flip_p(d) == sign_flip_p(d[::-1])
    assert sign_flip_p(np.ones(40)) == pytest.approx(1 / 20_001)


def test_what_is_not_tested() -> None:
    assert paired_test([0.0] * 8) == paired_test(np.zeros(8))
    assert (paired_test([0.0] * 8).remark, paired_test([0.0] * 8).test) == (SAME, "")
    assert isnan(paired_test([0.0] * 8).p)
    for few in ([], [0.3], [0.3, 0.4]):
        found = paired_test(few)
        assert (found.remark, found.test) == (TOO_FEW, "")
        assert isnan(found.p)


def test_one_same_difference_at_every_seed_is_left_to_the_signs() -> None:
    found = paired_test([0.02] * 8)
    assert (found.test, found.p) == (SIGN_FLIP, 2 / 2**8)
    assert paired_test([0.02] * 5).p == 2 / 2**5


@pytest.mark.parametrize("n", [6, 8, 9, 12, 20, 31])
def test_the_interval_of_a_median_is_the_narrowest_with_its_coverage(n: int) -> None:
    low, high = median_interval(np.random.default_rng(0).permutation(n))
    # Values are their own ranks: coverage is P(low < Bin(n, ½) ≤ high).
    binomial = stats.binom(n, 0.5)
    assert binomial.cdf(high) - binomial.cdf(low) >= 0.95
    assert binomial.cdf(high - 1) - binomial.cdf(low + 1) < 0.95


def test_too_few_values_for_an_interval() -> None:
    assert all(isnan(end) for end in median_interval(range(5)))
    assert all(isnan(end) for end in t_interval([1.0]))
    assert median_interval([1.0] * 5 + [inf]) == (1.0, inf)


def test_the_bootstrap_waits_for_ten() -> None:
    d = np.random.default_rng(0).normal(1, 1, 12)
    low, high = bca_interval(d)
    theirs = stats.bootstrap((d,), np.mean, method="BCa", rng=np.random.default_rng(5)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.05)
    assert bca_interval(d[::-1]) == (low, high)
    for nothing in (d[:9], np.ones(12), np.append(d, inf)):
        assert all(isnan(end) for end in bca_interval(nothing))


def test_wins_count_ties_half() -> None:
    assert wins([1.0, -1.0, 0.0, inf]) == 0.625
    assert isnan(wins([]))


@pytest.mark.parametrize(
    ("effect", "level", "n"), [(0.5, 0.05, 34), (1.0, 0.05, 10), (0.2, 0.05, 199), (0.8, 0.05, 15)]
)
def test_seeds_for_power_against_the_tables(effect: float, level: float, n: int) -> None:
    # Cohen's and G*Power's for the two-sided paired t test at 80 %.
    assert seeds_for_power(effect, level) == n


@pytest.mark.parametrize(("effect", "level"), [(0.7, 0.05), (1.2, 0.01), (2.0, 0.005)])
def test_seeds_for_power_by_simulation(effect: float, level: float) -> None:
    n = seeds_for_power(effect, level)
    assert n is not None
    random = np.random.default_rng(0)
    power = [
        np.mean(stats.ttest_1samp(random.normal(effect, 1, (20_000, size)), 0, axis=1).pvalue < level)
        for size in (n - 1, n)
    ]
    assert power[0] < 0.81
    assert power[1] > 0.79


@pytest.mark.parametrize(
    "name", ["sweep_quick", "sweep_optimizers", "sweep_losses", "sweep_weight_decay", "sweep_binary"]
)
def test_shipped_plans_have_the_seeds_that_their_family_needs(name: str) -> None:
    plan = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["sweep"]
    assert plan["seeds"] == seeds_for_family(prod(len(levels) for levels in plan["factors"].values()))


def test_the_seeds_of_a_family_are_just_enough() -> None:
    needed = [seeds_for_family(arms) for arms in (2, 3, 4, 6)]
    assert needed == sorted(needed)
    for arms, n in zip((2, 4), (needed[0], needed[2]), strict=True):
        level, fewer = (family_of_equals(arms, size, 3).level for size in (n, n - 1))
        random = np.random.default_rng(0)
        found = [
            np.mean(stats.ttest_1samp(random.normal(2, 1, (20_000, size)), 0, axis=1).pvalue < at)
            for size, at in ((n, level), (n - 1, fewer))
        ]
        assert found[0] > 0.79
        assert found[1] < 0.81


def test_seeds_that_cannot_be_told() -> None:
    for effect in (0.0, nan, inf, 0.01):
        assert seeds_for_power(effect, 0.05) is None
    assert seeds_for_power(1e6, 0.001) == 3
    assert seeds_for_power(-1.0, 0.05) == seeds_for_power(1.0, 0.05)
