"""The race of a sweep's winners: they are repeated until every pair of them is decided.

Its decisions follow from the runs in the store alone. So a race that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import SPEED, Rules
from lit_lossopt.comparison.racing import as_tag, race_of_trials, rules_in
from lit_lossopt.comparison.report.standing import new_looks, open_in_words, standing
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.plan.file import Plan, plan_seeds
from lit_lossopt.sweeps.plan.points import Point
from lit_lossopt.sweeps.plan.race import QUESTIONS, RacePlan, seeds_beyond
from lit_lossopt.sweeps.plan.trials import repeats
from lit_lossopt.sweeps.time_limit import TimeLimit, limit_of
from lit_lossopt.sweeps.trial import Trial
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.tracking.sweeps import SweepRuns


class Runner(Protocol):
    """A sweep, as far as a race needs it.

    Attributes:
        trials: key → trial of those that were asked for.
        left: number of trials that wait for the next command.
        limit: when time is up.
        notes: lines that are said at the end.
    """

    trials: dict[str, Trial]
    left: int
    limit: TimeLimit
    notes: list[str]

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def runs(self) -> SweepRuns:
        """Its runs in the store."""

    @property
    def failed(self) -> Mapping[str, str]:
        """Key of a trial that failed → what is said of it."""

    @property
    def say(self) -> Callable[[str], None]:
        """Prints a line."""

    @property
    def show(self) -> Callable[[str], None]:
        """Shows how the race stands."""

    def run_missing(self, trials: tuple[Trial, ...]) -> None:
        """Run those of the trials that are not in the store."""


def race(sweep: Runner, winners: Mapping[str, Point], settings: RacePlan) -> tuple[Trial, ...]:
    """Run the race, and return its trials.

    A race that ends undecided because its own time is up has come to its end.

    Args:
        sweep: that it is a part of.
        winners: arm → the point that is repeated.
        settings: what the plan says of the race.
    """
    if len(winners) < 2:
        sweep.notes.append("there was no race, because fewer than two arms came to a sound end of their search")
        return ()
    whole, own = sweep.limit, limit_of(settings.max_minutes, "the race's")
    sweep.limit = min(whole, own, key=lambda limit: limit.end)
    trials = _run(sweep, _begun(sweep, winners, settings), winners)
    if sweep.limit is own and sweep.left and own.is_over:
        sweep.left = 0
        sweep.notes.append(f"{own.words} were over before all pairs were decided; the same command goes on")
    # What comes behind the race has the sweep's time.
    sweep.limit = whole
    return trials


@dataclass(frozen=True)
class _Begun:
    """A race that has begun.

    Attributes:
        plan: with the seeds of the race.
        rules: of the race.
    """

    plan: Plan
    rules: Rules


def _begun(sweep: Runner, winners: Mapping[str, Point], settings: RacePlan) -> _Begun:
    """Return the race with what was fixed when it began, under this plan or an earlier form of it.

    Raises:
        UserError: the plan asks for something else than the race was begun with.
    """
    before = _rules_before(sweep, winners)
    _check_unchanged(sweep.plan, settings, before)
    counted = max([len(winners), *(rules.most_arms for rules in before)])
    longest = max([len(sweep.plan.seeds), *(len(rules.seeds) for rules in before)])
    plan = replace(sweep.plan, seeds=plan_seeds(sweep.plan, longest))
    rules = Rules(
        settings.question, settings.margin, tuple(map(str, plan.seeds)), len(winners), settings.target, counted
    )
    # Looks that have taken place count, although the plan may now allow fewer seeds.
    held = max(_look(sweep, _Begun(plan, rules), winners).looks, default=0)
    most = max(settings.max_seeds, held)
    if held > settings.max_seeds:
        sweep.say(f"the race was looked at with {held} seeds before, more than {settings.max_seeds}; these looks count")
    return _Begun(replace(plan, seeds=plan.seeds[:most]), replace(rules, seeds=rules.seeds[:most]))


def _rules_before(sweep: Runner, winners: Mapping[str, Point]) -> list[Rules]:
    """Return the rules by which repeats of these winners have raced."""
    most = replace(sweep.plan, seeds=plan_seeds(sweep.plan, FIRST_LOOKS[-1]))
    found = []
    for run in sweep.runs.ended([trial.key for trial in repeats(most, winners)]).values():
        with suppress(ValueError):
            found.append(rules_in(run.tags.get(names.TAG_RACE, "")))
    return found


def _check_unchanged(plan: Plan, settings: RacePlan, before: Sequence[Rules]) -> None:
    """Refuse to decide a race by something else than it was begun with."""
    for rules in before:
        wanted = (settings.question, settings.target if settings.question == SPEED else None)
        begun = (rules.question, rules.target if rules.question == SPEED else None)
        if wanted != begun:
            key = "question" if rules.question != settings.question else "target"
            raise UserError(
                f"{plan.path}: sweep.race.{key}: the race was begun with {_shown(rules)}, and what decides may not be "
                "chosen after looking; put it back, or begin another race with --tracking.experiment NAME"
            )


def _shown(rules: Rules) -> str:
    question = next(name for name, known in QUESTIONS.items() if known == rules.question)
    return f"question: {question}" + (f" and target: {rules.target}" if rules.question == SPEED else "")


def _run(sweep: Runner, begun: _Begun, winners: Mapping[str, Point]) -> tuple[Trial, ...]:
    """Run look after look, and return the trials."""
    sweep.runs.begin_race(as_tag(begun.rules), [trial.key for trial in repeats(begun.plan, winners)])
    said, found = None, _look(sweep, begun, winners)
    while True:
        late = _late(sweep, begun.plan, winners, found)
        if not late:
            _say(sweep, said, found)
            said = found
        # Arms that lag behind come first, because the next look depends on them.
        wanted = late or dict.fromkeys(found.racing if found.next_look else (), found.next_look or 0)
        trials = _trials(begun.plan, winners, {**found.seeds_of, **wanted})
        if wanted or not sweep.trials.keys() >= {trial.key for trial in trials}:
            sweep.run_missing(trials)
        if not wanted:
            _note_open(sweep, found)
        if sweep.left or not wanted:
            return trials
        before, found = found, _look(sweep, begun, winners)
        if not late and max(found.looks, default=0) < max(wanted.values()):
            sweep.say(f"the race cannot go on to {before.next_look} seeds, because trials failed")
            return trials


def _late(sweep: Runner, plan: Plan, winners: Mapping[str, Point], found: Race) -> dict[str, int]:
    """Return the arms that lack a run of a look, and that look's number of seeds.

    Such an arm was interrupted, or it failed under an earlier command. An arm that has failed under this command stays
    out.
    """
    late: dict[str, int] = {}
    for arm in sorted(found.left):
        for size in sorted(found.looks):
            wanted = _trials(plan, {arm: winners[arm]}, {arm: size})
            lacking = [trial.key for trial in wanted if trial.key not in sweep.runs.known]
            if lacking:
                late |= {} if sweep.failed.keys() & set(lacking) else {arm: size}
                break
    return late


def _trials(plan: Plan, winners: Mapping[str, Point], counts: Mapping[str, int]) -> tuple[Trial, ...]:
    """Return the trials of each arm's first seeds."""
    places = {seed: place for place, seed in enumerate(plan.seeds)}
    wanted = repeats(replace(plan, seeds=plan.seeds[: max(counts.values())]), winners)
    return tuple(trial for trial in wanted if places[trial.seed] < counts[trial.arm])


