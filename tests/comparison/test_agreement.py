"""Sentences, tables and the terminal say the same of one decision, where runs miss targets or differences are odd."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from lit_lossopt.comparison.comparison import BudgetCurve, Comparison, Contrast, Decision
from lit_lossopt.comparison.report import conclusions
from lit_lossopt.comparison.report.tables import contrast_table
from lit_lossopt.comparison.report.terminal import show
from lit_lossopt.comparison.report.units import unit
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.statistics.contrasts import (
    BEYOND,
    CLIMB_BACK,
    NEITHER,
    NEXT_TO_NOTHING,
    STEPS_TO_TARGET,
    Quantity,
    Question,
    Sample,
    contrasts,
)
from lit_lossopt.core.numbers import probability, probability_alone
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import ACCURACY, Floats, arm, arms_of, compared, rising, run

SEEDS = 8


def curves(
    curve: Callable[[str, int], Floats], names: str = "AB", seeds: int = SEEDS, target: float = 0.5
) -> Comparison:
    return compared(arms_of(curve, list(names), seeds), target=target)


def scattered(seed: int, *, place: int) -> Floats:
    found: Floats = 0.003 * np.random.default_rng([seed, place]).normal(size=21)
    return found


def cells(one: Contrast, comparison: Comparison) -> str:
    return " | ".join(f"{cell.text} {cell.below}" for cell in contrast_table([one], comparison, {}).rows[0].cells)


def shown(comparison: Comparison, width: int, *, terminal: bool = False) -> list[str]:
    file = io.StringIO()
    show(comparison, (), Console(width=width, file=file, highlight=False, force_terminal=terminal, color_system=None))
    return file.getvalue().splitlines()


def contrast(quantity: Quantity, *samples: Sample) -> Contrast:
    (made,), _ = contrasts([Question(quantity, samples)])
    return made[0]


def sample(name: str, *values: float, limit: float = np.inf) -> Sample:
    seeds = [str(seed) for seed in range(len(values))]
    return Sample(name, dict(zip(seeds, values, strict=True)), dict.fromkeys(seeds, limit))


def faster_but_not_always() -> Comparison:
    """A is much faster at seven seeds, and never gets there at one."""

    def curve(name: str, seed: int) -> Floats:
        slow = name == "B" or not seed
        top = 0.5 if name == "A" and not seed else 0.7
        return rising(300 if slow else 60, top) + scattered(seed, place=ord(name))

    return curves(curve, target=0.6)


def test_a_faster_arm_that_missed_the_target_at_a_seed_has_no_factor_and_its_miss_is_said() -> None:
    found = faster_but_not_always()
    assert [(one.first, one.claimed, one.missed) for one in found.speeds] == [("A", True, (1, 0))]
    said = answer(found)[0]
    assert "where A gets there in seven of eight runs and B in eight" in said
    assert "×" not in said
    assert "as far as both were run" in cells(found.speeds[0], found)
    assert any("a run that missed the target" in line for line in shown(found, 120))


def test_arms_with_the_same_runs_are_the_same_where_some_of_them_never_get_there() -> None:
    found = curves(lambda _, seed: rising(150, 0.7 if seed < 6 else 0.5) + scattered(seed, place=1), target=0.6)
    assert [one.decision for one in found.speeds] == [Decision.SAME]
    said = " ".join(answer(found))
    assert "A and B do not differ in speed" in said
    assert "before either got there" not in said


@pytest.mark.parametrize(
    ("first", "second", "remark"),
    [
        (sample("a", *[np.inf] * 4, limit=100), sample("b", *[np.inf] * 4, limit=90), NEITHER),
        (sample("a", *[95.0] * 4, limit=100), sample("b", *[np.inf] * 4, limit=90), BEYOND),
    ],
)
def test_where_neither_got_there_no_number_is_given(first: Sample, second: Sample, remark: str) -> None:
    one = contrast(STEPS_TO_TARGET, first, second)
    assert (one.remark, one.decision) == (remark, Decision.UNTESTED)
    assert np.isnan([one.difference.value, one.wins]).all()


def test_climb_backs_below_the_floor_are_not_called_the_same() -> None:
    one = contrast(CLIMB_BACK, sample("a", 0.001, 0.002, 0.001), sample("b", 0.008, 0.009, 0.007))
    assert (one.remark, one.decision) == (NEXT_TO_NOTHING, Decision.UNTESTED)
    nothing = contrast(CLIMB_BACK, sample("a", 0.0, 0.0, 0.0), sample("b", 0.0, 0.0, 0.0))
    assert nothing.decision is Decision.SAME


def test_values_that_are_equal_up_to_rounding_are_the_same() -> None:
    values = [0.7, 0.71, 0.83]
    off = [value * (1 + sign * 1e-15) for value, sign in zip(values, (1, 1.5, 2), strict=True)]
    one = contrast(Quantity("final", higher_is_better=True), sample("a", *values), sample("b", *off))
    assert one.decision is Decision.SAME


def test_one_difference_at_every_seed_is_not_said_to_be_small() -> None:
    found = curves(lambda name, seed: rising(150, 0.7 + 0.01 * seed) - 0.05 * (name == "B"), seeds=4)
    (one,) = found.finals
    assert (one.test, one.decision, one.seeds_needed) == ("sign-flip", Decision.OPEN, 7)
    said = next(sentence for sentence in answer(found) if "cannot be told apart in final" in sentence)
    assert "of this size" not in said
    assert "needs seven seeds" in said
    assert "about" not in cells(one, found)


def test_arms_of_which_one_is_claimed_to_beat_the_other_are_not_said_to_be_alike() -> None:
    wide = (0.03, -0.028, 0.026, -0.024, 0.03, -0.028, 0.022, -0.02)
    base = 0.01 * np.random.default_rng(3).normal(size=SEEDS)
    tops: dict[str, Callable[[int], float]] = {
        "A": lambda seed: 0.71 + wide[seed],
        "B": lambda seed: 0.705 + base[seed],
        "C": lambda seed: 0.70 + base[seed] + 0.0005 * (seed % 3),
    }
    found = curves(lambda name, seed: rising(150, tops[name](seed)), "ABC")
    assert {(one.first, one.second) for one in found.finals if one.claimed} == {("B", "C")}
    said = " ".join(answer(found))
    assert "B and C cannot be told apart from A in final" in said
    assert not re.search(r"A, B and C cannot", said)
    assert "Over shared seeds B ends 0.46 points [0.4 to 0.51] above C (eight seeds, p < 0.001)." in said


def test_a_claimed_difference_never_looks_like_none() -> None:
    noise = np.random.default_rng(9).normal(size=SEEDS)
    found = curves(lambda name, seed: rising(150, 0.7 + 0.01 * seed) + 3e-5 * (1 + 0.1 * noise[seed]) * (name == "B"))
    assert found.finals[0].claimed
    assert found.speeds[0].claimed
    assert "+0.00 " not in cells(found.finals[0], found)
    assert re.search(r"1\.000\d+× fewer 1\.000\d+ to 1\.000\d+", cells(found.speeds[0], found))
    assert any(re.search(r"1\.000[1-9]\d*×\*", line) for line in shown(found, 120))
    assert [unit(ACCURACY).change(x) for x in (0.0, 0.0042, -0.00003)] == [
        "+0.00 points",
        "+0.42 points",
        "−0.003 points",
    ]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_column_is_cut(width: int, terminal: bool) -> None:
    for found in (faster_but_not_always(), curves(lambda name, seed: rising(100 + seed + ord(name)), "ABC")):
        heads = next(line for line in shown(found, width, terminal=terminal) if re.match(r" +arm ", line))
        known = ("arm", "runs", "final  %", "best", "steps to target", "behind by", "seconds", "roughness")
        assert re.split(r" {2,}", heads.strip().replace("final %", "final  %")) == [
            part for name in known if name in heads for part in name.split("  ")
        ]
        rows = [line for line in shown(found, width, terminal=terminal) if re.match(r" +(≈ )?[ABC] ", line)]
        assert len(rows) == len(found.arms)
        assert all(len(line) <= width for line in rows)


def test_ends_beyond_six_arms_count_arms() -> None:
    def ended(name: str) -> list[Run]:
        verdicts = ("diverged", "collapsed", "completed")
        return [run(rising(100)[:5], arm=name, seed=seed, verdict=verdict) for seed, verdict in enumerate(verdicts)]

    found = compared([arm(name, ended(name)) for name in "ABCDEFGH"], target=0.5)
    said = answer(found)
    assert said[-1] == "Runs of two more arms diverged or collapsed."
    assert sum("of 3 runs of" in sentence for sentence in said) == 12


def test_an_arm_without_a_speed_is_not_named_fastest() -> None:
    """Runs with one evaluation have no speed; they must not come before those that have one."""
    single = arm("0", [run([0.7], arm="0", seed=seed) for seed in range(SEEDS)])
    others = arms_of(
        lambda name, seed: rising(80 if name == "B" else 200) + scattered(seed, place=ord(name)), ["A", "B"]
    )
    found = compared([single, *others], target=0.5)
    assert found.alike_speed == ("B",)
    assert answer(found)[0].startswith("B reaches 50 % validation accuracy in")


def test_an_arm_that_was_never_evaluated_is_not_said_to_end_anywhere() -> None:
    gone = arm("B", [run([], arm="B", seed=seed, verdict="diverged") for seed in range(4)])
    found = compared([*arms_of(lambda _, seed: rising(100) + scattered(seed, place=1), ["A"], 4), gone], target=0.5)
    said = " ".join(answer(found))
    assert "unknown" not in said
    assert "In the mean A ends at" in said


@pytest.mark.parametrize("p", [0.0002, 0.012, 0.0494, 0.0496, 0.04999, 0.05, 0.0503, 0.31])
def test_a_p_value_is_shown_alike_everywhere_and_on_its_side_of_the_level(p: float) -> None:
    text = probability_alone(p)
    assert probability(p) in {f"p = {text}", f"p {text}"}
    assert text.startswith("<") or (float(text) < 0.05) == (p < 0.05)


def test_one_trial_gives() -> None:
    curves_ = [BudgetCurve(name, np.array([value])) for name, value in (("a", 0.5), ("b", 0.6))]
    said = conclusions.best_of_budget(curves_, higher_is_better=True)
    assert said == "Of the trials that were made, one gives b the best expected value."
