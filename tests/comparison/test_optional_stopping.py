"""How often equal arms give a claim when seeds are added: against published values and against plain pages."""

from __future__ import annotations

import math
from itertools import combinations
from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.comparison.statistics.judge import LEVEL
from lit_lossopt.comparison.statistics.optional_stopping import QUESTIONS, claims_after


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (2, 8), (3, 6), (6, 8), (40, 9)])
def test_one_look_keeps_the_promise(arms: int, seeds: int) -> None:
    assert claims_after(arms, (seeds,)) == pytest.approx(LEVEL, abs=0.001)


@pytest.mark.parametrize(("looks", "share"), [(2, 0.083), (3, 0.107), (5, 0.142), (10, 0.193)])
def test_many_seeds_give_the_published_values(looks: int, share: float) -> None:
    """Armitage, McPherson and Rowe 1969, table 2: a normal mean at 5 %, looked at after equal numbers of values."""
    at = tuple(range(40, 40 * looks + 1, 40))
    assert claims_after(2, at, questions=1) == pytest.approx(share, abs=0.006)


PAGES = 1500


def claims(pages: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Return whether any pair of arms has a p below a level, in ``pages [pages, arms, seeds]``."""
    p = [
        stats.ttest_rel(pages[:, one], pages[:, other], axis=1).pvalue
        for one, other in combinations(range(pages.shape[1]), 2)
    ]
    smallest: NDArray[np.bool_] = np.min(p, axis=0) < level
    return smallest


def share_of_pages(arms: int, looks: tuple[int, ...]) -> float:
    """Return how many pages claim anything at any look, as scipy's tests and the level of a page decide."""
    random = np.random.default_rng([3, arms, *looks])
    claimed = np.zeros(PAGES, dtype=bool)
    for _ in range(QUESTIONS):
        values = random.normal(size=(PAGES, arms, looks[-1])) + random.normal(size=(PAGES, 1, looks[-1]))
        for n in looks:
            claimed |= claims(values[:, :, :n], family_of_equals(arms, n, QUESTIONS).level)
    return float(claimed.mean())


@pytest.mark.parametrize(
    ("arms", "looks"), [(2, (5, 8)), (2, (3, 8)), (3, (5, 8)), (4, (8, 12)), (2, (4, 6, 8, 10)), (3, (5, 6, 7, 8))]
)
def test_pages_that_are_simulated_plainly_claim_as_often(arms: int, looks: tuple[int, ...]) -> None:
    share = claims_after(arms, looks)
    assert share > LEVEL + 0.02
    allowed = 4 * math.sqrt(share * (1 - share) / PAGES)
    assert share_of_pages(arms, looks) == pytest.approx(share, abs=allowed)


@pytest.mark.parametrize("arms", [4, 5, 12])
def test_only_a_look_that_can_claim_something_adds_to_the_share(arms: int) -> None:
    """Of four arms three seeds are just enough for a claim, and of five they are too few."""
    added = claims_after(arms, (3, 8)) - claims_after(arms, (8,))
    assert added == (pytest.approx(0.046, abs=0.005) if family_of_equals(arms, 3, QUESTIONS).may_claim(3) else 0)


@pytest.mark.parametrize(("arms", "looks"), [(2, (5, 8)), (10, (5, 8, 12)), (60, (5, 10)), (4, tuple(range(3, 31)))])
def test_it_takes_well_below_a_second(arms: int, looks: tuple[int, ...]) -> None:
    claims_after.cache_clear()
    began = process_time()
    first = claims_after(arms, looks)
    assert process_time() - began < 1
    assert claims_after(arms, looks) == first
    assert claims_after.cache_info().hits == 1
