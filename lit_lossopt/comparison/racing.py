"""A race, computed from its runs.

Runs with their histories and the rules come in. It goes out how far the race has gone. The sweep that runs it and
everybody who compares its runs later use the same function, so they find the same decisions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from math import isnan, nan

from lit_lossopt.comparison.comparison import Arm, ArmRuns, LeftOut
from lit_lossopt.comparison.grouping.histories import with_curves
from lit_lossopt.comparison.grouping.notes import notes_on_seeds
from lit_lossopt.comparison.grouping.schedules import at_common_places
from lit_lossopt.comparison.measures.axes import common_axis
from lit_lossopt.comparison.measures.judged import judged
from lit_lossopt.comparison.measures.target import choose_target, start_of
from lit_lossopt.comparison.measures.trial import Yardstick, final_of, measure, seed_of
from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import FINAL, SPEED, Rules
from lit_lossopt.comparison.stages import Grouped, Terms
from lit_lossopt.comparison.statistics.contrasts import Question
from lit_lossopt.comparison.statistics.estimates import arm_in_numbers
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.comparison.statistics.questions import final_question, speed_question
from lit_lossopt.comparison.statistics.race import race
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import spelled
from lit_lossopt.tracking.reading.runs import Run

# A sweep chooses by it, and races by it.
METRIC = names.metric(names.VAL, "accuracy")


def race_of(arms: Sequence[ArmRuns], rules: Rules) -> Race:
    """Return how far the race of these arms has gone.

    Args:
        arms: with runs whose histories are read. Seeds are those that pair runs.
        rules: what was fixed before.
    """

    def ask(counts: Mapping[str, int]) -> tuple[Question, Collection[str]]:
        target, _ = target_of(arms, rules)
        measured = _measured([_first(arm, rules, counts[arm.name]) for arm in arms if counts[arm.name]], target)
        broken = {arm.name for arm in measured if set(arm.verdicts) - {Verdict.COMPLETED}}
        if rules.question == SPEED:
            return speed_question(measured), broken
        return final_question(measured, rules.margin, higher_is_better=True), broken

    return race({arm.name: {seed_of(run) for run in arm.runs} for arm in arms}, rules, ask)


def race_of_trials(trials: Sequence[Run], rules: Rules, arms: Iterable[str]) -> Race:
    """Return how far the race of a sweep's repeats has gone.

    Args:
        trials: without histories. Their tags name arm and seed.
        rules: what was fixed before.
        arms: that race. There may be no run of one of them yet.
    """
    by_arm: dict[str, list[Run]] = {arm: [] for arm in arms}
    for run in judged(with_curves(trials, METRIC), METRIC):
        by_arm[run.tags[names.TAG_SWEEP_ARM]].append(run)
    return race_of([ArmRuns(name, name, {}, nan, tuple(own)) for name, own in sorted(by_arm.items())], rules)


def target_of(arms: Sequence[ArmRuns], rules: Rules) -> tuple[float, str]:
    """Return the value that counts as reached, and how it was chosen in words.

    Unless the rules have it, the runs of the first look choose it. So it stays the same at all later looks. An arm that
    lacks one of them is not asked, because it took no part in that look.
    """
    first = [_first(arm, rules, rules.looks[0]) for arm in arms]
    first = [arm for arm in first if len(arm.runs) == rules.looks[0]] or list(arms)
    if all(isnan(final_of(run, METRIC)) for arm in first for run in arm.runs):
        return (nan if rules.target is None else rules.target), "no run has a value yet"
    target, origin = choose_target(first, METRIC, rules.target, start_of(first, METRIC), higher_is_better=True)
    return target, origin if rules.target is not None else f"{origin} over the first {spelled(rules.looks[0])} seeds"


def _first(arm: ArmRuns, rules: Rules, count: int) -> ArmRuns:
    """Return an arm with the runs of its first seeds alone."""
    wanted = set(rules.seeds[:count])
    return replace(arm, runs=tuple(run for run in arm.runs if seed_of(run) in wanted))


def looked_at(arms: Sequence[ArmRuns], found: Race) -> list[ArmRuns]:
    """Return arms with the runs that were looked at.

    Where no look has taken place, all of them stay.
    """
    return [_first(arm, found.rules, found.seeds_of[arm.name]) for arm in arms] if found.looks else list(arms)


def _measured(arms: Sequence[ArmRuns], target: float) -> list[Arm]:
    axes = common_axis(arms, METRIC)
    placed, _ = at_common_places(arms, axes, METRIC)
    yardstick = Yardstick(METRIC, True, target)
    return [
        arm_in_numbers(arm, [measure(run, arm, yardstick, nan, axes.place(run, METRIC)) for run in arm.runs], METRIC)
        for arm in placed
    ]


def as_tag(rules: Rules) -> str:
    """Return rules as the text of a tag.

    >>> rules_in(as_tag(Rules("final", 0.01, ("1", "2", "3"), 2))).looks
    (3,)
    """
    return json.dumps(asdict(rules))


def rules_in(tag: str) -> Rules:
    """Return the rules that a tag holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        values = json.loads(tag)
        if values["question"] not in (FINAL, SPEED) or len(values["seeds"]) < FIRST_LOOKS[0]:
            raise ValueError(tag)
        return Rules(**{**values, "seeds": tuple(map(str, values["seeds"]))})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(tag) from error


