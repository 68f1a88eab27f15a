"""Train, sweep and compare from Python, in the terms of the command line.

    import lit_lossopt

    run = lit_lossopt.fit("adam", data="digits", seed=0, **{"model.optimizer.lr": 3e-3})
    lit_lossopt.compare()

Names of configs, plans, keys and values are those of the command line. Mistakes raise ``UserError`` with the line that
the command line prints.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lit_lossopt.comparison.notebook import Comparison, Run
from lit_lossopt.config.from_python import as_plan, config_words, data_words, flag_words, setting_words
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.core.given import Given, lent
from lit_lossopt.core.names import Exit

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lit_lossopt.data import ImageDataModule

    # A name, the object itself, or a class or function that makes it. A number is none of these, and is refused. It
    # stands here because a type checker lays an unpacked mapping, as **{"trainer.max_epochs": 2}, over every argument
    # that is left out.
    Network = str | nn.Module | Callable[..., nn.Module] | float
    Criterion = str | nn.Module | type[nn.Module] | float
    MakesOptimizer = str | Callable[..., Optimizer] | float
    MakesSchedule = str | Callable[..., LRScheduler] | float
    Data = str | os.PathLike[str] | Sequence[Any] | ImageDataModule | Callable[..., ImageDataModule] | float
    Configs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | float
    WholeNumber = float
    Truth = float

Config = str | os.PathLike[str]
# Objects are in this process only.
_HERE = "here"


def fit(
    config: Configs = (),
    data: Data | None = None,
    *,
    network: Network | None = None,
    criterion: Criterion | None = None,
    optimizer: MakesOptimizer | None = None,
    lr_scheduler: MakesSchedule | None = None,
    seed: WholeNumber = 0,
    quiet: Truth = False,
    **settings: Any,
) -> Run:
    """Train, and return the run with every step's loss.

    A run that diverges is returned like any other. Its verdict says so.

    Args:
        config: names of configs or their paths, one or several. Later ones are laid over earlier ones.
        data: a name of a config or class, ``(images [N, C, H, W] uint8, labels [N])``, a data module, or its maker.
        network: a name, a module, or what makes one of ``in_channels``, ``image_size`` and ``num_outputs``.
        criterion: a name, or a loss.
        optimizer: a name, or a class or function from parameters to an optimizer.
        lr_scheduler: a name, or a function from an optimizer to a schedule.
        seed: of weights, split, order and dropout.
        quiet: print nothing but warnings.
        **settings: any flag of ``lossopt fit``, as ``**{"model.optimizer.lr": 3e-3, "trainer.max_epochs": 2}``.

    Raises:
        UserError: a setting cannot be used. The message is the line that the command line prints.
        KeyboardInterrupt: Ctrl-C. What was trained so far is kept.
    """
    from lit_lossopt.training.commands import fit_in_this_process

    chosen = _those_given(network=network, criterion=criterion, optimizer=optimizer, lr_scheduler=lr_scheduler)
    with _training(quiet=quiet):
        words = [*config_words(config), *data_words(data), *setting_words({**chosen, **settings})]
        status, run_id = fit_in_this_process([*words, f"--seed_everything={seed}"])
    if status in (Exit.INTERRUPTED, Exit.TERMINATED):
        raise KeyboardInterrupt
    return Run.read(run_id)


def sweep(plan: Config | Mapping[str, Any], *, quiet: Truth = False, **settings: Any) -> Comparison:
    """Run a plan, and return the comparison of its runs.

    Args:
        plan: the name of a plan, its path, or what stands below ``sweep`` in one. Its base and its levels may hold
            objects, as ``fit`` takes them.
        quiet: print nothing but warnings.
        **settings: any flag of ``lossopt sweep``, as ``workers=2`` or ``**{"trainer.max_epochs": 2}``.

    Raises:
        UserError: the plan is wrong.
        RuntimeError: nothing can be compared, since trials failed. The same call goes on where this one ended.
        KeyboardInterrupt: Ctrl-C.

    Warns:
        Notice: some trials failed, or are left.
    """
    from lit_lossopt.__main__ import main
    from lit_lossopt.sweeps.command import run_plan

    with tempfile.TemporaryDirectory() as folder, _training(quiet=quiet) as objects, _the_plan_as(folder):
        words = ["--config", os.fspath(_file_of(plan, Path(folder)))]
        words += _sweep_words(settings)
        status, shown = run_plan(
            [*words, *_engine_words(words, objects)], main, "lit_lossopt.sweep, with the same plan"
        )
    if status in (Exit.INTERRUPTED, Exit.TERMINATED):
        raise KeyboardInterrupt
    if shown is None:
        raise RuntimeError(f"the sweep ended with status {status}, and nothing can be compared; the same call goes on")
    if status == Exit.FAILED:
        warnings.warn("some trials failed or are left; the same call runs them", Notice, stacklevel=2)
    return Comparison(shown)


def compare(experiment: str | None = None, by: str | Sequence[str] | None = None, **settings: Any) -> Comparison:
    """Return the comparison of an experiment's runs.

    Args:
        experiment: its name. None: the one whose latest run started last.
        by: the settings that make an arm. None: all that differ.
        **settings: any flag of ``lossopt compare``, as ``target=0.9`` or ``all_pairs=True``.

    Raises:
        UserError: a name or filter does not fit, or nothing can be compared.
    """
    from lit_lossopt.comparison.command import found_by, keep
    from lit_lossopt.comparison.flags import parse
    from lit_lossopt.comparison.pipeline import find_runs

    named = [] if experiment is None else ["--experiment", experiment]
    wanted = [by] if isinstance(by, str) else list(by or ())
    words = [*named, *(["--by", ",".join(wanted)] if wanted else []), *flag_words(settings)]
    options = parse(words)
    runs = find_runs(options)
    shown = found_by(words, runs)
    keep(shown, options, runs)
    return Comparison(shown)


def _those_given(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def _training(*, quiet: Truth) -> Iterator[Mapping[str, Given]]:
    """Yield what is handed over in a block, in which this process trains.

    Afterwards the process is as it was: its random numbers, threads and warnings.
    """
    from lit_lossopt.training.surroundings import one_at_a_time

    with one_at_a_time(), lent() as objects, _silence() if quiet else nullcontext():
        yield objects


@contextmanager
def _silence() -> Iterator[None]:
    # A bar that a notebook cannot show is none of a person's business where nothing is printed.
    warnings.filterwarnings("ignore", "IProgress not found")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def _file_of(plan: Config | Mapping[str, Any], folder: Path) -> Config:
    """Return the name of a plan, or the file to which its content is written."""
    if not isinstance(plan, Mapping):
        return plan
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"sweep": as_plan(plan)}, sort_keys=False), encoding="utf-8")
    return path


@contextmanager
def _the_plan_as(folder: str) -> Iterator[None]:
    """Call a plan that stands in no file of a person's just that."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"{Path(folder) / 'plan.yaml'}", "the plan")) from error


