"""The answer in words, in the situations that people meet.

`python -m tests.comparison.test_words` writes what is then read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from lit_lossopt.comparison.comparison import ArmRuns, Comparison, Estimate
from lit_lossopt.comparison.report.phrases import metric_words, points, quantity, signed_interval, size_interval, within
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.core.numbers import counted, listed, probability, ratio
from tests.comparison import test_losses_and_rates, test_special_cases
from tests.comparison.test_compare_arms import TAU, noisy, three_arms
from tests.support.places import TESTS
from tests.support.synthetic_runs import ACCURACY, Floats, arm, arms_of, compared, history, rising, run

NLL = names.metric(names.VAL, "nll")


def winner() -> Comparison:
    return compared(three_arms())


def two_arms() -> Comparison:
    return compared(three_arms()[::2])


def both_reach_it() -> Comparison:
    return compared(three_arms()[::2], target=0.6)


def one_seed() -> Comparison:
    return compared(three_arms(1))


def identical() -> Comparison:
    return compared(arms_of(lambda _, seed: noisy("adam", seed), ["a", "b"]))


def equal() -> Comparison:
    return compared(arms_of(lambda name, seed: noisy("adam", seed + 100 * (name == "b")), ["a", "b"]))


def diverged() -> Comparison:
    ends = {0: "diverged", 1: "diverged", 2: "collapsed"}
    gone = [run(noisy("sgd", seed)[:4], arm="sgd", seed=seed, verdict=ends.get(seed, "completed")) for seed in range(8)]
    return compared([*arms_of(noisy, ["adam", "momentum"]), arm("sgd", gone)])


def alone() -> Comparison:
    return compared(three_arms()[:1])


def never_reached() -> Comparison:
    return compared(arms_of(noisy, list(TAU)), target=0.99)


def no_shared_seed() -> Comparison:
    other = [run(noisy("sgd", seed), arm="sgd", seed=seed + 50) for seed in range(3)]
    return compared([*arms_of(noisy, ["adam"]), arm("sgd", other)])


def many() -> Comparison:
    def curve(name: str, seed: int) -> Floats:
        rank = int(name[1:])
        return rising(100 * rank, 0.7 - 0.02 * rank) + 0.003 * np.random.default_rng([seed, rank]).normal(size=21)

    return compared(arms_of(curve, [f"o{rank}" for rank in range(1, 8)]), target=0.3)


def lower_is_better() -> Comparison:
    def renamed(one: ArmRuns) -> ArmRuns:
        return replace(one, runs=tuple(replace(r, histories={NLL: r.histories[ACCURACY]}) for r in one.runs))

    made = [renamed(one) for one in arms_of(lambda name, seed: 2.4 - 2 * noisy(name, seed), list(TAU))]
    return compared(made, metric=NLL, higher_is_better=False, margin=0.05)


def sixty_arms() -> Comparison:
    def curve(name: str, seed: int) -> Floats:
        random = np.random.default_rng([seed, int(name[1:])])
        return rising(150, 0.7 + 0.01 * random.normal()) + 0.003 * random.normal(size=21)

    return compared(arms_of(curve, [f"o{rank:02}" for rank in range(60)], 3), target=0.5)


def unequal_budgets() -> Comparison:
    short = [
        replace(one, histories={name: history(h.values[:13], h.steps[:13]) for name, h in one.histories.items()})
        for one in arms_of(noisy, ["sgd"])[0].runs
    ]
    return compared([*arms_of(noisy, ["adam"]), arm("sgd", short)])


def one_of_two_runs() -> Comparison:
    """A target that one arm's only run never reached."""
    return compared(
        [arm("adam", [run(noisy("adam", 0), seed=0)]), arm("sgd", [run(noisy("sgd", 0), seed=0)])], target=0.65
    )


def swinging_evaluations() -> Comparison:
    """Foreign runs without a probe: what is said rests on evaluations, and says so."""

    def curve(name: str, seed: int) -> Floats:
        random = np.random.default_rng([seed, *name.encode()])
        return rising(100, 0.7) + (0.03 if name == "sgd" else 0.003) * random.normal(size=21)

    return compared(arms_of(curve, ["adam", "momentum", "sgd"]), target=0.5)


