"""Seeds that may have been added after looking: which times of runs show it, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest

from lit_lossopt.comparison.comparison import ArmRuns, Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.grouping.notes import note_on_looks
from lit_lossopt.comparison.grouping.possible_looks import PAUSE, Look, possible_looks, with_repeated
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.comparison.statistics.optional_stopping import claims_after
from lit_lossopt.core import names
from lit_lossopt.core.numbers import per_cent
from lit_lossopt.tracking.reading.runs import Run
from tests.support.plain_runs import BEGAN, learning, log_run
from tests.support.synthetic_runs import arm

MINUTE = 60_000
HOUR = 60 * MINUTE
LENGTH = 10 * MINUTE
# What a loop in a shell needs between two runs.
BETWEEN = 8_000

Cell = tuple[str, int]


def made(cell: Cell, start: int, *, length: int = LENGTH, planned: int = 0) -> Run:
    """Return a run without histories."""
    name, seed = cell
    tags = {names.TAG_SEED: str(seed)} | ({names.TAG_PLANNED_SEEDS: str(planned)} if planned else {})
    run_id = f"{name}/{seed}/{start}"
    return Run(run_id, name, "FINISHED", {}, tags, {}, start=BEGAN + start, end=BEGAN + start + length)


def loop(cells: Sequence[Cell], *, start: int = 0, workers: int = 1, planned: int = 0) -> list[Run]:
    """Return runs that a loop started one after the other, so many at once."""
    return [
        made(cell, start + place // workers * (LENGTH + BETWEEN), planned=planned) for place, cell in enumerate(cells)
    ]


def by_seed(arms: str, seeds: Sequence[int]) -> list[Cell]:
    """Return the cells of ``for seed: for arm``."""
    return [(name, seed) for seed, name in product(seeds, arms)]


def by_arm(arms: str, seeds: Sequence[int]) -> list[Cell]:
    """Return the cells of ``for arm: for seed``."""
    return [(name, seed) for name, seed in product(arms, seeds)]


def batches(*parts: list[Run], pause: int = 3 * HOUR) -> list[Run]:
    """Return runs in batches, each begun so long after the end of the one before."""
    found: list[Run] = []
    for part in parts:
        shift = max(run.end or 0 for run in found) + pause - min(run.start for run in part) if found else 0
        found += [replace(run, start=run.start + shift, end=(run.end or 0) + shift) for run in part]
    return found


def arms_of(runs: Sequence[Run]) -> list[ArmRuns]:
    """Return runs in arms by their names."""
    return [arm(name, [run for run in runs if run.name == name]) for name in dict.fromkeys(run.name for run in runs)]


def looks_of(runs: Sequence[Run]) -> tuple[Look, ...]:
    return possible_looks(arms_of(runs))


def without_end(runs: list[Run]) -> list[Run]:
    return [replace(runs[0], end=None), *runs[1:]]


def without_start(runs: list[Run]) -> list[Run]:
    return [replace(runs[0], start=0), *runs[1:]]


def backwards(runs: list[Run]) -> list[Run]:
    """Return runs of which one ends before it begins: its clock was set back meanwhile."""
    return [*runs[:-1], replace(runs[-1], end=runs[-1].start - 1)]


FIVE, MORE = range(5), range(5, 8)
ADDED = batches(loop(by_seed("ab", FIVE)), loop(by_seed("ab", MORE)))
# What happened, and the seeds that were complete at each possible look.
CASES: dict[str, tuple[list[Run], list[int]]] = {
    "one loop over seeds": (loop(by_seed("abc", range(8))), []),
    "one loop over arms": (loop(by_arm("abc", range(8))), []),
    "one loop, four at once": (loop(by_seed("abc", range(8)), workers=4), []),
    "a loop that makes new seeds": (loop([*by_arm("ab", FIVE), *by_arm("ab", MORE)]), []),
    "seeds added, loops over seeds": (ADDED, [5]),
    "seeds added, loops over arms": (batches(loop(by_arm("ab", FIVE)), loop(by_arm("ab", MORE))), [5]),
    "seeds added, four at once": (
        batches(loop(by_seed("abc", FIVE), workers=4), loop(by_seed("abc", MORE), workers=4)),
        [5],
    ),
    "seeds added twice": (
        batches(loop(by_seed("ab", range(3))), loop(by_seed("ab", [3, 4])), loop(by_seed("ab", [5]))),
        [3, 5],
    ),
    "one arm a batch": (batches(loop(by_arm("a", FIVE)), loop(by_arm("b", FIVE)), loop(by_arm("c", FIVE))), []),
    "added seeds, one arm a batch": (
        batches(loop(by_seed("ab", FIVE)), loop(by_arm("a", MORE)), loop(by_arm("b", MORE))),
        [5],
    ),
    "an added arm": (batches(loop(by_seed("ab", FIVE)), loop(by_arm("c", FIVE))), []),
    "an added arm that was interrupted": (
        batches(loop(by_seed("ab", FIVE)), loop(by_arm("c", range(3))), loop(by_arm("c", [3, 4]))),
        [],
    ),
    "an added arm, and then seeds": (
        batches(loop(by_seed("ab", FIVE)), loop(by_arm("c", FIVE)), loop(by_seed("abc", MORE))),
        [5],
    ),
    "two arms with seeds of their own": (batches(loop(by_seed("ab", FIVE)), loop(by_seed("cd", MORE))), []),
    "seeds that only one arm got": (batches(loop(by_seed("ab", FIVE)), loop(by_arm("a", MORE))), []),
    "the second arm was interrupted": (
        batches(loop([*by_arm("a", FIVE), *by_arm("b", range(3))]), loop(by_arm("b", [3, 4]))),
        [3],
    ),
    "a pause before three seeds": (batches(loop(by_seed("ab", range(2))), loop(by_seed("ab", range(2, 8)))), []),
    "a pause within the last seed": (batches(loop([*by_seed("abc", FIVE), ("a", 5), ("b", 5)]), loop([("c", 5)])), []),
    "a run of another arm goes on": ([*ADDED, made(("c", 0), 0, length=10 * HOUR)], []),
    "a pause of a minute": (batches(loop(by_seed("ab", FIVE)), loop(by_seed("ab", MORE)), pause=PAUSE), []),
    "a pause of more": (batches(loop(by_seed("ab", FIVE)), loop(by_seed("ab", MORE)), pause=PAUSE + 1), [5]),
    "all seeds repeated": (batches(loop(by_seed("ab", FIVE)), loop(by_seed("ab", FIVE))), []),
    "one seed repeated": (batches(loop(by_seed("ab", FIVE)), loop([("a", 2)])), []),
    "seeds added and one repeated": (
        batches(loop(by_seed("ab", FIVE)), loop([("a", 2)]), loop(by_seed("ab", MORE))),
        [5],
    ),
    "without an end": (without_end(ADDED), []),
    "without a start": (without_start(ADDED), []),
    "a clock set back within a run": (backwards(ADDED), []),
    "one arm alone": (batches(loop(by_arm("a", FIVE)), loop(by_arm("a", MORE))), []),
    "without seeds": ([replace(run, tags={}) for run in ADDED], []),
    "runs without seeds added": (
        batches(loop(by_seed("ab", FIVE)), [replace(run, tags={}) for run in loop(by_seed("ab", MORE))]),
        [],
    ),
    "a sweep that was interrupted": (
        batches(loop(by_seed("ab", FIVE), planned=8), loop(by_seed("ab", MORE), planned=8)),
        [],
    ),
    "a sweep with more seeds later": (
        batches(loop(by_seed("ab", FIVE), planned=5), loop(by_seed("ab", MORE), planned=8)),
        [5],
    ),
    "a sweep of eight, twice interrupted, then of twelve": (
        batches(
            loop(by_seed("ab", range(4)), planned=8),
            loop(by_seed("ab", range(4, 8)), planned=8),
            loop(by_seed("ab", range(8, 10)), planned=12),
            loop(by_seed("ab", range(10, 12)), planned=12),
        ),
        [8],
    ),
    "a sweep, and then runs by hand": (
        batches(loop(by_seed("ab", FIVE), planned=5), loop(by_seed("ab", [5])), loop(by_seed("ab", [6]))),
        [5, 6],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_times_tell_where_a_person_may_have_looked(name: str) -> None:
    runs, seeds = CASES[name]
    assert [look.seeds for look in looks_of(runs)] == seeds


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_runs_and_of_arms_changes_nothing(name: str) -> None:
    runs, _ = CASES[name]
    assert looks_of(runs[::-1]) == looks_of(runs)


def test_a_look_tells_what_was_added_and_when() -> None:
    assert looks_of(ADDED) == (Look(5, ("5", "6", "7"), 3 * HOUR),)
    assert looks_of(batches(loop(by_seed("ab", FIVE)), loop(by_seed("ab", [9, 10]))))[0].added == ("9", "10")


# Cases in which the first run of an added seed does not follow at once, or is not the first of its seed.
PAUSES = {
    "seeds added, loops over seeds": 3 * HOUR,
    "added seeds, one arm a batch": 3 * HOUR,
    "the second arm was interrupted": 3 * HOUR,
    "an added arm, and then seeds": 6 * HOUR + 5 * LENGTH + 4 * BETWEEN,
}


@pytest.mark.parametrize("name", PAUSES)
def test_the_pause_ends_with_the_next_run_of_an_added_seed(name: str) -> None:
    [look] = looks_of(CASES[name][0])
    assert look.pause == PAUSES[name]


def test_older_runs_that_are_repeated_come_back_with_the_seed_of_the_newer_one() -> None:
    old, twin = made(("a", 2), 0), made(("a", 2), HOUR)
    newest = replace(made(("a", 2), 2 * HOUR), tags={names.TAG_SEED: "2 batch=64"})
    twin = replace(twin, tags=newest.tags)
    [found] = with_repeated([arm("a", [newest])], [arm("a", [twin, newest]), arm("b", [old])], {newest.run_id: (old,)})
    assert {(run.start, run.tags[names.TAG_SEED]) for run in found.runs} == {
        (BEGAN + hours * HOUR, "2 batch=64") for hours in range(3)
    }


ONE = (Look(5, ("5", "6", "7"), 3 * HOUR),)
TWICE = (Look(5, ("5", "6", "7"), 3 * HOUR), Look(6, ("6", "7"), HOUR))


def test_the_note_says_what_may_have_happened_and_what_follows() -> None:
    [note] = note_on_looks(ONE, 2, sequential=False)
    assert note == (
        "Runs of seeds 5, 6 and 7 were begun three hours after the first five were complete. "
        "If they were added because of what was seen then, equal arms give a claim more often than in the 5 % of pages "
        f"that p values promise. With two looks it is up to {per_cent(claims_after(2, (5, 8)))}. "
        "With --sequential, intervals and claims hold however often one looks."
    )
    [note] = note_on_looks(TWICE, 2, sequential=False)
    assert note.startswith("Runs of more seeds were begun after pauses, when five and six seeds were complete. ")
    assert f"With three looks it is up to {per_cent(claims_after(2, (5, 6, 8)))}." in note


def test_of_many_looks_only_their_number_is_said() -> None:
    daily = batches(*(loop(by_seed("ab", [seed])) for seed in range(9)))
    [note] = note_on_looks(looks_of(daily), 2, sequential=False)
    assert note.startswith("Runs of more seeds were begun after six pauses, from three seeds on. ")
    assert "With seven looks it is up to " in note


def test_with_sequential_intervals_there_is_no_warning() -> None:
    [note] = note_on_looks(ONE, 2, sequential=True)
    assert note == (
        "Runs of seeds 5, 6 and 7 were begun three hours after the first five were complete. "
        "Intervals and claims hold however often one looks (--sequential)."
    )


@pytest.mark.parametrize("sequential", [False, True])
def test_nothing_is_said_without_a_look_at_which_something_could_be_claimed(sequential: bool) -> None:
    assert not note_on_looks((), 2, sequential=sequential)
    # Three seeds of twelve arms are too few for any claim.
    assert not note_on_looks((Look(3, ("3", "4", "5", "6", "7"), HOUR),), 12, sequential=sequential)


def logged(runs: Sequence[Run]) -> Iterator[str]:
    """Log runs into the store, and yield their ids."""
    speeds = {"a": 12.0, "b": 5.0}
    for run in runs:
        seed = run.tags[names.TAG_SEED]
        tags = {name: text for name, text in run.tags.items() if name != names.TAG_SEED}
        yield log_run(
            "study",
            {"optimizer": run.name, "seed": seed},
            learning(int(seed), speeds[run.name], evaluations=6),
            tags=tags,
            span=(run.start, run.end or 0),
        )


def comparison(runs: Sequence[Run]) -> Comparison:
    """Return the comparison of runs that were logged into the store."""
    assert len(list(logged(runs))) == len(runs)
    options = parse(["--experiment", "study"])
    return compared(find_runs(options).runs, options, "study")


def keyed(run: Run) -> Run:
    """Return a run as this package logs it: an older one of the same key is left out before runs are grouped."""
    return replace(run, tags={**run.tags, names.TAG_TRIAL_KEY: f"{run.name} {run.tags[names.TAG_SEED]}"})


THREE = range(3)
SAID = "Runs of seeds 3 and 4 were begun two hours after the first three were complete."
# Runs in a store, and what the comparison says of their times.
STORED: dict[str, tuple[list[Run], str]] = {
    "one loop": (loop(by_seed("ab", FIVE)), ""),
    "seeds added": (batches(loop(by_seed("ab", THREE)), loop(by_seed("ab", [3, 4])), pause=2 * HOUR), SAID),
    "an interrupted sweep": (
        batches(loop(by_seed("ab", THREE), planned=5), loop(by_seed("ab", [3, 4]), planned=5)),
        "",
    ),
    "a run repeated": (batches(loop(by_seed("ab", range(4))), loop([("a", 3)])), ""),
    "a run of this package repeated": (list(map(keyed, batches(loop(by_seed("ab", range(4))), loop([("a", 3)])))), ""),
}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", STORED)
def test_a_comparison_of_stored_runs_says_when_seeds_were_added(name: str) -> None:
    runs, said = STORED[name]
    found = [note for note in comparison(runs).notes if "were begun" in note]
    assert [note.partition(" If ")[0] for note in found] == ([said] if said else [])
