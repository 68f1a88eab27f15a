"""From a plan to trials.

They are those of the search, of its extension and of the repeats. Every trial is checked as ``fit`` is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.config.twin import COMMANDS
from lit_lossopt.config.words import Prepared, prepare
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.sweeps.plan.file import GRID, TUNE, Level, Plan
from lit_lossopt.sweeps.plan.key import sweep_key, whole_tree
from lit_lossopt.sweeps.plan.points import LogGrid, Point, Search
from lit_lossopt.sweeps.plan.race import RACE
from lit_lossopt.sweeps.plan.section import as_text
from lit_lossopt.sweeps.plan.start import Start
from lit_lossopt.sweeps.trial import Trial

TUNING, REPEAT, TEST = "tuning", names.REPEAT, "test"
# A key of a plan, in place of a setting: what trains.
FRAMEWORK = "framework"


@dataclass(frozen=True)
class Arm:
    """One level of each factor.

    Attributes:
        name: the levels' names, as ``adam focal``; the plan's, where it has no factors.
        levels: one of each factor.
        search: where it is tried; None: as it is.
    """

    name: str
    levels: tuple[Level, ...]
    search: Search | None


@dataclass(frozen=True)
class Reach:
    """By how many points a log grid goes beyond its ends."""

    below: int = 0
    above: int = 0


def arms(plan: Plan) -> tuple[Arm, ...]:
    """Return every combination of levels.

    Raises:
        UserError: two levels of an arm say where it is tried, or arms would get different budgets.
    """
    combinations = []
    for levels in itertools.product(*plan.factors.values()):
        searches = [level for level in levels if level.search]
        if len(searches) > 1:
            raise UserError(
                f"{plan.path}: {searches[0].name} and {searches[1].name} both have "
                "learning_rates or quasi_random; leave one out"
            )
        name = " ".join(level.name for level in levels) or plan.name
        combinations.append(Arm(name, levels, searches[0].search if searches else plan.search))
    counts = {arm.name: len(points_of(arm, Reach())) for arm in combinations}
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        raise UserError(
            f"{plan.path}: {few} is tried at {counts[few]} points and {many} at {counts[many]}; every arm needs the "
            "same number, or the comparison is not fair"
        )
    return tuple(combinations)


def search_trials(plan: Plan, reach: Reach = Reach()) -> tuple[Trial, ...]:  # frozen
    """Return the trials of the search.

    Each point of each arm is tried with each of its seeds. Arms that race as they are have no search. Theirs are the
    repeats of the first look.

    Points come first, arms last: when the sweep is stopped half-way, no arm is ahead.

    Raises:
        UserError: an arm has a key, a class or a value that ``fit`` would refuse.
    """
    phase, seeds = _first_part(plan)
    rounds = itertools.zip_longest(*([(arm, point) for point in points_of(arm, reach)] for arm in arms(plan)))
    cells = [cell for cells_of_round in rounds for cell in cells_of_round if cell]
    trials = tuple(make_trial(plan, arm, point, seed, phase) for seed in seeds for arm, point in cells)
    seen: dict[str, Trial] = {}
    for trial in trials:
        twin = seen.setdefault(trial.key, trial)
        if twin is not trial:
            raise UserError(f"{plan.path}: {_named(twin)} and {_named(trial)} are the same training")
    return trials


def _first_part(plan: Plan) -> tuple[str, tuple[int, ...]]:
    """Return the phase and the seeds of the trials that come first."""
    if plan.protocol == GRID:
        return GRID, plan.seeds
    return (REPEAT, plan.seeds[: FIRST_LOOKS[0]]) if not searches(plan) else (TUNING, plan.tuning_seeds)


def searches(plan: Plan) -> bool:
    """Return whether any arm is tried at several points."""
    return any(arm.search for arm in arms(plan))


def points_of(arm: Arm, reach: Reach) -> tuple[Point, ...]:
    """Return where an arm is tried.

    Where nothing is searched it is the one empty point.
    """
    return arm.search.points(reach.below, reach.above) if arm.search else ({},)


def repeats(plan: Plan, winners: Mapping[str, Point]) -> tuple[Trial, ...]:
    """Return the trials that repeat each arm's winning point.

    They have fresh seeds. Arms without a winner have none.
    """
    chosen = [arm for arm in arms(plan) if arm.name in winners]
    return tuple(
        make_trial(plan, arm, winners[arm.name], seed, REPEAT) for seed, arm in itertools.product(plan.seeds, chosen)
    )


def make_trial(plan: Plan, arm: Arm, point: Point, seed: int, phase: str) -> Trial:
    """Return one trial, its words checked.

    Raises:
        UserError: names the plan, the arm, and the key that ``fit`` would refuse.
    """
    start = start_of(plan, arm)
    trunk = _trunk_of(plan, arm, start, seed, phase) if start else None
    words = fit_words(plan, arm, point, seed, start.words(trunk.key) if start and trunk else {})
    try:
        _check_recorded(_prepared(words))
        _check_trainer(_trainer(words))
        if plan.accelerator and accelerator_in(words) == "auto":
            # Said, so that the words mean the same device by hand, and another device is another trial.
            words = (*words, f"--trainer.accelerator={plan.accelerator}")
        key = _checked_key(words)
    except UserError as error:
        raise UserError(f"{plan.path}, arm {arm.name}: {str(error).replace(' from the command line', '')}") from error
    return Trial(key, words, arm.name, phase, seed, dict(point), trunk=trunk, start_step=start.step if start else None)


def start_of(plan: Plan, arm: Arm) -> Start | None:
    """Return from which training the trials of an arm begin, if from any.

    Raises:
        UserError: two of its levels say so.
    """
    starts = [level for level in arm.levels if level.start]
    if len(starts) > 1:
        raise UserError(
            f"{plan.path}: {starts[0].name} and {starts[1].name} both have a start; a training begins in one place"
        )
    return starts[0].start if starts else None


def trunk_arm(plan: Plan, arm: Arm, start: Start, before: tuple[str, ...] = ()) -> Arm:
    """Return the arm from which the trials of another one begin.

    Args:
        plan: with the arms.
        arm: the other one.
        start: as it stands in the plan.
        before: names of the arms that begin from this one.

    Raises:
        UserError: there is no such arm, it is tried at several points, or the arms begin from each other.
    """
    own = next(level for level in arm.levels if level.start)
    factor = next((levels for levels in plan.factors.values() if own in levels), ())
    sibling = next((level for level in factor if level.name == start.arm), None)
    trunk = next((level for level in plan.trunks if level.name == start.arm), None)
    where = f"{plan.path}: start.arm={start.arm} of {own.name}"
    if sibling is None and trunk is None:
        known = [level.name for level in (*factor, *plan.trunks) if level is not own]
        raise UserError(f"{where}: no such arm{did_you_mean(start.arm, known)}; there are: {', '.join(known)}")
    if sibling is None:
        assert trunk is not None
        return Arm(trunk.name, (trunk,), None)
    found = next(
        one for one in arms(plan) if one.levels == tuple(sibling if level is own else level for level in arm.levels)
    )
    if found.search:
        raise UserError(
            f"{where}: it is tried at several points, and only one can be begun from; write a training with one rate "
            "into sweep.trunks"
        )
    below = start_of(plan, found)
    if below and found.name not in before:
        trunk_arm(plan, found, below, (*before, arm.name))
    elif below:
        raise UserError(f"{where}: {', '.join((*before, arm.name))} begin from each other; one must begin from scratch")
    return found


def _trunk_of(plan: Plan, arm: Arm, start: Start, seed: int, phase: str) -> Trial:
    found = trunk_arm(plan, arm, start)
    is_arm = any(found.levels == one.levels for one in arms(plan))
    return make_trial(plan, found, {}, seed, phase if is_arm else names.TRUNK)


def with_trunks(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return trials and those from which they begin, the latter first."""
    found: dict[str, Trial] = {trial.key: trial for trial in trials}
    waiting = list(found.values())
    while waiting:
        trunk = waiting.pop().trunk
        if trunk is not None and trunk.key not in found:
            found[trunk.key] = trunk
            waiting.append(trunk)
    return tuple(sorted(found.values(), key=lambda trial: trial.depth))


