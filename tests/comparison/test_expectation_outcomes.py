"""What comparisons say to what was expected of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.contrast import Contrast
from lit_lossopt.comparison.expectations import (
    BETTER,
    EQUIVALENT,
    FASTER,
    STEADIER,
    Expectation,
    Outcome,
    answer_of,
    read_expectation,
)
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.comparison.report.verdict.expected import in_words, judge_expectations
from lit_lossopt.comparison.statistics.contrasts import (
    CLIMB_BACK,
    FINAL,
    ROUGHNESS,
    STEPS_TO_TARGET,
    Quantity,
    Question,
    Sample,
    contrasts,
)
from lit_lossopt.core.names import Answer
from tests.comparison import test_race
from tests.comparison.test_compare_arms import three_arms
from tests.comparison.test_words import (
    both_reach_it,
    diverged,
    equal,
    identical,
    lower_is_better,
    never_reached,
    no_shared_seed,
    one_seed,
    swinging_evaluations,
    unequal_budgets,
    winner,
)
from tests.support.synthetic_runs import arms_of, compared, rising

HOLDS, CONTRADICTED, UNDECIDED = Outcome.HOLDS, Outcome.CONTRADICTED, Outcome.UNDECIDED


def race() -> Comparison:
    return compared(test_race.arms_of_race(test_race.rules(), dict.fromkeys(test_race.LEVELS, 32)))


def race_by_speed() -> Comparison:
    said = test_race.rules(question=SPEED, margin=1.15, target=0.4)
    pace = {"adam": 100, "rmsprop": 101, "sgd": 300}
    return compared(test_race.arms_of_race(said, dict.fromkeys(test_race.LEVELS, 32), pace))


def slightly_better() -> Comparison:
    """An arm that is better by 0.4 points, for certain."""

    def curve(name: str, seed: int) -> np.ndarray:
        noise = np.random.default_rng([seed, *name.encode()]).normal(size=21)
        return rising(100, 0.704 if name == "a" else 0.7) + 0.001 * noise

    return compared(arms_of(curve, ["a", "b"]))


def with_margin(margin: float) -> Callable[[], Comparison]:
    return lambda: compared(three_arms()[::2], margin=margin)


def same_lead_at_every_seed() -> Comparison:
    return compared(arms_of(lambda name, _: rising(100, 0.8 if name == "a" else 0.7), ["a", "b"]))


# A comparison, a sentence, and what the one says to the other.
OUTCOMES: dict[str, tuple[Callable[[], Comparison], str, Outcome, str]] = {
    "better": (winner, "momentum better than sgd", HOLDS, "momentum is better than sgd, by 6.4 points"),
    "worse": (winner, "sgd better than momentum", CONTRADICTED, "momentum is better than sgd, by 6.4 points"),
    "faster": (both_reach_it, "adam faster than sgd", HOLDS, "adam is 2.8× [2.55 to 3.07] faster than sgd (eight seed"),
    "slower": (both_reach_it, "sgd faster than adam", CONTRADICTED, "adam is 2.8× [2.55 to 3.07] faster than sgd"),
    "never there": (winner, "adam faster than sgd", HOLDS, "adam is at least 3.4× [3.12 or more] faster than sgd, whi"),
    "steadier": (winner, "adam steadier than sgd", HOLDS, "adam's training loss climbs back 59.3× [56.6 to 62"),
    "restless": (winner, "sgd steadier than adam", CONTRADICTED, "adam's training loss climbs back"),
    "rough": (swinging_evaluations, "adam steadier than sgd", HOLDS, "adam is steadier than sgd, by 2.7 points"),
    "equivalent": (winner, "adam equivalent to momentum", HOLDS, "momentum and adam are equivalent in final"),
    "better, but equivalent": (winner, "momentum better than adam", CONTRADICTED, "momentum and adam are equivalent"),
    "far from equivalent": (winner, "adam equivalent sgd", CONTRADICTED, "adam is better than sgd, by 6.2 points"),
    "open in speed": (equal, "a faster than b", UNDECIDED, "b and a cannot be told apart in speed, which differs by 1"),
    "open in the end": (swinging_evaluations, "sgd better than adam", UNDECIDED, "sgd and adam cannot be told apart"),
    "open to be equivalent": (swinging_evaluations, "sgd equivalent to adam", UNDECIDED, "sgd and adam cannot be told"),
    "one seed": (one_seed, "momentum better than sgd", UNDECIDED, "were not tested in final validation accuracy (fewe"),
    "one seed, equivalent": (one_seed, "adam equivalent to momentum", UNDECIDED, "not tested in final validation"),
    "no seed in common": (no_shared_seed, "adam better than sgd", UNDECIDED, "not tested in final validation accuracy"),
    "the same": (identical, "a better than b", UNDECIDED, "are the same at every seed in final validation accuracy"),
    "the same in speed": (identical, "b faster than a", UNDECIDED, "a and b are the same at every seed in speed (eigh"),
    "no run got there": (never_reached, "adam faster than sgd", UNDECIDED, "in speed. No run reached 99 % validation"),
    "nothing to be steady in": (unequal_budgets, "adam steadier than sgd", UNDECIDED, "were not compared in steadines"),
    "beyond the budget": (diverged, "adam faster than sgd", UNDECIDED, "not tested in speed (reached only beyond the"),
    "broken runs": (diverged, "adam better than sgd", HOLDS, "adam is better than sgd, by 31 points"),
    "better within the margin": (slightly_better, "a better than b", HOLDS, "a is better than b, by 0.41 points"),
    "equivalent though better": (slightly_better, "a equivalent to b", HOLDS, "(eight seeds, p < 0.001). That is with"),
    "worse within the margin": (slightly_better, "b better than a", CONTRADICTED, "a is better than b, by 0.41 points"),
    "the margin cuts the interval": (with_margin(0.058), "adam equivalent to sgd", UNDECIDED, "by 6.2 points [5.5 to"),
    "the margin cuts it above": (with_margin(0.065), "sgd equivalent to adam", UNDECIDED, "by 6.2 points [5.5 to 6.8]"),
    "the interval beyond the margin": (with_margin(0.055), "adam equivalent to sgd", CONTRADICTED, "by 6.2 points"),
    "the interval within the margin": (with_margin(0.068), "adam equivalent to sgd", HOLDS, "the margin of 6.8 points"),
    "no interval": (same_lead_at_every_seed, "a equivalent to b", CONTRADICTED, "a is better than b, by 10 points (ei"),
    "no interval, better": (same_lead_at_every_seed, "b better than a", CONTRADICTED, "a is better than b, by 10 poin"),
    "lower": (lower_is_better, "momentum better than sgd", HOLDS, "momentum is better than sgd, by 0.127 [0.116 to"),
    "higher": (lower_is_better, "sgd better than momentum", CONTRADICTED, "momentum is better than sgd"),
    "low and equivalent": (lower_is_better, "adam equivalent to momentum", HOLDS, "are equivalent in final validation"),
    "low, not equivalent": (lower_is_better, "sgd equivalent to adam", CONTRADICTED, "adam is better than sgd, by 0.1"),
    "a race": (race, "adam better than sgd", HOLDS, "adam is better than sgd, by 20.1 points"),
    "a race, equivalent": (race, "rmsprop equivalent to adam", HOLDS, "adam and rmsprop are equivalent in final"),
    "a race, not better": (race, "rmsprop better than adam", CONTRADICTED, "adam and rmsprop are equivalent in final"),
    "a race by speed": (race_by_speed, "rmsprop faster than adam", CONTRADICTED, "are equivalent in speed, which diff"),
    "behind in a race by speed": (race_by_speed, "sgd faster than adam", CONTRADICTED, "faster than sgd (four seeds"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES)
def test_what_a_comparison_says_to_a_sentence(case: str) -> None:
    situation, text, outcome, said = OUTCOMES[case]
    (found,) = judge_expectations([read_expectation(text)], situation())
    assert (found.outcome, said in found.because) == (outcome, True), found.because
    assert found.text == text
    told = {HOLDS: "It holds.", CONTRADICTED: "It is contradicted.", UNDECIDED: "It is neither shown nor contradicted."}
    assert in_words(found) == f"Expected: {text}. {told[outcome]} {found.because}"


MARGIN = 0.1
QUESTIONS: Mapping[str, tuple[Quantity, ...]] = {
    "climb-back": (Quantity(FINAL, higher_is_better=True, margin=MARGIN), STEPS_TO_TARGET, CLIMB_BACK),
    "roughness": (Quantity(FINAL, margin=MARGIN), replace(STEPS_TO_TARGET, margin=np.log(1.1)), ROUGHNESS),
}
LEVELS = st.sampled_from([0.0, 0.02, 0.5])


@st.composite
def families(draw: st.DrawFn) -> tuple[Contrast, ...]:
    """Return contrasts of arms with drawn values: some far apart, some alike, some the same, some of few seeds."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    spread, seeds = draw(st.sampled_from([0.0, 0.01, 0.3])), draw(st.integers(2, 6))
    questions = []
    for quantity in QUESTIONS[draw(st.sampled_from(sorted(QUESTIONS)))]:
        values = {name: 2 + draw(LEVELS) + spread * random.random(seeds) for name in "abc"}
        samples = [Sample(name, {str(seed): float(row[seed]) for seed in range(seeds)}) for name, row in values.items()]
        questions.append(Question(quantity, tuple(samples)))
    made, _ = contrasts(questions)
    return tuple(one for found in made for one in found)