def on_test_images() -> Comparison:
    return replace(winner(), on_test_images=True)


def under_tuned() -> Comparison:
    return test_special_cases.swept(test_special_cases.CASES["AdamW and Adam"][0], test_special_cases.ADAM)


def special_case_not_searched() -> Comparison:
    return test_special_cases.swept([test_special_cases.ADAM], test_special_cases.MOMENTUM)


def losses_with_tuned_rates() -> Comparison:
    runs = [
        *test_losses_and_rates.swept(["ce", "mse"]),
        *test_losses_and_rates.swept(["ce", "focal"], optimizer="Adam"),
    ]
    return test_losses_and_rates.comparison(runs)


def losses_with_one_rate() -> Comparison:
    return test_losses_and_rates.comparison(test_losses_and_rates.untuned())


SITUATIONS: tuple[Callable[[], Comparison], ...] = (
    winner, two_arms, both_reach_it, one_seed, identical, equal, diverged, alone, never_reached, no_shared_seed, many,
    lower_is_better, sixty_arms, unequal_budgets, one_of_two_runs, swinging_evaluations, on_test_images,
    under_tuned, special_case_not_searched, losses_with_tuned_rates, losses_with_one_rate,
)  # fmt: skip
GOLDEN = TESTS / "golden" / "answers.md"


def text_of(situation: Callable[[], Comparison]) -> str:
    """Return the answer under a heading."""
    return f"## {situation.__name__}\n\n" + "\n".join(answer(situation())) + "\n"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_the_answer(situation: Callable[[], Comparison]) -> None:
    known = {part.split("\n")[0]: f"## {part.strip()}\n" for part in GOLDEN.read_text().split("## ")}
    assert text_of(situation) == known[situation.__name__]


def test_numbers_in_a_sentence() -> None:
    assert [counted(n, "seed") for n in (1, 2, 8, 13)] == ["one seed", "two seeds", "eight seeds", "13 seeds"]
    assert [listed(list(letters)) for letters in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert [probability(p) for p in (0.0002, 0.0031, 0.049, 0.31)] == [
        "p < 0.001",
        "p = 0.003",
        "p = 0.049",
        "p = 0.31",
    ]
    by_accuracy = compared(three_arms(1))
    assert quantity(0.6, by_accuracy) == "60 % validation accuracy"
    assert quantity(0.9312, by_accuracy, " [93 to 93.3]") == "93.1 % [93 to 93.3] validation accuracy"
    assert quantity(0.6, replace(by_accuracy, on_test_images=True)) == "60 % test accuracy"
    assert quantity(1.0612, replace(by_accuracy, metric=NLL)) == "a validation negative log-likelihood of 1.06"
    assert size_interval(Estimate(-0.02, -0.03, -0.01, 8), ACCURACY) == " [1 to 3]"
    assert signed_interval(Estimate(-0.002, -0.006, 0.002, 8), ACCURACY) == " [−0.2 to 0.6]"
    assert metric_words("val/ece") == "validation calibration error"
    assert [points(x, ACCURACY) for x in (0.01, -0.0059, 0.221, 0.00039)] == [
        "one point", "0.59 points", "22.1 points", "0.039 points",
    ]  # fmt: skip
    assert points(0.05, NLL) == "0.05"
    assert within(Estimate(1240, 1180, 1310.4), lambda x: f"{x:,.0f}") == " [1,180 to 1,310]"
    assert within(Estimate(1240, 1180, inf), lambda x: f"{x:,.0f}") == " [1,180 to never]"
    assert not within(Estimate(1240, nan, nan), str)
    assert [ratio(x) for x in (2.034, 1.0, 1.0017, 0.9996, 1.02)] == ["2.03", "1", "1.0017", "0.99960", "1.02"]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(map(text_of, SITUATIONS)))
