"""Reading a plan.

It is a YAML file whose one key ``sweep`` says what is compared, and how. Nothing heavy is imported.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lit_lossopt.comparison.race_rules import USUAL_SEEDS
from lit_lossopt.config.branch import BRANCH
from lit_lossopt.config.files import find_config, plan_names
from lit_lossopt.config.strict_yaml import first_not_finite, load_config
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.plan.points import LogGrid, QuasiRandom, Range, Search
from lit_lossopt.sweeps.plan.race import RACE, RacePlan, read_race
from lit_lossopt.sweeps.plan.section import Section, as_text
from lit_lossopt.sweeps.plan.start import START, Start, read_start

GRID, TUNE = "grid", "tune-then-repeat"
PLAN_KEYS = (
    "base", "factors", "overlays", "learning_rates", "quasi_random", "protocol", "race", "tuning_seeds", "seeds",
    "trunks", "extend", "threads", "test", "experiment", "limits",
)  # fmt: skip
_SEARCHES = ("learning_rates", "quasi_random")
_NAME = re.compile(r"^[\w.+-]+$")
# Decided by the plan itself, in each trial.
_OWN = {
    "seed_everything": "seeds", "threads": "threads", "tracking": "experiment", "ckpt_path": "", "checkpoints": "",
    "resume": "",
}  # fmt: skip


@dataclass(frozen=True)
class Level:
    """A named set of what ``fit`` takes.

    Attributes:
        name: as it stands in the plan.
        configs: named by ``--config``, in order.
        keys: dotted key → text, as behind the equals sign of a flag.
        search: where this level is tried, if not where all are.
        start: the training from which trials begin. None: they begin from scratch.
    """

    name: str
    configs: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    search: Search | None = None
    start: Start | None = None


@dataclass(frozen=True)
class Plan:
    """What is compared, and how.

    Attributes:
        name: the file's, without its ending.
        path: of the file.
        text: of the file, when it was read.
        base: what all trials share.
        factors: factor → its levels; an arm takes one of each.
        overlays: configs named behind those of the levels.
        flags: typed behind the plan; for all trials.
        search: where each arm is tried; None: as it is.
        protocol: ``grid``, ``tune-then-repeat`` or ``race``.
        tuning_seeds: seeds of the search.
        seeds: of the repeats; of every cell, for ``grid``; as many as a race may take.
        extend: how often all arms are extended when a best one lies at an edge.
        threads: CPU threads of each trial.
        test: which checkpoint of each repeat is tested on the test split: ``best``, ``last``, or an empty text.
        experiment: in MLflow.
        max_trials: a plan of more is refused.
        max_minutes: after which the sweep stops; None: never.
        trial_minutes: after which a trial is stopped, and has failed; None: never.
        allowed: packages given by ``--allow-import``.
        accelerator: of the trials whose settings leave it open, on a machine that has GPUs; empty on others.
        race: what decides it; None where the protocol is another one.
        trunks: trainings from which arms begin, and which are no arms themselves.
    """

    name: str
    path: Path
    text: str
    base: Level
    factors: Mapping[str, tuple[Level, ...]]
    overlays: tuple[str, ...]
    flags: Mapping[str, str]
    search: Search | None
    protocol: str
    tuning_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    extend: int
    threads: int
    test: str
    experiment: str
    max_trials: int
    max_minutes: float | None
    trial_minutes: float | None
    allowed: tuple[str, ...] = ()
    accelerator: str = ""
    race: RacePlan | None = None
    trunks: tuple[Level, ...] = ()


def find_plan(name: str) -> Path:
    """Return the file of a plan.

    Raises:
        UserError: there is none, or it is a config of ``fit``.
    """
    path = find_config(name, plan_names())
    if "sweep" not in load_config(path, str(path)):
        raise UserError(
            f"--config {name}: a config of fit, not a plan (it has no key 'sweep'); name it after a plan to lay it "
            f"over all trials; plans: {', '.join(plan_names())}"
        )
    return path


def read_plan(path: Path) -> Plan:
    """Return what a plan says.

    Raises:
        UserError: the first thing wrong, with its key and the file.
    """
    section = _read(path)
    protocol = section.choice("protocol", (TUNE, GRID, RACE), TUNE)
    tuning = section.seeds("tuning_seeds", 1, 0)
    race = read_race(section.below("race")) if protocol == RACE else None
    seeds = section.seeds("seeds", race.max_seeds if race else USUAL_SEEDS, 0 if protocol == GRID else max(tuning) + 1)
    _check_protocol(section, protocol, tuning, seeds)
    limits = section.below("limits")
    limits.refuse_others(("trials", "minutes", "trial_minutes"))
    return Plan(
        name=path.stem,
        path=path,
        text=path.read_text(encoding="utf-8"),
        base=_level(section.below("base"), "base"),
        factors=_factors(section.below("factors")),
        overlays=section.names("overlays"),
        flags={},
        search=_search(section),
        protocol=protocol,
        tuning_seeds=tuning,
        seeds=seeds,
        extend=section.whole("extend", 2, 0, 2),
        threads=section.whole("threads", 1, 1, 1024),
        test=section.choice("test", ("best", "last"), ""),
        experiment=section.text("experiment", path.stem),
        max_trials=limits.whole("trials", 1000, 1, 1_000_000),
        max_minutes=limits.number("minutes", None),
        trial_minutes=limits.number("trial_minutes", None),
        race=race,
        trunks=_trunks(section.below("trunks")),
    )


def _read(path: Path) -> Section:
    """Return the one mapping of a plan's file."""
    tree = load_config(path, str(path))
    if not _NAME.match(path.stem):
        raise UserError(f"{path}: a plan is known by its file's name, which may hold letters, digits and . + - _ only")
    found = first_not_finite(tree)
    if found:
        raise UserError(f"{path}: {found[0]}={found[1]}: not a finite number")
    others = [name for name in tree if name != "sweep"]
    if others:
        raise UserError(
            f"{path}: {others[0]}: a plan has the one key 'sweep'; what all trials share stands in its base"
        )
    section = Section(tree["sweep"], "sweep", path)
    section.refuse_others(PLAN_KEYS)
    return section


