from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.request import BUNDLES, QUANTITIES, parse_request
from lit_lossopt.diagnostics.schedule import KINDS, Moments, parse_moments, plan


@given(kind=st.sampled_from(KINDS), count=st.integers(1, 300), planned=st.integers(0, 3000))
def test_every_step_is_one_of_the_run_and_no_more_than_asked(kind: str, count: int, planned: int) -> None:
    steps = set(Moments(kind, count).steps(planned))
    assert all(1 <= step <= planned for step in steps)
    if kind != "every":
        assert len(steps) <= count
    if kind in {"log", "spread"} and planned:
        assert planned in steps
        assert count == 1 or 1 in steps


@pytest.mark.parametrize(
    ("planned", "expected"), [(10, 4), (80, 4), (200, 10), (240, 12), (5000, 12), (9600, 12), (80_000, 100)]
)
def test_by_default_a_run_is_measured_often_enough_and_not_too_often(planned: int, expected: int) -> None:
    assert len(set(Moments("spread").steps(planned))) == expected


def test_a_run_that_nothing_limits_is_measured_more_and_more_seldom() -> None:
    due = plan((Moments("spread"),), None)
    assert [step for step in range(1, 2100) if due(step)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 1000, 1500, 2000]
    limited = plan((Moments("every", 7), Moments("first", 2)), None)
    assert [step for step in range(1, 20) if limited(step)] == [1, 2, 7, 14]


def test_several_moments_are_joined() -> None:
    due = plan(parse_moments("first:2+every:5", ""), 12)
    assert [step for step in range(1, 13) if due(step)] == [1, 2, 5, 10]


def test_a_later_word_wins_and_a_bundle_takes_moments() -> None:
    assert parse_request("full,flow@every:3")["flow"] == (Moments("every", 3),)
    assert set(parse_request("full,flow@every:3")) == set(BUNDLES["full"])
    assert parse_request("default")["norm"] == (Moments("every", 10),)
    assert parse_request("default,norm")["norm"] == parse_request("full")["norm"] == (Moments("every", 1),)
    assert set(map(len, parse_request("default@first:2").values())) == {1}
    assert parse_request("off") == parse_request(text=False) == {}
    assert parse_request(text=True) == parse_request("default")
    assert set(parse_request(",".join(BUNDLES))) < set(QUANTITIES)


@given(st.text(max_size=12))
def test_whatever_is_typed_is_a_request_or_one_line(text: str) -> None:
    said = ""
    try:
        assert set(parse_request(text)) <= set(QUANTITIES)
    except UserError as error:
        said = str(error)
    assert not said or "diagnostics=" in said
