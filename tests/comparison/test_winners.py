"""The named arm is never one that a claim beats, and every claim is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lit_lossopt.comparison.comparison import Comparison, Contrast
from lit_lossopt.comparison.report.terminal import show
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.report.verdict import convergence as words
from lit_lossopt.comparison.statistics.winners import against_best, claimed_besides, fastest, group_of_best
from tests.comparison.test_compare_arms import three_arms
from tests.support.synthetic_runs import STEPS, arm, arms_of, compared, run


def level(value: float) -> list[float]:
    return [value] * len(STEPS)


def extra_good_seeds() -> Comparison:
    """A has three good seeds that B lacks, so its mean is higher; on the shared ones B is clearly better."""
    finals = {
        "A": [0.80, 0.805, 0.81, 0.80, 0.80, 0.95, 0.95, 0.95],
        "B": [0.82, 0.824, 0.831, 0.82, 0.821],
    }
    made = [
        arm(name, [run(level(v), arm=name, seed=seed) for seed, v in enumerate(values)])
        for name, values in finals.items()
    ]
    return compared(made, target=0.5)


def nearly_equal_medians() -> Comparison:
    """A needs fewer steps in the median, by a hair; seed by seed B is faster."""
    at = {"A": [100, 100, 200, 300, 300], "B": [50, 50, 200, 200, 200]}
    top = {"A": 0.9, "B": 0.89}
    return compared(
        arms_of(lambda name, seed: np.where(at[name][seed % 5] <= STEPS, top[name], 0.1), ["A", "B"], 15), target=0.8
    )


def test_an_arm_that_is_beaten_on_shared_seeds_is_not_named_best() -> None:
    found = extra_good_seeds()
    assert found.arms[0].name == "A"
    assert [(one.first, one.second, one.claimed) for one in found.finals] == [("B", "A", True)]
    assert found.alike == ("B",)
    said = " ".join(answer(found))
    assert "B ends best, at 82.3 %" in said
    assert (
        "The mean over all runs of A is better, 85.8 % validation accuracy, but over shared seeds it is behind" in said
    )
    assert "No arm can be said to end" not in said
    assert "cannot be told apart in final" not in said
    assert words.final(found)[0].startswith("B ends best, at 82.3 %")


def test_an_arm_that_is_beaten_seed_by_seed_is_not_named_fastest() -> None:
    found = nearly_equal_medians()
    assert fastest(found.arms).name == "A"
    assert [(one.first, one.second, one.claimed) for one in found.speeds] == [("B", "A", True)]
    assert found.alike_speed == ("B",)
    said = " ".join(answer(found))
    assert "B reaches 80 % validation accuracy" in said
    assert "faster than A" in said
    assert "cannot be told apart in speed" not in said
    assert words.speed(found)[0].startswith("B reaches 80 % validation accuracy in 194 steps")


def claim(first: str, second: str, *, claimed: bool = True) -> Contrast:
    return replace(compared(three_arms()).finals[0], first=first, second=second, claimed=claimed)


def test_the_best_by_the_numbers_of_those_that_no_claim_beats_is_named() -> None:
    made = [claim("b", "a"), claim("a", "c"), claim("b", "c", claimed=False)]
    assert group_of_best("abc", made) == ("b", "c")
    assert claimed_besides(made, ("b", "c")) == [made[1]]
    assert against_best(made, ("b", "c")) == tuple(made)


def test_where_each_is_beaten_none_is_named_and_all_claims_are_said() -> None:
    circle = tuple(claim(*pair) for pair in ("ab", "bc", "ca"))
    assert group_of_best("abc", circle) == ()
    assert against_best(circle, ()) == circle
    found = compared(three_arms(), target=0.6)
    names = dict(zip("abc", (one.name for one in found.arms), strict=True))
    renamed = tuple(replace(one, first=names[one.first], second=names[one.second]) for one in circle)
    none = replace(found, finals=renamed, speeds=renamed, alike=(), alike_speed=())
    said = answer(none)
    assert said[0].startswith("No arm is first to 60 %")
    assert any(line.startswith("No arm ends best") for line in said)
    for one in renamed:
        assert sum(f"above {one.second}" in line and f"{one.first} ends" in line for line in said) == 1
    show(none, said)
