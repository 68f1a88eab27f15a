"""The race of a sweep's winners: they are repeated until every pair of them is decided.

Its decisions follow from the runs in the store alone. So a race that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import Rules
from lit_lossopt.comparison.racing import as_tag, race_of_trials
from lit_lossopt.comparison.report.standing import new_looks, open_in_words, standing
from lit_lossopt.core import names
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.plan.points import Point
from lit_lossopt.sweeps.plan.race import RacePlan, seeds_beyond
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
    trials = _run(sweep, winners, rules_of(sweep.plan, settings, len(winners)))
    if sweep.limit is own and sweep.left and own.is_over:
        sweep.left = 0
        sweep.notes.append(f"{own.words} were over before all pairs were decided; the same command goes on")
    # What comes behind the race has the sweep's time.
    sweep.limit = whole
    return trials


def rules_of(plan: Plan, settings: RacePlan, arms: int) -> Rules:
    """Return the rules of a plan's race."""
    seeds = tuple(map(str, plan.seeds))
    return Rules(settings.question, settings.margin, seeds, arms, settings.target)


def _run(sweep: Runner, winners: Mapping[str, Point], rules: Rules) -> tuple[Trial, ...]:
    """Run look after look, and return the trials."""
    sweep.runs.begin_race(as_tag(rules), [trial.key for trial in repeats(sweep.plan, winners)])
    said, found = None, _look(sweep, winners, rules)
    while True:
        late = _late(sweep, winners, found)
        if not late:
            _say(sweep, said, found)
            said = found
        # Arms that lag behind come first, because the next look depends on them.
        wanted = late or dict.fromkeys(found.racing if found.next_look else (), found.next_look or 0)
        trials = _trials(sweep.plan, winners, {**found.seeds_of, **wanted})
        if wanted or not sweep.trials.keys() >= {trial.key for trial in trials}:
            sweep.run_missing(trials)
        if not wanted:
            _note_open(sweep, found)
        if sweep.left or not wanted:
            return trials
        before, found = found, _look(sweep, winners, rules)
        if not late and max(found.looks, default=0) < max(wanted.values()):
            sweep.say(f"the race cannot go on to {before.next_look} seeds, because trials failed")
            return trials


def _late(sweep: Runner, winners: Mapping[str, Point], found: Race) -> dict[str, int]:
    """Return the arms that lack a run of a look, and that look's number of seeds.

    Such an arm was interrupted, or it failed under an earlier command. An arm that has failed under this command stays
    out.
    """
    late: dict[str, int] = {}
    for arm in sorted(found.left):
        for size in sorted(found.looks):
            wanted = _trials(sweep.plan, {arm: winners[arm]}, {arm: size})
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


def _look(sweep: Runner, winners: Mapping[str, Point], rules: Rules) -> Race:
    """Return how far the race has gone, by the runs in the store."""
    trials = {trial.key: trial for trial in repeats(sweep.plan, winners)}
    ended = sweep.runs.ended(trials)
    of_run = {run.run_id: trials[key] for key, run in ended.items()}
    runs = read_runs(sweep.plan.experiment, run_ids=list(of_run)) if of_run else []
    named = [
        replace(run, tags={**run.tags, names.TAG_SWEEP_ARM: trial.arm, names.TAG_SEED: str(trial.seed)})
        for run in runs
        for trial in (of_run[run.run_id],)
    ]
    return race_of_trials(named, rules, winners)


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
