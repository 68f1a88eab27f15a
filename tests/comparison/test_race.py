"""Races whose course is known beforehand: who stops when, what is decided, and what a comparison says of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.claims import NOISE
from benchmarks.race import Kind, other_claims, raced, values_of
from lit_lossopt.comparison.comparison import ArmRuns, Comparison, Contrast, Decision, Estimate
from lit_lossopt.comparison.race import Race, pair_of
from lit_lossopt.comparison.race_rules import FINAL, SPEED, Rules
from lit_lossopt.comparison.racing import NOT_THE_RACE, as_tag, race_of, rules_in
from lit_lossopt.comparison.report.csv_files import write_tables
from lit_lossopt.comparison.report.figures import figures
from lit_lossopt.comparison.report.race_figure import lead
from lit_lossopt.comparison.report.race_table import race_table
from lit_lossopt.comparison.report.standing import look_in_words, standing
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.statistics.contrasts import Quantity, Question, Sample
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.comparison.statistics.looks import DECIDING, OTHERS, Look
from lit_lossopt.comparison.statistics.race import deciding, judge_of_others, race
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import arm, compared, rising, run

SEEDS = tuple(str(seed) for seed in range(1, 33))


def rules(arms: int = 3, **changes: object) -> Rules:
    return replace(Rules(FINAL, 0.01, SEEDS, arms), **changes)  # type: ignore[arg-type]  # fields by name


def finals(level: float, spread: float, seeds: int = 32, place: int = 0) -> list[float]:
    """Return values around a level that are never the same twice, and differ from arm to arm."""
    random = np.random.default_rng([place, 5])
    return [level + spread * float(noise) for noise in random.standard_normal(seeds)]


def run_race(values: Mapping[str, Sequence[float]], said: Rules, broken: Mapping[str, int] | None = None) -> Race:
    """Return the race of these values; ``broken`` says with how many seeds an arm's runs begin to break."""
    table = {name: dict(zip(said.seeds, row, strict=False)) for name, row in values.items()}

    def ask(counts: Mapping[str, int]) -> tuple[Question, list[str]]:
        samples = [
            Sample(name, {seed: row[seed] for seed in said.seeds[: counts[name]]})
            for name, row in table.items()
            if counts[name]
        ]
        worse = [name for name, count in (broken or {}).items() if counts[name] >= count]
        return Question(Quantity(FINAL, higher_is_better=True), tuple(samples)), worse

    return race({name: set(row) for name, row in table.items()}, said, ask)


def test_arms_that_are_behind_stop_and_the_others_go_on_until_they_are_equivalent() -> None:
    values = {"a": finals(0.9, 0.003, place=1), "b": finals(0.9, 0.003, place=2), "c": finals(0.6, 0.003, place=3)}
    found = run_race(values, rules())
    assert found.racing == ()
    assert found.next_look is None
    decisions = {pair_of(one): one.decision for one in found.contrasts}
    assert decisions[frozenset("ab")] is Decision.EQUIVALENT
    assert decisions[frozenset("ac")] is decisions[frozenset("bc")] is Decision.CLAIMED
    assert found.seeds_of["c"] == 4 < found.seeds_of["a"] == found.seeds_of["b"] < 32
    assert found.decided[frozenset("ac")] == 4
    assert found.trainings == sum(found.seeds_of.values())


def test_an_arm_of_which_no_pair_is_open_waits() -> None:
    """a and b are equivalent at once, c is behind nobody as far as can be told: a pair of it stays open longer."""
    values = {"a": finals(0.9, 0.0005, place=1), "b": finals(0.9, 0.0005, place=2), "c": finals(0.903, 0.02, place=3)}
    found = run_race(values, rules())
    assert found.decided[frozenset("ab")] == min(found.looks, key=lambda size: size < found.decided[frozenset("ab")])
    assert found.seeds_of["c"] == max(found.looks)


@pytest.mark.parametrize("most", [3, 8, 32])
def test_a_race_of_arms_that_differ_by_just_the_margin_ends_open_at_its_limit(most: int) -> None:
    values = {"a": finals(0.90, 0.05, place=1), "b": finals(0.89, 0.05, place=4)}
    found = run_race(values, rules(2, seeds=SEEDS[:most]))
    assert found.racing == ("a", "b")
    assert found.next_look is None
    assert list(found.looks) == [size for size in FIRST_LOOKS if size <= most]
    assert [one.decision for one in found.open] in ([Decision.OPEN], [Decision.UNTESTED])