@cache
def of_three_arms() -> Comparison:
    return compared(three_arms(), margin=MARGIN)


def with_contrasts(made: Sequence[Contrast]) -> Comparison:
    """Return a comparison in which these contrasts were found."""
    template = of_three_arms()
    arms = tuple(replace(arm, name=name) for arm, name in zip(template.arms, "abc", strict=True))
    return replace(template, arms=arms, contrasts=tuple(made))


def outcomes(made: Sequence[Contrast], relation: str) -> dict[tuple[str, str], Outcome]:
    """Return what is said to each two arms in this relation."""
    pairs = list(permutations("abc", 2))
    found = judge_expectations([read_expectation(f"{a} {relation} {b}") for a, b in pairs], with_contrasts(made))
    return dict(zip(pairs, (one.outcome for one in found), strict=True))


def contrast_of(made: Sequence[Contrast], quantities: tuple[str, ...], pair: tuple[str, str]) -> Contrast:
    (found,) = [one for one in made if one.quantity in quantities and {one.first, one.second} == set(pair)]
    return found


@settings(deadline=None)
@given(families(), st.sampled_from([BETTER, FASTER, STEADIER]))
def test_of_a_sentence_and_its_opposite_at_most_one_holds(made: tuple[Contrast, ...], relation: str) -> None:
    quantities = {BETTER: ("final",), FASTER: ("steps_to_target",), STEADIER: ("climb_back", "roughness")}[relation]
    found = outcomes(made, relation)
    for (one, other), outcome in found.items():
        contrast, opposite = contrast_of(made, quantities, (one, other)), found[other, one]
        assert (outcome is HOLDS) == (contrast.claimed and contrast.first == one)
        assert (opposite is CONTRADICTED) or outcome is not HOLDS
        assert (outcome is UNDECIDED) == (opposite is UNDECIDED) == (not contrast.claimed and not contrast.equivalent)
        assert (outcome is opposite is CONTRADICTED) == (contrast.equivalent and not contrast.claimed)


