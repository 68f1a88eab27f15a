"""When the probe is measured: laws of the schedule."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_lossopt.training.probe_schedule import PAIRS_OF_LONG, PAIRS_OF_SHORT, number_of_pairs, probe_steps

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4096)


def pair_starts(steps: list[int]) -> list[int]:
    return [first for first, second in pairwise(steps) if second == first + 1]


@given(seed=SEEDS, planned=st.integers(0, 64), batch_size=SIZES, images=SIZES)
def test_every_step_of_a_short_run(seed: int, planned: int, batch_size: int, images: int) -> None:
    assert list(probe_steps(seed, planned, batch_size, images)) == list(range(planned + 1))


@settings(deadline=None)
@given(seed=SEEDS, first=st.integers(0, 10_000), steps=st.integers(65, 60_000), batch_size=SIZES, images=SIZES)
def test_one_pair_in_each_stratum_and_both_ends(
    seed: int, first: int, steps: int, batch_size: int, images: int
) -> None:
    planned = first + steps
    found = list(probe_steps(seed, planned, batch_size, images, first))
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (first, planned)
    assert found == list(probe_steps(seed, planned, batch_size, images, first))
    strata = number_of_pairs(steps, batch_size, images)
    assert strata >= (PAIRS_OF_SHORT if steps < 5_000 else PAIRS_OF_LONG)
    if 2 * strata >= steps:
        assert found == list(range(first, planned + 1))
        return
    starts = pair_starts(found)
    edges = [first + steps * k // strata for k in range(strata + 1)]
    places = [bisect_left(starts, edge) for edge in edges]
    assert all(low < high for low, high in pairwise(places))
    # Of two neighbours one is even and one is odd.
    for low, high in zip(places[::2], places[2::2], strict=False):
        assert {start % 2 for start in starts[low:high]} == {0, 1}
    # Pairs that touch share steps, so that there may be fewer.
    assert len(found) <= 2 * strata + 2


@settings(deadline=None)
@given(seed=SEEDS, planned=st.integers(5_000, 200_000))
def test_its_share_from_five_thousand_steps_on(seed: int, planned: int) -> None:
    probes = len(list(probe_steps(seed, planned, batch_size=64, images=256)))
    assert probes >= 2 * PAIRS_OF_LONG
    assert probes * 256 / (3 * 64) <= 0.0115 * planned


@settings(deadline=None)
@given(seed=SEEDS, planned=st.integers(1, 50_000), batch_size=SIZES, images=SIZES)
def test_more_than_the_fewest_pairs_cost_no_more_than_their_share(
    seed: int, planned: int, batch_size: int, images: int
) -> None:
    if number_of_pairs(planned, batch_size, images) > PAIRS_OF_SHORT:
        probes = len(list(probe_steps(seed, planned, batch_size, images)))
        assert probes * images / (3 * batch_size) <= 0.0115 * planned


@settings(deadline=None)
@given(seed=SEEDS, batch_size=SIZES, images=SIZES, first=st.integers(0, 1000))
def test_without_a_limit_there_is_no_end_and_the_same_share(
    seed: int, batch_size: int, images: int, first: int
) -> None:
    found = list(islice(probe_steps(seed, None, batch_size, images, first), 400))
    assert found == sorted(set(found))
    assert found[0] == first
    starts = pair_starts(found)
    assert {start % 2 for start in starts} == {0, 1}
    # The first step, and the pair that is not over, are beside the share.
    assert (len(found) - 3) * images / (3 * batch_size) <= 0.02 * (found[-1] - first)


@pytest.mark.parametrize(
    ("planned", "batch_size", "images", "pairs"),
    [(5_000, 64, 256, 20), (4_000, 64, 256, 32), (50_000, 64, 256, 205), (5_000, 256, 256, 81), (5_000, 64, 32, 164)],
)
def test_numbers_of_pairs_worked_out_by_hand(planned: int, batch_size: int, images: int, pairs: int) -> None:
    # A pair costs 2 · images / (3 · batch_size) steps; 1.1 % of the steps, less one pair for both ends.
    assert max(20 if planned >= 5_000 else 32, int(0.011 * planned / (2 * images / (3 * batch_size))) - 1) == pairs
    assert number_of_pairs(planned, batch_size, images) == pairs


def test_seeds_differ_and_pairs_are_spread_over_their_strata() -> None:
    runs = [list(probe_steps(seed, 5_000, 64, 256)) for seed in range(40)]
    assert len({tuple(run) for run in runs}) == 40
    places = [start * 20 % 5_000 / 5_000 for run in runs for start in pair_starts(run)]
    assert 0.45 < sum(places) / len(places) < 0.55