def test_values_of_later_seeds_change_no_earlier_decision() -> None:
    first = {"a": finals(0.9, 0.003, 6, 1), "b": finals(0.88, 0.003, 6, 2), "c": finals(0.6, 0.003, 6, 3)}
    early = run_race(first, rules())
    noise = np.random.default_rng(0)
    later = {name: [*row, *noise.random(26)] for name, row in first.items()}
    found = run_race(later, rules())
    for size, seen in early.looks.items():
        # As texts, because unknown numbers are never equal.
        assert repr(found.looks[size]) == repr(seen)
    assert set(early.decided.items()) <= set(found.decided.items())


def test_an_arm_whose_later_run_breaks_is_equivalent_to_none_any_more() -> None:
    values = {name: finals(0.9, 0.0005, place=place) for place, name in enumerate("ab")}
    values["c"] = finals(0.902, 0.012, place=9)
    whole = run_race(values, rules())
    assert frozenset("ab") in whole.decided
    at = whole.decided[frozenset("ab")]
    broken = run_race(values, rules(), broken={"a": at + 1})
    later = run_race(values, rules(), broken={"a": at})
    for found in (broken, later):
        if found.seeds_of["a"] > at or found is later:
            assert frozenset("ab") not in found.decided
            assert {"a", "b"} <= set(found.racing) or found.next_look is None


def test_an_arm_that_lacks_a_run_leaves_and_the_others_go_on() -> None:
    values = {"a": finals(0.9, 0.003, place=1), "b": finals(0.89, 0.01, place=2), "c": finals(0.9, 0.01, 3, 3)}
    found = run_race(values, rules())
    assert found.left == {"c"}
    assert found.seeds_of["c"] == 3
    assert "c" not in found.racing
    assert max(found.looks) > 3


