"""The levels of a race's looks, and those that hold at any time, against simulations and other formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from lit_lossopt.comparison.statistics.any_time import AnyTime, log_e_value
from lit_lossopt.comparison.statistics.judge import LARGEST_CRITICAL_VALUE, LEVEL, Judge
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS, look_sizes, looks_up_to
from lit_lossopt.comparison.statistics.looks import DECIDING, OTHERS, Look, shares_spent

Floats = NDArray[np.float64]


def largest_t(arms: int, draws: int, sizes: tuple[int, ...], seed: int) -> Floats:
    """Return the largest |t| over all pairs of equal arms ``[looks, draws]``, straight from the definition."""
    values = np.random.default_rng(seed).standard_normal((draws, arms, sizes[-1]))
    first, second = np.triu_indices(arms, 1)
    found = []
    for size in sizes:
        leads = values[:, first, :size] - values[:, second, :size]
        t = leads.mean(axis=2) / (leads.std(axis=2, ddof=1) / math.sqrt(size))
        found.append(np.abs(t).max(axis=1))
    return np.array(found)


def crossed(judges: list[Judge], sizes: tuple[int, ...], t: Floats) -> float:
    """Return the share of draws that any look claims."""
    critical = np.array([judge.critical_value(size) for judge, size in zip(judges, sizes, strict=True)])
    return float((t > critical[:, None]).any(axis=0).mean())


@pytest.mark.parametrize("arms", [2, 4, 6])
@pytest.mark.parametrize("share", [LEVEL, DECIDING, OTHERS])
def test_equal_arms_cross_a_boundary_as_often_as_was_to_be_spent(arms: int, share: float) -> None:
    draws = 20_000
    t = largest_t(arms, draws, FIRST_LOOKS, seed=arms)
    found = crossed([Look(arms, place, share) for place in range(len(FIRST_LOOKS))], FIRST_LOOKS, t)
    # Nine tenths are spent with the first eight looks.
    wanted = 0.9 * share
    error = math.sqrt(wanted / draws + wanted / 50_000)
    assert found == pytest.approx(wanted, abs=4 * error)


def test_questions_together_spend_what_a_page_may() -> None:
    assert pytest.approx(LEVEL) == DECIDING + 2 * OTHERS
    assert DECIDING > OTHERS


def test_each_look_spends_its_part_and_no_number_of_looks_spends_all() -> None:
    parts = list(itertools.islice(shares_spent(), 40))
    assert parts == sorted(parts)
    assert parts[len(FIRST_LOOKS) - 1] == pytest.approx(0.9)
    assert 0.999 < parts[30] < 1


def test_looks_go_on_beyond_the_first_ones_without_changing_them() -> None:
    before = [Look(3, place, DECIDING).level_of(8) for place in range(len(FIRST_LOOKS))]
    more = list(itertools.islice(look_sizes(), 10))
    last = [Look(3, place, DECIDING).critical_value(size) for place, size in enumerate(more)]
    assert [Look(3, place, DECIDING).level_of(8) for place in range(len(FIRST_LOOKS))] == before
    assert more[8:] == [48, 64]
    # The looks beyond have a tenth of the chance left, so they ask for more than the last ones before.
    assert last[7] < last[8] < last[9]


def test_looks_up_to_a_number() -> None:
    assert looks_up_to(2) == ()
    assert looks_up_to(3) == (3,)
    assert looks_up_to(11) == (3, 4, 6, 8)


@pytest.mark.parametrize("arms", [2, 3, 4, 6, 10, 40])
def test_no_look_claims_with_a_critical_value_that_is_too_large(arms: int) -> None:
    values = [Look(arms, place, DECIDING).critical_value(size) for place, size in enumerate(FIRST_LOOKS)]
    claiming = [value for value in values if math.isfinite(value)]
    assert max(claiming) <= LARGEST_CRITICAL_VALUE
    assert len(claiming) >= 5
    # Looks that may claim come behind those that may not, and ask for less and less.
    assert values[-len(claiming) :] == claiming == sorted(claiming, reverse=True)


JUDGES: list[tuple[Judge, int]] = [
    (Look(2, 0, DECIDING), 3), (Look(4, 3, DECIDING), 8), (Look(6, 7, OTHERS), 32), (Look(40, 4, DECIDING), 12),
    (AnyTime(1), 8), (AnyTime(18), 12), (AnyTime(45), 30),
]  # fmt: skip


@pytest.mark.parametrize(("judge", "pairs"), JUDGES)
def test_the_adjusted_p_is_below_the_level_of_a_page_where_the_p_is_below_its_own(judge: Judge, pairs: int) -> None:
    level = judge.level_of(pairs)
    assert judge.adjusted(level * (1 - 1e-6), pairs) < LEVEL
    assert judge.adjusted(level * (1 + 1e-6), pairs) >= LEVEL * (1 - 1e-5)
    rising = [judge.adjusted(p, pairs) for p in np.geomspace(1e-9, 1, 60)]
    assert rising == sorted(rising)
    assert rising[-1] == 1.0
    assert math.isnan(judge.adjusted(math.nan, pairs))
    t = judge.critical_value(pairs)
    assert 2 * stats.t.sf(t, pairs - 1) == pytest.approx(level, rel=1e-6)


def test_a_look_that_may_not_claim_adjusts_every_p_to_one() -> None:
    silent = Look(6, 0, DECIDING)
    assert silent.level_of(3) == 0
    assert silent.adjusted(1e-12, 3) == 1.0
    assert not silent.may_claim(3)


@pytest.mark.parametrize(("t", "pairs", "effect"), [(0.0, 3, 3.0), (2.0, 5, 1.0), (7.5, 8, 3.0), (4.0, 20, 5.0)])
def test_an_e_value_is_the_ratio_of_the_likelihoods_of_t(t: float, pairs: int, effect: float) -> None:
    def weighted(size: float) -> float:
        return float(stats.nct.pdf(t, pairs - 1, size * math.sqrt(pairs)) * stats.norm.pdf(size, scale=effect))

    # Its weight lies around the effect that was seen.
    middle = t / math.sqrt(pairs)
    edges = sorted({-12 * effect, middle - 3, middle, middle + 3, 12 * effect})
    mixed = sum(integrate.quad(weighted, low, high, limit=400)[0] for low, high in itertools.pairwise(edges))
    assert log_e_value(t, pairs, effect) == pytest.approx(math.log(mixed / stats.t.pdf(t, pairs - 1)), abs=2e-3)


@pytest.mark.parametrize("arms", [2, 4])
def test_looking_after_every_seed_rarely_claims_anything_at_any_time(arms: int) -> None:
    draws, sizes = 4_000, tuple(range(3, 61))
    t = largest_t(arms, draws, sizes, seed=100 + arms)
    found = crossed([AnyTime(arms * (arms - 1) // 2)] * len(sizes), sizes, t)
    assert 0 < found <= LEVEL
    usual = [stats.t.isf(LEVEL / 2, size - 1) for size in sizes]
    assert (t > np.array(usual)[:, None]).any(axis=0).mean() > 0.15


def test_nothing_can_be_claimed_where_nothing_is_compared_or_with_too_few_seeds() -> None:
    assert not AnyTime(0).may_claim(8)
    assert not AnyTime(1).may_claim(2)
    assert not AnyTime(18).may_claim(3)