def plan_seeds(plan: Plan, count: int) -> tuple[int, ...]:
    """Return so many seeds for a plan.

    It keeps those it has. Further ones are seeds on which it was not tuned.
    """
    tuned = () if plan.protocol == GRID else plan.tuning_seeds
    more = (seed for seed in itertools.count() if seed not in plan.seeds and seed not in tuned)
    return tuple(itertools.islice(itertools.chain(plan.seeds, more), count))


def as_race(plan: Plan, race: RacePlan) -> Plan:
    """Return a plan whose winners race instead of being repeated with fixed seeds.

    Raises:
        UserError: the plan is a grid.
    """
    if plan.protocol == GRID:
        raise UserError(f"{plan.path}: sweep.protocol={GRID}: it repeats nothing, so nothing can race; leave it out")
    return replace(plan, protocol=RACE, race=race, seeds=plan_seeds(plan, race.max_seeds))


def _check_protocol(section: Section, protocol: str, tuning: tuple[int, ...], seeds: tuple[int, ...]) -> None:
    if protocol == GRID and "tuning_seeds" in section.tree:
        raise section.wrong("tuning_seeds", "a grid has no tuning; give its seeds as 'seeds'")
    if protocol == GRID and "test" in section.tree:
        raise section.wrong("test", "only repeats are tested: a grid chooses nothing")
    if protocol == RACE and "seeds" in section.tree:
        raise section.wrong("seeds", "a race takes as many as it needs; limit it by race.max_seeds")
    if protocol != RACE and "race" in section.tree:
        raise section.wrong("race", f"it says how a race is decided, and this is none; add protocol: {RACE}")
    shared = sorted(set(tuning) & set(seeds))
    if protocol != GRID and shared:
        raise section.wrong("seeds", f"seed {shared[0]} was tuned on; repeats take fresh ones")


def _factors(section: Section) -> dict[str, tuple[Level, ...]]:
    factors = {}
    for factor in section.tree:
        levels = section.below(factor)
        if not levels.tree:
            raise section.wrong(factor, "expected levels, as name: {config: …, key: value}")
        factors[factor] = tuple(_level(levels.below(name), name) for name in levels.tree)
    return factors