@settings(deadline=None)
@given(families())
def test_equivalence_does_not_depend_on_who_stands_first(made: tuple[Contrast, ...]) -> None:
    found, better = outcomes(made, EQUIVALENT), outcomes(made, BETTER)
    for (one, other), outcome in found.items():
        contrast = contrast_of(made, ("final",), (one, other))
        assert outcome is found[other, one]
        assert (outcome is HOLDS) == contrast.equivalent
        ends = (abs(contrast.difference.low), abs(contrast.difference.high))
        assert (outcome is CONTRADICTED) == (contrast.claimed and min(ends) > MARGIN)
        if outcome is CONTRADICTED:
            assert HOLDS in {better[one, other], better[other, one]}


@pytest.mark.parametrize(
    ("relation", "wanted"),
    [(BETTER, CONTRADICTED), (FASTER, HOLDS), (STEADIER, UNDECIDED), (EQUIVALENT, HOLDS), (EQUIVALENT, CONTRADICTED)],
)
def test_each_outcome_is_among_those_that_laws_are_tried_on(relation: str, wanted: Outcome) -> None:
    assert find(families(), lambda made: wanted in outcomes(made, relation).values())


@given(st.lists(st.sampled_from(Outcome)))
def test_contradicted_counts_more_than_undecided(found: list[Outcome]) -> None:
    made = [Expectation("a better than b", "a", BETTER, "b", outcome, "") for outcome in found]
    order = [HOLDS, UNDECIDED, CONTRADICTED]
    worst = max(found, key=order.index, default=HOLDS)
    assert answer_of(made) == {HOLDS: 0, UNDECIDED: 5, CONTRADICTED: 4}[worst] == Answer[worst.name]