NOT_THE_RACE = (
    "These runs are of a race, in which the number of seeds depends on what was found. They are not compared as the "
    "race was decided, so claims and intervals are those that hold however often one looks."
)


def recognized(grouped: Grouped, *, own_margin: bool) -> Grouped:
    """Return arms as the race that they are, if they are one.

    Their sweep has tagged them with its rules. Arms of a race that are grouped or measured in another way are judged
    so that claims hold however often one looks.

    Args:
        grouped: the arms.
        own_margin: whether a person has typed the margin.
    """
    runs = [run for arm in grouped.arms for run in arm.runs]
    if not any(run.tags.get(names.TAG_RACE) for run in runs):
        return grouped
    rules = _shared_rules(grouped)
    same = rules is not None and _asks_for(rules, grouped.terms, own_margin=own_margin)
    if rules is None or not same or grouped.terms.sequential:
        terms = replace(grouped.terms, sequential=True)
        if rules is not None and terms.target is None and terms.metric == METRIC:
            # The target of the race stays, whatever else is asked.
            terms = replace(terms, target=target_of(grouped.arms, rules)[0])
        return replace(grouped, terms=terms, notes=(*grouped.notes, NOT_THE_RACE))
    if grouped.terms.target is not None:
        rules = replace(rules, target=grouped.terms.target)
    found = race_of(grouped.arms, rules)
    terms = grouped.terms if rules.question == SPEED else replace(grouped.terms, margin=rules.margin)
    return replace(_as_looked_at(grouped, found), terms=terms, race=found)


def _shared_rules(grouped: Grouped) -> Rules | None:
    """Return the rules of the race whose arms these are, or None."""
    runs = sorted((run for arm in grouped.arms for run in arm.runs), key=lambda run: (run.start, run.run_id))
    sweeps = {run.tags.get(names.TAG_SWEEP) for run in runs}
    levels = [{run.tags.get(names.TAG_SWEEP_ARM) for run in arm.runs} for arm in grouped.arms]
    single = [own.pop() for own in levels if len(own) == 1]
    if len(sweeps) > 1 or len(set(single)) < len(levels) or not all(run.tags.get(names.TAG_RACE) for run in runs):
        return None
    try:
        # The newest run knows of seeds that were allowed later.
        rules = rules_in(runs[-1].tags[names.TAG_RACE])
    except ValueError:
        return None
    return rules if len(grouped.arms) == rules.arms and not any(_has_gap(arm, rules) for arm in grouped.arms) else None


def _has_gap(arm: ArmRuns, rules: Rules) -> bool:
    """Return whether an arm lacks a seed before its last one, as where a run was deleted."""
    present = {seed_of(run) for run in arm.runs}
    known = [seed for seed in rules.seeds if seed in present]
    return known != list(rules.seeds[: len(known)])


def _asks_for(rules: Rules, terms: Terms, *, own_margin: bool) -> bool:
    """Return True if a comparison asks for what the race was about."""
    margin = not own_margin or rules.question == SPEED or terms.margin == rules.margin
    target = terms.target in (None, rules.target) or rules.question != SPEED
    return terms.metric == METRIC and margin and target


def _as_looked_at(grouped: Grouped, found: Race) -> Grouped:
    """Return arms with the runs that the race has looked at.

    Those that were begun for a look that never took place are left out.
    """
    arms = looked_at(grouped.arms, found)
    kept = {run.run_id for arm in arms for run in arm.runs}
    reason = "begun for a look of the race that did not take place"
    out = [LeftOut(run.run_id, run.name, reason) for arm in grouped.arms for run in arm.runs if run.run_id not in kept]
    # That arms have different seeds is what a race is for.
    known = notes_on_seeds(grouped.arms)
    notes = tuple(note for note in grouped.notes if note not in known)
    shown = tuple(arm for arm in arms if arm.runs)
    return replace(grouped, arms=shown, left_out=(*grouped.left_out, *out), notes=notes)