def _look(sweep: Runner, begun: _Begun, winners: Mapping[str, Point]) -> Race:
    """Return how far the race has gone, by the runs in the store."""
    trials = {trial.key: trial for trial in repeats(begun.plan, winners)}
    ended = sweep.runs.ended(trials)
    of_run = {run.run_id: trials[key] for key, run in ended.items()}
    runs = read_runs(sweep.plan.experiment, run_ids=list(of_run)) if of_run else []
    named = [
        replace(run, tags={**run.tags, names.TAG_SWEEP_ARM: trial.arm, names.TAG_SEED: str(trial.seed)})
        for run in runs
        for trial in (of_run[run.run_id],)
    ]
    return race_of_trials(named, begun.rules, winners)


def _say(sweep: Runner, before: Race | None, found: Race) -> None:
    """Say what has changed since it was said last, and show how the race stands."""
    for line in new_looks(before, found):
        sweep.say(line)
    for arm in sorted(found.left - (before.left if before else frozenset())):
        sweep.say(f"{arm} has left the race, because a trial of it failed")
    sweep.show(standing(found))


def _note_open(sweep: Runner, found: Race) -> None:
    """Say what is open where a race has come to its last look."""
    if found.racing and found.next_look is None:
        last = max(found.looks)
        sweep.notes.append(
            f"the race ended at its limit of {last} seeds; {open_in_words(found)}; to go on, raise race.max_seeds or "
            f"type --seeds {seeds_beyond(last)}"
        )