def _sweep_words(settings: Mapping[str, Any]) -> list[str]:
    """Return the words behind ``sweep``, where a flag without a value is True."""
    from lit_lossopt.sweeps.options import FLAGS

    if settings.get("dry_run"):
        raise UserError(
            "dry_run: it trains nothing, so nothing can be compared; lossopt sweep --dry-run shows the trials"
        )
    own = {flag.key.replace("-", "_") for flag in FLAGS}
    flags = {name: value for name, value in settings.items() if name in own}
    return [*flag_words(flags), *setting_words({name: value for name, value in settings.items() if name not in own})]


def _engine_words(words: Sequence[str], objects: Mapping[str, Given]) -> list[str]:
    """Return the words that keep the trials of objects in this process.

    Raises:
        UserError: another engine was asked for, or an object cannot be trained with several seeds.
    """
    if not objects:
        return []
    named = ", ".join(objects)
    for one in objects.values():
        if hasattr(one.value, "told_apart_by") and not isinstance(one.value, type):
            raise UserError(
                f"data: the data module {one.key} has one seed, and the trials of a plan have several; give images and "
                "labels, or a function from seed to a data module"
            )
    asked = [word.partition("=")[2] for word in words if word.startswith("--engine=")]
    if asked and asked[-1] != _HERE:
        raise UserError(
            f"--engine {asked[-1]}: the plan holds objects ({named}), which are in this process only; take "
            f"engine={_HERE!r}, or name classes of a module of your own"
        )
    print(f"the plan holds objects ({named}), so its trials run in this process, one by one", file=sys.stdout)
    return [] if asked else [f"--engine={_HERE}"]