def _trunks(section: Section) -> tuple[Level, ...]:
    levels = tuple(_level(section.below(name), name) for name in section.tree)
    searched = next((level for level in levels if level.search), None)
    if searched:
        raise UserError(
            f"{section.path}: {section.where}.{searched.name}: arms begin from one training of it; give it one rate"
        )
    return levels


def _level(section: Section, name: str) -> Level:
    if not _NAME.match(name):
        raise UserError(f"{section.path}: {section.where}: a level's name is one word of letters, digits, . _ + -")
    keys = {key: value for key, value in section.tree.items() if key not in ("config", START, *_SEARCHES)}
    pairs = [pair for name, value in keys.items() for pair in _flat(name, value)]
    flat = dict(pairs)
    twice = next((key for key in flat if sum(key == other for other, _ in pairs) > 1), "")
    if twice:
        raise section.wrong(twice, "stands twice, once with dots; leave one of them out")
    if BRANCH in flat:
        raise section.wrong(BRANCH, "each seed has a run of its own; write it as start: {arm: NAME, step: N}")
    for key in flat:
        if key.partition(".")[0] in _OWN:
            instead = _OWN[key.partition(".")[0]]
            raise UserError(
                f"{section.path}: {section.where}.{key}: "
                + (f"set for the whole sweep by sweep.{instead}" if instead else "not a part of a plan")
            )
    search = _search(section)
    if search and section.where == "sweep.base":
        raise UserError(
            f"{section.path}: {section.where}: learning_rates and quasi_random stand beside base, not in it"
        )
    start = read_start(section.below(START))
    if start and section.where == "sweep.base":
        raise UserError(f"{section.path}: {section.where}: levels of factors begin from others; put start into them")
    return Level(name, section.names("config"), flat, search, start)


def _flat(key: str, value: Any) -> list[tuple[str, str]]:
    """Return dotted key and text of each flag.

    A class with its arguments is one flag.
    """
    if isinstance(value, dict) and value and "class_path" not in value:
        return [pair for name, inner in value.items() for pair in _flat(f"{key}.{name}", inner)]
    return [(key, as_text(value))]


def _search(section: Section) -> Search | None:
    given = [name for name in _SEARCHES if name in section.tree]
    if len(given) > 1:
        raise UserError(
            f"{section.path}: {section.where}: learning_rates and quasi_random exclude each other; take one of them"
        )
    if not given:
        return None
    return _log_grid(section) if given[0] == "learning_rates" else _quasi_random(section.below("quasi_random"))


def _log_grid(section: Section) -> LogGrid:
    part = section.below("learning_rates")
    part.refuse_others(("from", "to", "points"))
    grid = LogGrid(part.needed("from"), part.needed("to"), part.whole("points", 0, 2, 1000))
    if grid.low >= grid.high:
        raise part.wrong("to", f"expected more than from={grid.low:g}")
    if len({tuple(point.values()) for point in grid.points()}) < grid.count:
        raise part.wrong("points", "they are so close that some would be the same; take fewer")
    return grid


def _quasi_random(section: Section) -> QuasiRandom:
    section.refuse_others(("points", "seed", "space"))
    space = section.below("space")
    ranges: dict[str, Range] = {}
    for key in space.tree:
        part = space.below(key)
        part.refuse_others(("from", "to", "scale"))
        scale = part.choice("scale", ("log", "linear", "whole"), "log")
        low = part.needed("from") if scale != "linear" or part.tree.get("from") else 0.0
        if scale == "whole":
            low, _ = part.whole("from", 0, 1, 2**31), part.whole("to", 0, 1, 2**31)
        ranges[key] = Range(low, part.needed("to"), scale)
        if ranges[key].low >= ranges[key].high:
            raise part.wrong("to", f"expected more than from={ranges[key].low:g}")
    if not ranges:
        raise section.wrong("space", "expected hyperparameters, as model.optimizer.lr: {from: 1e-4, to: 1e-1}")
    return QuasiRandom(ranges, section.whole("points", 0, 1, 10_000), section.whole("seed", 0, 0, 2**31))
