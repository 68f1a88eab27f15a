"""From a plan to trials.

They are those of the search, of its extension and of the repeats. Every trial is checked as ``fit`` is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.config.twin import COMMANDS
from lit_lossopt.config.words import Prepared, prepare
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.sweeps.plan.arms import AS_IT_IS, Arm, Reach, arms, points_of, searches
from lit_lossopt.sweeps.plan.file import GRID, TUNE, Plan
from lit_lossopt.sweeps.plan.key import sweep_key, whole_tree
from lit_lossopt.sweeps.plan.points import Point
from lit_lossopt.sweeps.plan.race import RACE
from lit_lossopt.sweeps.plan.section import as_text
from lit_lossopt.sweeps.plan.start import Start
from lit_lossopt.sweeps.plan.trunks import start_of, trunk_arm
from lit_lossopt.sweeps.trial import Trial, with_trunks

TUNING, REPEAT, TEST = "tuning", names.REPEAT, "test"
# A key of a plan, in place of a setting: what trains.
FRAMEWORK = "framework"


def search_trials(plan: Plan, reach: Reach = AS_IT_IS) -> tuple[Trial, ...]:
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
        if trunk and start and start.step is not None:
            _check_branch(words, trunk)
    except UserError as error:
        raise UserError(f"{plan.path}, arm {arm.name}: {str(error).replace(' from the command line', '')}") from error
    return Trial(key, words, arm.name, phase, seed, dict(point), trunk=trunk, start_step=start.step if start else None)


def _trunk_of(plan: Plan, arm: Arm, start: Start, seed: int, phase: str) -> Trial:
    found = trunk_arm(plan, arm, start)
    is_arm = any(found.levels == one.levels for one in arms(plan))
    return make_trial(plan, found, {}, seed, phase if is_arm else names.TRUNK)


def _check_branch(words: tuple[str, ...], trunk: Trial) -> None:
    """Refuse a branch that ``fit`` would refuse after its trunk was trained."""
    own, before = (whole_tree(_prepared(one)) for one in (words, trunk.words))
    losses = [tree["model"]["criterion"] for tree in (own, before)]
    kinds = [loss["class_path"] if isinstance(loss, dict) else loss for loss in losses]
    classes = [str((tree["data"].get("init_args") or {}).get("classes")) for tree in (own, before)]
    if kinds[0] != kinds[1]:
        raise UserError(
            f"it begins behind a step of {trunk.arm}, which has another loss ({kinds[1]}); take: weights can"
        )
    if classes[0] != classes[1]:
        raise UserError(f"it begins behind a step of {trunk.arm}, which has other classes; take: weights can")


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


def _owner(plan: Plan, key: str) -> str:
    """Return what in the plan sets a key.

    It may set the class that the key belongs to. There is a text for each arm, and it may be empty.
    """

    def clash(other: str) -> bool:
        return other == key or other.startswith(f"{key}.")

    for factor, levels in plan.factors.items():
        if any(clash(other) for level in levels for other in level.keys):
            return f"the factor {factor}"
    for level in plan.trunks:
        if any(map(clash, level.keys)):
            return f"the entry {level.name} of trunks"
    searched = {other for arm in arms(plan) if arm.search for other in arm.search.keys}
    return "the search" if any(map(clash, searched)) else ""


def _named(trial: Trial) -> str:
    return " ".join([trial.arm, *described_point(trial.point)])


def described_point(point: Mapping[str, float]) -> Iterator[str]:
    """Yield ``lr=0.01`` for each searched value."""
    for key, value in point.items():
        yield f"{key.rpartition('.')[2]}={value:g}"
