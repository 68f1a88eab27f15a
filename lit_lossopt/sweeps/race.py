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
from lit_lossopt.comparison.report.standing import look_in_words, standing
from lit_lossopt.core import names
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.plan.points import Point
from lit_lossopt.sweeps.plan.race import RacePlan
from lit_lossopt.sweeps.plan.trials import repeats
from lit_lossopt.sweeps.trial import Trial
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.tracking.sweeps import SweepRuns


class Runner(Protocol):
    """A sweep, as far as a race needs it."""

    left: int

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def runs(self) -> SweepRuns:
        """Its runs in the store."""

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

    Args:
        sweep: that it is a part of.
        winners: arm → the point that is repeated.
        settings: what the plan says of the race.
    """
    rules = rules_of(sweep.plan, settings, len(winners))
    sweep.runs.race = as_tag(rules)
    found = _look(sweep, winners, rules)
    _say(sweep, found, 0)
    while True:
        size, gone = found.next_look, max(found.looks, default=0)
        trials = _trials(sweep.plan, winners, found, size)
        sweep.run_missing(trials)
        if size is None or sweep.left:
            return trials
        found = _look(sweep, winners, rules)
        _say(sweep, found, gone)
        if max(found.looks, default=0) < size:
            sweep.say(f"the race cannot go on to {size} seeds, because trials failed")
            return trials


def rules_of(plan: Plan, settings: RacePlan, arms: int) -> Rules:
    """Return the rules of a plan's race."""
    seeds = tuple(map(str, plan.seeds))
    return Rules(settings.question, settings.margin, seeds, arms, settings.target)


def _trials(plan: Plan, winners: Mapping[str, Point], found: Race, size: int | None) -> tuple[Trial, ...]:
    """Return the trials that count, and those that the next look needs."""
    counts = {arm: found.seeds_of.get(arm, 0) for arm in winners}
    if size is not None:
        racing = found.racing if found.looks else winners
        counts |= dict.fromkeys(racing, size)
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
    found = race_of_trials(named, rules)
    # An arm of which no run has ended yet is in the race, too.
    return replace(found, seeds_of={**dict.fromkeys(winners, 0), **found.seeds_of})


def _say(sweep: Runner, found: Race, gone: int) -> None:
    """Say what new looks have decided, and show how the race stands."""
    for size in sorted(found.looks):
        if size > gone:
            sweep.say(look_in_words(found, size))
    sweep.show(standing(found))