@cache
def _checked_key(words: tuple[str, ...]) -> str:
    return sweep_key(_prepared(words))


def accelerator_in(words: tuple[str, ...]) -> str:
    """Return what a trial's settings say of the device.

    It is ``auto`` where they leave it open.
    """
    return str(_trainer(words).get("accelerator") or "auto")


@cache
def _trainer(words: tuple[str, ...]) -> Mapping[str, Any]:
    return whole_tree(_prepared(words)).get("trainer") or {}


@cache
def _prepared(words: tuple[str, ...]) -> Prepared:
    return prepare(words[0], list(words[1:]))


def _check_recorded(prepared: Prepared) -> None:
    if prepared.unrecorded:
        raise UserError(f"{prepared.unrecorded}: a sweep reads results from the runs that its trials log; leave it out")


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse what would leave a sweep without results.

    Raises:
        UserError: names the setting.
    """
    if trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run: it logs no run; take trainer.max_steps for a short sweep")
    limit = trainer.get("limit_val_batches")
    if limit is not None and limit == 0:
        raise UserError("trainer.limit_val_batches=0: a sweep chooses by validation accuracy; leave it out")


def fit_words(
    plan: Plan, arm: Arm, point: Point, seed: int, start: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """Return the command line of a trial.

    A key that several parts of the plan set stands once, as the last has it.

    Args:
        plan: with what all trials share.
        arm: with its levels.
        point: the searched values.
        seed: of the trial.
        start: settings that name where it begins.
    """
    configs = [*plan.base.configs, *(name for level in arm.levels for name in level.configs), *plan.overlays]
    keys: dict[str, str] = {}
    for source in (
        plan.base.keys,
        *(level.keys for level in arm.levels),
        {key: as_text(value) for key, value in point.items()},
        start,
        plan.flags,
    ):
        for key, text in source.items():
            keys.pop(key, None)
            keys[key] = text
    command = _command(plan, keys.pop(FRAMEWORK, None))
    named = [word for name in configs for word in ("--config", name)]
    allowed = [word for name in plan.allowed for word in ("--allow-import", name)]
    flags = [f"--{key}={text}" for key, text in keys.items()]
    return (command, *named, *flags, f"--seed_everything={seed}", f"--threads={plan.threads}", *allowed)


def _command(plan: Plan, framework: str | None) -> str:
    """Return the command that trains in a framework."""
    if framework is None:
        return COMMANDS["pytorch"]
    if framework not in COMMANDS:
        raise UserError(
            f"{plan.path}: {FRAMEWORK}={framework}{did_you_mean(framework, COMMANDS)}; there are: {', '.join(COMMANDS)}"
        )
    return COMMANDS[framework]


def check_plan(plan: Plan) -> tuple[Trial, ...]:
    """Return the trials of a plan that was checked.

    They are those of the search. All that can be seen to be wrong is refused first.

    Raises:
        UserError: the first thing wrong.
    """
    for key in plan.flags:
        owner = _owner(plan, key)
        if owner:
            raise UserError(f"--{key}: {owner} of {plan.path} sets it for each arm; change it there")
    if plan.protocol == TUNE and not searches(plan):
        raise UserError(
            f"{plan.path}: sweep.protocol={plan.protocol}: there is nothing to tune; give learning_rates or "
            f"quasi_random, or take protocol: {GRID} or {RACE}"
        )
    trials = search_trials(plan)
    repeated = 0 if plan.protocol == GRID else len(plan.seeds) * len(arms(plan))
    # The trials of a race without a search are the first of its repeats.
    count = repeated if plan.race and not searches(plan) else len(with_trunks(trials)) + repeated
    if plan.race and len(arms(plan)) < 2:
        raise UserError(f"{plan.path}: sweep.protocol={RACE}: a race needs two arms; give factors")
    if count > plan.max_trials:
        raise UserError(
            f"{plan.path}: {count} trials, more than sweep.limits.trials={plan.max_trials}; raise it if that is meant"
        )
    return trials


def on_grids(plan: Plan) -> bool:
    """Return whether every arm is tried on a grid.

    Only grids have ends that can be extended, so a sweep extends all arms or none.
    """
    return all(isinstance(arm.search, LogGrid) for arm in arms(plan))


def _owner(plan: Plan, key: str) -> str:
    """Return what in the plan sets a key.

    It may set the class that the key belongs to. There is a text for each arm, and it may be empty.
    """

    def clash(other: str) -> bool:
        return other == key or other.startswith(f"{key}.")

    for factor, levels in plan.factors.items():
        if any(clash(other) for level in levels for other in level.keys):
            return f"the factor {factor}"
    searched = {other for arm in arms(plan) if arm.search for other in arm.search.keys}
    return "the search" if any(map(clash, searched)) else ""


def _named(trial: Trial) -> str:
    return " ".join([trial.arm, *described_point(trial.point)])


def described_point(point: Mapping[str, float]) -> Iterator[str]:
    """Yield ``lr=0.01`` for each searched value."""
    for key, value in point.items():
        yield f"{key.rpartition('.')[2]}={value:g}"