def test_without_a_whole_look_of_two_arms_a_race_has_not_begun() -> None:
    found = run_race({"a": finals(0.9, 0.01, 3), "b": finals(0.9, 0.01, 2)}, rules(2))
    assert found.looks == {}
    assert found.contrasts == ()
    assert found.next_look == 3
    assert standing(found) == "race: the first look is at three seeds"


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("arms", "margin"), [(2, 0.0), (4, 0.0), (4, 0.01)])
@pytest.mark.parametrize("pages", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_equal_arms_rarely_get_any_claim_whatever_the_noise(noise: str, arms: int, margin: float, pages: int) -> None:
    random = np.random.default_rng([arms, pages, *noise.encode()])
    claims = 0
    for _ in range(pages):
        values = values_of(random, Kind(noise, margin=margin), arms)
        found = raced(values[0], Kind(noise, margin=margin), deciding)
        claims += any(one.claimed for one in found.contrasts) or other_claims(found, values[1:]) > 0
    # How many a rate of 5 % gives at most, in 999 of 1,000 cases.
    assert claims <= {40: 7, 400: 35}[pages]


@pytest.mark.parametrize("pages", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_equal_arms_rarely_get_any_claim_beside_one_that_is_far_behind(pages: int) -> None:
    random = np.random.default_rng(pages)
    kind, claims = Kind(margin=0.0), 0
    for _ in range(pages):
        values = values_of(random, kind, 4)[0]
        values[0] -= 0.05
        found = raced(values, kind, deciding)
        assert {one.second for one in found.contrasts if "0" in pair_of(one)} == {"0"}
        claims += any(one.claimed and "0" not in pair_of(one) for one in found.contrasts)
    assert claims <= {40: 7, 400: 35}[pages]


def test_a_large_difference_is_found_with_few_seeds_and_a_small_one_with_more() -> None:
    random = np.random.default_rng(3)
    took = []
    for ahead in (0.04, 0.012):
        found = [
            raced(values_of(random, Kind(ahead=ahead, margin=0.0), 2)[0], Kind(margin=0.0), deciding) for _ in "12345"
        ]
        assert all(one.contrasts[0].claimed and one.contrasts[0].first == "0" for one in found)
        took.append(sum(one.trainings for one in found))
    assert took[0] < took[1]


# The runs of a sweep, as its store would give them.
LEVELS = {"adam": 0.75, "rmsprop": 0.75, "sgd": 0.55}


def arms_of_race(
    said: Rules, seeds: Mapping[str, int], pace: Mapping[str, float] | None = None, **tags: str
) -> list[ArmRuns]:
    found = []
    for place, (name, count) in enumerate(seeds.items()):
        noise = np.random.default_rng([place, 11]).standard_normal((count, 2))
        runs = [
            run(
                rising((pace or {}).get(name, 150) * math.exp(0.02 * noise[k, 0]), LEVELS[name] + 0.002 * noise[k, 1]),
                arm=name,
                seed=int(said.seeds[k]),
            )
            for k in range(count)
        ]
        more = {names.TAG_RACE: as_tag(said), names.TAG_SWEEP: "parent", names.TAG_SWEEP_ARM: name, **tags}
        found.append(arm(name, [replace(one, tags={**one.tags, **more}) for one in runs]))
    return found


def race_in(found: Comparison) -> Race:
    assert found.race is not None
    return found.race


def test_a_comparison_finds_the_race_again_and_says_when_each_pair_was_decided() -> None:
    said = rules()
    arms = arms_of_race(said, dict.fromkeys(LEVELS, 32))
    direct = race_of(arms, said)
    left = arms_of_race(said, direct.seeds_of)
    found = compared(left, all_pairs=True)
    # As texts, because unknown numbers are never equal.
    assert repr(race_in(found)) == repr(direct)
    shown = {pair_of(one): one for one in found.finals}
    for one in direct.contrasts:
        assert repr(shown[pair_of(one)]) == repr(one)
        assert one.difference.n == direct.decided.get(pair_of(one), one.difference.n)
    words = answer(found)
    assert words[0].startswith("No arm can be said to end better") or "ends" in words[0]
    text = " ".join(words)
    assert "The race by final validation accuracy has ended after" in text
    assert "No arm is ahead of adam and rmsprop." in text
    assert "are better than" not in text
    assert f"It took {direct.trainings} repeats, " in text
    assert "fewer than eight seeds for each arm" in text


def test_runs_beyond_the_last_look_are_left_out_and_seeds_that_differ_are_no_news() -> None:
    said = rules()
    found = compared(arms_of_race(said, dict.fromkeys(LEVELS, 32)))
    counts = {one.name: len(one.trials) for one in found.arms}
    assert counts == race_in(found).seeds_of
    assert {one.reason for one in found.left_out} == {"begun for a look of the race that did not take place"}
    assert sum(counts.values()) + len(found.left_out) == 96
    assert not any("not in every arm" in note for note in found.notes)


def test_the_other_questions_use_wider_intervals_that_hold_at_the_same_looks() -> None:
    said = rules()
    arms = arms_of_race(said, dict.fromkeys(LEVELS, 8), {"adam": 100, "rmsprop": 160, "sgd": 200})
    plain = [replace(one, runs=tuple(_untagged(each) for each in one.runs)) for one in arms]
    raced_, fixed = compared(arms, all_pairs=True, target=0.4), compared(plain, all_pairs=True, target=0.4)
    assert raced_.speeds
    for one, other in zip(raced_.speeds, fixed.speeds, strict=True):
        if one.difference.n == other.difference.n:
            assert one.difference.high - one.difference.low > other.difference.high - other.difference.low
            assert one.p_adjusted >= other.p_adjusted


def test_speed_decides_by_a_target_that_the_first_look_has_fixed() -> None:
    said = rules(question=SPEED, margin=1.15)
    pace = {"adam": 100, "rmsprop": 101, "sgd": 300}
    levels = dict.fromkeys(LEVELS, 32)
    arms = arms_of_race(said, levels, pace)
    found = compared(arms, all_pairs=True)
    first = compared([replace(one, runs=one.runs[:3]) for one in arms])
    assert found.target == first.target
    assert found.target_origin.endswith("over the first three seeds")
    one = race_in(found)
    assert one.decided.keys() >= {frozenset(("adam", "rmsprop"))}
    pair = next(each for each in one.contrasts if pair_of(each) == frozenset(("adam", "rmsprop")))
    assert pair.equivalent
    assert 1 / 1.15 < pair.difference.low < pair.difference.high < 1.15
    assert "The race by speed has ended after" in " ".join(answer(found))


def test_the_other_questions_have_their_own_share_at_the_look_of_the_arm_that_stopped_first() -> None:
    found = run_race(
        {"a": finals(0.9, 0.003, place=1), "b": finals(0.9, 0.003, place=2), "c": finals(0.6, 0.003, place=3)}, rules()
    )
    assert judge_of_others(found, "a", "c") == Look(3, FIRST_LOOKS.index(found.seeds_of["c"]), OTHERS)
    assert judge_of_others(found, "a", "b") == Look(3, FIRST_LOOKS.index(found.seeds_of["a"]), OTHERS)
    assert deciding(found.rules, 6) == Look(3, 2, DECIDING)


def test_arms_that_are_even_in_a_few_seeds_are_open_and_broken_ones_always() -> None:
    level = finals(0.9, 0.003, place=1)
    found = run_race({"a": level, "b": list(level)}, rules(2))
    assert found.decided == {frozenset("ab"): 8}
    assert run_race({"a": level, "b": list(level)}, rules(2), broken={"a": 3}).decided == {}
    assert run_race({"a": level, "b": list(level)}, rules(2), broken={"b": 12}).seeds_of["a"] == 8


def test_a_race_whose_runs_have_no_values_has_nothing_to_decide() -> None:
    arms = [
        arm(name, [run([math.nan] * 5, arm=name, seed=int(s), verdict="diverged") for s in SEEDS[:4]]) for name in "ab"
    ]
    assert race_of(arms, rules(2)).decided == {}


OTHERWISE = {
    "another sweep": {"adam": {names.TAG_SWEEP: "other"}},
    "an arm without rules": {"sgd": {names.TAG_RACE: ""}},
    "two of its arms in one": {"sgd": {names.TAG_SWEEP_ARM: "adam"}},
    "rules that nobody can read": {name: {names.TAG_RACE: "{}"} for name in LEVELS},
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_runs_of_a_race_that_are_not_compared_as_it_was_decided_hold_however_often_one_looks(case: str) -> None:
    arms = [
        replace(
            one, runs=tuple(replace(each, tags={**each.tags, **OTHERWISE[case].get(one.name, {})}) for each in one.runs)
        )
        for one in arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    ]
    found = compared(arms)
    assert found.race is None
    assert found.sequential
    assert NOT_THE_RACE in found.notes


def test_the_margin_of_a_comparison_is_that_of_the_race() -> None:
    arms = arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    found = compared([replace(one, runs=tuple(_with_margin(each, 0.03) for each in one.runs)) for one in arms])
    assert race_in(found).rules.margin == 0.03 == found.margin


def _with_margin(one: Run, margin: float) -> Run:
    said = rules_in(one.tags[names.TAG_RACE])
    return replace(one, tags={**one.tags, names.TAG_RACE: as_tag(replace(said, margin=margin))})


def _untagged(one: Run) -> Run:
    return replace(one, tags={key: value for key, value in one.tags.items() if key != names.TAG_RACE})


@pytest.mark.parametrize("gone", ["an arm", "an early run"])
def test_runs_of_a_race_of_which_some_are_missing_hold_however_often_one_looks(gone: str) -> None:
    arms = arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    arms = arms[1:] if gone == "an arm" else [replace(arms[0], runs=arms[0].runs[1:]), *arms[1:]]
    found = compared(arms)
    assert found.race is None
    assert found.sequential


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "3",
        '{"question": "final"}',
        '{"question": "beauty", "seeds": []}',
        as_tag(rules(seeds=SEEDS[:2])),
    ],
)
def test_a_tag_that_holds_no_rules_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        rules_in(text)


def test_rules_come_back_from_their_tag() -> None:
    for said in (rules(), rules(question=SPEED, margin=1.2, target=0.8, seeds=("5", "1", "7"))):
        assert rules_in(as_tag(said)) == said


def test_the_page_has_a_table_and_a_figure_of_the_race() -> None:
    found = compared(arms_of_race(rules(), dict.fromkeys(LEVELS, 32)))
    one = race_in(found)
    table = race_table(found, {name: place for place, name in enumerate(LEVELS)})
    assert len(table.rows) == len(one.contrasts) == 3
    assert [row.cells[0].text for row in table.rows] == [str(size) for size in sorted(one.decided.values())]
    (figure,) = [each for each in figures(found) if each.key == "race"]
    (panel,) = figure.panels
    looked = sum(len(dots.x) for dots in panel.dots)
    leader = found.alike[0]
    assert looked == sum(leader in pair_of(each) for seen in one.looks.values() for each in seen)
    assert figure.conclusion.startswith("The race by final")
    for dots in panel.dots:
        assert len(dots.low) in (0, len(dots.x))
        assert np.all(dots.low <= dots.y[: len(dots.low)])


def test_the_table_of_contrasts_says_at_which_look_each_was_decided(tmp_path: Path) -> None:
    found = compared(arms_of_race(rules(), dict.fromkeys(LEVELS, 32)), all_pairs=True)
    write_tables(found, tmp_path)
    with (tmp_path / "contrasts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = {frozenset((row["first"], row["second"])): row["decided_at"] for row in rows if row["quantity"] == FINAL}
    assert told == {pair: str(size) for pair, size in race_in(found).decided.items()}
    assert {row["decided_at"] for row in rows if row["quantity"] != FINAL} == {""}


def test_a_figure_shows_the_lead_of_its_arm_whoever_is_first_in_the_contrast() -> None:
    final = Contrast("a", "b", FINAL, Estimate(0.02, 0.01, 0.03, 8), 0.01, 0.01, "paired t", 1.0, True, False, None)
    speed = replace(final, quantity=SPEED, difference=Estimate(2.0, 1.6, 2.5, 8))
    found = Race(rules(2), {"a": 8, "b": 8})
    fast = Race(rules(2, question=SPEED, margin=1.1), {"a": 8, "b": 8})
    assert lead(final, "a", found) == (0.02, 0.01, 0.03)
    assert lead(final, "b", found) == (-0.02, -0.03, -0.01)
    assert lead(speed, "a", fast) == (2.0, 1.6, 2.5)
    assert lead(speed, "b", fast) == pytest.approx((0.5, 0.4, 0.625))


def test_another_target_than_that_of_a_race_by_speed_is_another_question() -> None:
    arms = arms_of_race(rules(question=SPEED, margin=1.15, target=0.5), dict.fromkeys(LEVELS, 8))
    assert compared(arms).race is not None
    assert compared(arms, target=0.5).race is not None
    assert compared(arms, target=0.4).race is None


def test_what_else_is_asked_of_a_race_keeps_its_target() -> None:
    arms = arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    found, sequential = compared(arms), compared(arms, sequential=True)
    assert (sequential.race, sequential.target) == (None, found.target)
    assert NOT_THE_RACE in sequential.notes


def test_a_race_in_which_every_run_broke_has_decided_nothing() -> None:
    arms = [
        replace(one, runs=tuple(replace(each, tags={**each.tags, names.TAG_VERDICT: "diverged"}) for each in one.runs))
        for one in arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    ]
    words = " ".join(answer(compared(arms)))
    assert "No run came to a sound end, so the race has decided nothing." in words
    assert "ended after" not in words


def test_a_look_and_how_the_race_stands_are_said_in_a_line() -> None:
    found = run_race(
        {"a": finals(0.9, 0.003, place=1), "b": finals(0.9, 0.02, place=2), "c": finals(0.6, 0.003, place=3)},
        rules(seeds=SEEDS[:4]),
    )
    assert look_in_words(found, 3) == "look at 3 seeds: nothing is decided yet; open: a and b, a and c, b and c"
    assert look_in_words(found, 4).startswith("look at 4 seeds: a is better than c")
    assert standing(found) == "race at 4 seeds: 2 of 3 pairs decided, 1 open; this was the last look"


def test_claims_at_any_time_are_fewer_and_no_others(usual: tuple[Comparison, Comparison]) -> None:
    fixed, sequential = usual
    assert sequential.sequential
    for one, other in zip(fixed.finals, sequential.finals, strict=True):
        width = [each.difference.high - each.difference.low for each in (one, other)]
        assert width[1] > width[0]
        assert other.p_adjusted >= one.p_adjusted
        assert one.claimed >= other.claimed


@pytest.fixture
def usual() -> tuple[Comparison, Comparison]:
    plain = [
        replace(one, runs=tuple(_untagged(each) for each in one.runs))
        for one in arms_of_race(rules(), dict.fromkeys(LEVELS, 8))
    ]
    fixed, sequential = (compared(plain, all_pairs=True, sequential=wish) for wish in (False, True))
    return fixed, sequential


def test_pairs_that_still_share_too_few_seeds_count_at_any_time() -> None:
    """Otherwise a pair would be judged more mildly as long as others have no seeds yet."""
    arms = [
        replace(one, runs=tuple(_untagged(each) for each in one.runs))
        for one in arms_of_race(rules(), {"adam": 8, "sgd": 8, "rmsprop": 2})
    ]
    few, many = (compared(some, all_pairs=True, sequential=True) for some in (arms[:2], arms))
    pair = [next(one for one in found.finals if pair_of(one) == {"adam", "sgd"}) for found in (few, many)]
    assert many.comparisons == 3 * few.comparisons
    assert pair[1].p_adjusted > pair[0].p_adjusted
