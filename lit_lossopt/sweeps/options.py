"""The words of ``lossopt sweep``.

They say which plan, over what, on which engine. Nothing heavy is imported for a dry run.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lit_lossopt.comparison.expectations import form_of_expectations, read_expectation, with_arms, without_settings
from lit_lossopt.comparison.flags import EXPECT, JSON
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.comparison.statistics.look_sizes import looks_up_to
from lit_lossopt.config.files import find_config, known_names, plan_names
from lit_lossopt.config.strict_yaml import load_config
from lit_lossopt.config.words import next_flag
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.flags import Flag
from lit_lossopt.sweeps import estimate
from lit_lossopt.sweeps.engines.gpu_slots import accelerator_of, share_of
from lit_lossopt.sweeps.engines.table import ENGINES
from lit_lossopt.sweeps.plan.arms import Reach, arms, on_grids, points_of, searches
from lit_lossopt.sweeps.plan.file import GRID, Plan, as_race, find_plan, plan_seeds, read_plan
from lit_lossopt.sweeps.plan.race import RacePlan, check_seeds
from lit_lossopt.sweeps.plan.trials import accelerator_in, check_plan, described_point
from lit_lossopt.sweeps.trial import Resources, with_trunks
from lit_lossopt.tracking.experiment import check_experiment

# For all trials alike, so neither a trial's own nor a sweep's.
_NOT_HERE = ("seed_everything", "ckpt_path", "branch", "resume", "tracking", "print_config", "help")


@dataclass
class Options:
    """What was typed behind ``sweep``.

    Attributes:
        configs: in order; one of them is the plan, the others are laid over all trials.
        flags: key → text, for all trials.
        dry_run: print, and do nothing.
        keep_checkpoints: of every trial, not of repeats only.
        workers: trials at once; 0: as many as there is room for.
        gpus: share of a GPU that each trial takes; None: one, where there are GPUs and settings do not say cpu.
        threads: CPU threads of each trial; None: as the plan has it.
        engine: a name of ``ENGINES``.
        ray_address: of a Ray cluster; empty: a local one.
        seeds: how many repeats; None: as the plan has it.
        race: whether seeds are added until it is decided, whatever the plan's protocol.
        experiment: in MLflow; empty: the plan's.
        allowed: packages given by ``--allow-import``.
        report: the page of the comparison; empty: where ``compare`` puts it.
        json: the file for everything that was found; empty: none.
        expect: sentences on arms that the comparison should claim.
    """

    configs: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    keep_checkpoints: bool = False
    workers: int = 0
    gpus: float | None = None
    threads: int | None = None
    engine: str = "local"
    ray_address: str = ""
    seeds: int | None = None
    race: bool = False
    experiment: str = ""
    allowed: list[str] = field(default_factory=list)
    report: str = ""
    json: str = ""
    expect: list[str] = field(default_factory=list)


def read_options(words: Sequence[str]) -> Options:
    """Sort the words behind ``sweep``.

    Raises:
        UserError: a word that means nothing here, or a value that cannot be.
    """
    options = Options()
    for switch, name in _SWITCHES.items():
        setattr(options, name, switch in words)
    queue = [word for word in words if word not in _SWITCHES]
    while queue:
        key, value = next_flag(queue)
        if value is None:
            raise UserError(f"--{key}: a value is missing")
        _take(options, key, value)
    if not options.configs:
        raise UserError("sweep: name a plan with --config NAME, as sweep_quick; lossopt configs lists them")
    return options


def _take(options: Options, key: str, value: str) -> None:
    if key == "config":
        options.configs.append(value)
    elif key == "allow-import":
        options.allowed.append(value)
    elif key == "expect":
        options.expect.append(_expectation(value))
    elif key in _VALUES:
        name, read = _VALUES[key]
        setattr(options, name, read(f"--{key}", value))
    elif key.partition(".")[0] in _NOT_HERE:
        if key == "tracking":
            raise UserError(
                f"--tracking={value}: a sweep reads results from the runs that its trials log; leave it out"
            )
        raise UserError(
            f"--{key}: not for a sweep; the plan has the seeds (or --seeds N), and runs get their own names"
        )
    else:
        options.flags[key] = value


def the_plan(options: Options) -> Plan:
    """Return the plan that was named.

    What was typed is laid over it, and it is checked.

    Raises:
        UserError: what is wrong, in the plan or in what was typed.
    """
    plans = [name for name in options.configs if _is_plan(name)]
    if len(plans) > 1:
        raise UserError(f"--config {plans[1]}: a second plan, and a sweep has only one")
    path = find_plan(plans[0] if plans else options.configs[0])
    plan = read_plan(path)
    overlays = tuple(name for name in options.configs if name not in plans)
    plan = _with_seeds(plan, options)
    plan = replace(
        plan,
        overlays=(*plan.overlays, *overlays),
        flags=options.flags,
        threads=options.threads or plan.threads,
        experiment=options.experiment or plan.experiment,
        allowed=tuple(options.allowed),
    )
    check_experiment(plan.experiment)
    if plan.trial_minutes and not ENGINES[options.engine].stops_trials:
        raise UserError(
            f"{path}: sweep.limits.trial_minutes: --engine {options.engine} cannot stop a trial; leave it out, "
            "or take local (which trains no objects from Python)"
        )
    check_plan(plan)
    _check_expectations(plan, options.expect)
    return replace(plan, accelerator=accelerator_of(gpu_share(plan, options)))


def _check_expectations(plan: Plan, texts: Sequence[str]) -> None:
    """Refuse a name that no arm of the comparison will have, before hours of training and not after them.

    On a grid each rate of an arm is an arm of the comparison. Where rates are searched, the name of the one that will
    be chosen is not known yet. Where none is, the names of the comparison may have settings that the plan's lack.

    Raises:
        UserError: names the sentence and the arm.
    """
    expected = [read_expectation(text) for text in texts]
    named = [arm.name for arm in arms(plan)]
    if plan.protocol == GRID and searches(plan):
        cells = [
            " ".join([arm.name, *described_point(point)]) for arm in arms(plan) for point in points_of(arm, Reach())
        ]
        with_arms(expected, cells)
    else:
        with_arms(expected if searches(plan) else map(without_settings, expected), named)


def _with_seeds(plan: Plan, options: Options) -> Plan:
    """Return the plan with the number of seeds that was typed."""
    if plan.race or options.race:
        race = plan.race or RacePlan()
        most = race.max_seeds if options.seeds is None else check_seeds(options.seeds, "--seeds ")
        return as_race(plan, replace(race, max_seeds=most))
    return plan if options.seeds is None else replace(plan, seeds=plan_seeds(plan, options.seeds))


def gpu_share(plan: Plan, options: Options) -> float:
    """Return the share of a GPU that each trial takes."""
    return share_of(options.gpus, {accelerator_in(trial.words) for trial in check_plan(plan)})


def resources(plan: Plan, options: Options) -> Resources:
    """Return what an engine may use.

    It has as many workers as were asked for. 0 means as many as it has room for.
    """
    return Resources(options.workers, plan.threads, gpu_share(plan, options))


def at_once(plan: Plan, options: Options) -> int:
    """Return how many trials will run at once.

    It is as far as can be told before.
    """
    return ENGINES[options.engine].at_once(resources(plan, options))


def dry_run(plan: Plan, options: Options) -> list[str]:
    """Return what a sweep would do, line by line."""
    trials = with_trunks(check_plan(plan))
    shown = [f"lossopt {shlex.join(trial.words)}" for trial in trials]
    if plan.extend and on_grids(plan):
        shown.append("where an arm's best lies at an end of its grid, every arm gets one more point there")
    if plan.race:
        shown.append(_race_in_words(plan, plan.race))
    elif plan.protocol != GRID:
        shown.append(
            f"then the best of each arm again, with seeds {', '.join(map(str, plan.seeds))} in place of tuning's"
        )
    return [
        *shown,
        "",
        *estimate.lines(plan, at_once(plan, options), keep_checkpoints=options.keep_checkpoints),
        "a dry run: nothing was run or written",
    ]


def _race_in_words(plan: Plan, race: RacePlan) -> str:
    begin = "then the best of each arm again, with fresh seeds" if searches(plan) else "then with more seeds"
    within = f"within a factor of {race.margin:g}" if race.question == SPEED else f"within {race.margin:g}"
    asked = "steps to the target" if race.question == SPEED else "final accuracy"
    looks = ", ".join(map(str, looks_up_to(race.max_seeds)))
    return (
        f"{begin}, until every pair of arms is better, worse or equivalent ({asked}, {within}); one looks at {looks} "
        "seeds"
    )


def _is_plan(name: str) -> bool:
    path = find_config(name, [*plan_names(), *known_names()])
    return "sweep" in load_config(path, str(path))


def _whole(flag: str, value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise UserError(f"{flag} {value}: expected a whole number from 1")
    return int(value)


def _share(flag: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 64:
        raise UserError(f"{flag} {value}: expected the share of a GPU that a trial takes, as 0.25 or 1")
    return share


def _engine(flag: str, value: str) -> str:
    if value not in ENGINES:
        raise UserError(
            f"{flag} {value}: no such engine{did_you_mean(value, ENGINES)}; there are: {', '.join(ENGINES)}"
        )
    return value


def _experiment(_: str, value: str) -> str:
    check_experiment(value)
    return value


def _expectation(value: str) -> str:
    try:
        return read_expectation(value).text
    except ValueError as error:
        raise UserError(f"--expect {value!r}: {form_of_expectations()}") from error


def _file(flag: str, value: str) -> str:
    if value == "-":
        raise UserError(f"{flag} {value}: a sweep prints how it goes on; name a file")
    return value


def _text(_: str, value: str) -> str:
    return value


# Flag → the option that it sets, and how its text is read.


FLAGS = (
    Flag(
        "--config", "PLAN", "a plan by bare name (see: lossopt configs) or path; docs/sweeps.md says what stands in one"
    ),
    Flag("--config", "NAME", "further ones: configs laid over all trials, as digits"),
    Flag("--key=value", "", "any flag of fit, for all trials, as --trainer.max_epochs=2"),
    Flag("--dry-run", "", "print the trials, their number, time and disk; write nothing", {"switch": "dry_run"}),
    Flag("--workers", "N", "trials at once (as many as there are cores)", {"reads": ("workers", _whole)}),
    Flag("--threads", "N", "CPU threads of each trial (as the plan has it, 1)", {"reads": ("threads", _whole)}),
    Flag(
        "--gpus",
        "X",
        "share of a GPU that each trial takes, as 0.25 (1 where there are GPUs, else 0)",
        {"reads": ("gpus", _share)},
    ),
    Flag(
        "--engine",
        "|".join(ENGINES),
        f"{'; '.join(f'{name}: {kind.line}' for name, kind in ENGINES.items())}; default: local",
        {"reads": ("engine", _engine)},
    ),
    Flag("--ray-address", "HOST:PORT", "of a Ray cluster that is running", {"reads": ("ray_address", _text)}),
    Flag(
        "--seeds",
        "N",
        "repeats of each winner (of a race: at most), or runs of each cell of a grid",
        {"reads": ("seeds", _whole)},
    ),
    Flag(
        "--until-decided",
        "",
        "a race: repeat the winners until every pair of arms is decided, and no longer",
        {"switch": "race"},
    ),
    Flag(
        "--tracking.experiment",
        "NAME",
        "MLflow experiment (the plan's name); another one starts afresh",
        {"reads": ("experiment", _experiment)},
    ),
    Flag("--keep-checkpoints", "", "of every trial, not of repeats only", {"switch": "keep_checkpoints"}),
    Flag("--html", "FILE", "where the page of the comparison goes", {"reads": ("report", _text)}),
    Flag(
        JSON.name, JSON.value, "everything that was found as JSON, unrounded, for programs", {"reads": ("json", _file)}
    ),
    Flag(EXPECT.name, EXPECT.value, EXPECT.text),
)
# The field of ``Options`` that a switch sets, and that a value goes to with what reads it.
_SWITCHES = {flag.name: flag.options["switch"] for flag in FLAGS if "switch" in flag.options}
_VALUES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    flag.key: flag.options["reads"] for flag in FLAGS if "reads" in flag.options
}
