"""Train, sweep and compare from Python, in the terms of the command line.

    import lit_lossopt

    run = lit_lossopt.fit("adam", data="digits", seed=0, **{"model.optimizer.lr": 3e-3})
    lit_lossopt.compare()

Names of configs, plans, keys and values are those of the command line. Mistakes raise ``UserError`` with the line that
the command line prints.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from lit_lossopt.comparison.notebook import Comparison, Run
from lit_lossopt.config.files import known_names
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.core.given import give, lent
from lit_lossopt.core.names import Exit
from lit_lossopt.core.paths import is_file

Config = str | os.PathLike[str]
# Names of arguments that are no dotted keys of the command line, and what stands in a config for an object there.
_SHORT = {"network": "model.network", "criterion": "model.criterion", "optimizer": "model.optimizer"}
_STANDS_FOR = {
    "model.network": "lit_lossopt.networks.GivenNetwork",
    "model.criterion": "lit_lossopt.losses.GivenLoss",
    "model.optimizer": "lit_lossopt.optimizers.GivenOptimizer",
    "data": "lit_lossopt.data.GivenData",
}


def fit(
    config: Config | Sequence[Config] = (), data: Any = None, *, seed: int = 0, quiet: bool = False, **settings: Any
) -> Run:
    """Train, and return the run with every step's loss.

    A run that diverges is returned like any other. Its verdict says so.

    Args:
        config: names of configs or their paths, one or several. Later ones are laid over earlier ones.
        data: the name of a config, or a class of data such as ``DigitsDataModule``. Or images ``[N, C, H, W]`` uint8
            and labels ``[N]``, or a data module of this package.
        seed: of weights, split, order and dropout.
        quiet: print nothing but warnings.
        **settings: any flag of ``lossopt fit``, as ``**{"model.optimizer.lr": 3e-3, "trainer.max_epochs": 2}``.
            ``network`` may be a module, or what makes one of sizes. ``criterion`` may be a loss, and ``optimizer`` a
            function from parameters to an optimizer. They are recorded by class and source.

    Raises:
        UserError: a setting cannot be used. The message is the line that the command line prints.
        KeyboardInterrupt: Ctrl-C. What was trained so far is kept.
    """
    from lit_lossopt.training.commands import fit_in_this_process

    with lent(), _silence() if quiet else nullcontext():
        words = [*_configs(config), *_data(data), *_flags(settings), f"--seed_everything={seed}"]
        status, run_id = fit_in_this_process(words)
    if status in (Exit.INTERRUPTED, Exit.TERMINATED):
        raise KeyboardInterrupt
    return Run.read(run_id)


def sweep(plan: Config | Mapping[str, Any], *, quiet: bool = False, **settings: Any) -> Comparison:
    """Run a plan, and return the comparison of its runs.

    Args:
        plan: the name of a plan, its path, or what stands below ``sweep`` in one.
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

    with tempfile.TemporaryDirectory() as folder:
        if isinstance(plan, Mapping):
            path = Path(folder) / "plan.yaml"
            path.write_text(yaml.safe_dump({"sweep": dict(plan)}, sort_keys=False), encoding="utf-8")
            plan = path
        with _silence() if quiet else nullcontext():
            status, shown = run_plan(["--config", os.fspath(plan), *_flags(settings)], main)
    if status in (Exit.INTERRUPTED, Exit.TERMINATED):
        raise KeyboardInterrupt
    if shown is None:
        raise RuntimeError(f"the sweep ended with status {status}, and nothing can be compared; the same call goes on")
    if status == Exit.FAILED:
        warnings.warn("some trials failed or are left; the same call runs them", Notice, stacklevel=2)
    return Comparison(shown)


def compare(experiment: str | None = None, by: str | Sequence[str] = (), **settings: Any) -> Comparison:
    """Return the comparison of an experiment's runs.

    Args:
        experiment: its name. None: the one whose latest run started last.
        by: the settings that make an arm.
        **settings: any flag of ``lossopt compare``, as ``target=0.9`` or ``all_pairs=True``.

    Raises:
        UserError: a name or filter does not fit, or nothing can be compared.
    """
    from lit_lossopt.comparison.command import found_by
    from lit_lossopt.comparison.flags import parse
    from lit_lossopt.comparison.pipeline import find_runs

    named = [] if experiment is None else ["--experiment", experiment]
    wanted = [by] if isinstance(by, str) else list(by)
    words = [*named, *(["--by", ",".join(wanted)] if wanted else []), *_flags(settings, switches=True)]
    return Comparison(found_by(words, find_runs(parse(words))))


@contextmanager
def _silence() -> Iterator[None]:
    # A bar that a notebook cannot show is none of a person's business where nothing is printed.
    warnings.filterwarnings("ignore", "IProgress not found")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def _configs(config: Config | Sequence[Config]) -> list[str]:
    names = [config] if isinstance(config, str | os.PathLike) else list(config)
    return [word for name in names for word in ("--config", os.fspath(name))]


def _data(data: Any) -> list[str]:
    if data is None:
        return []
    if not isinstance(data, str | os.PathLike):
        return _handed_over("data", data)
    name = os.fspath(data)
    is_config = name.removesuffix(".yaml") in known_names() or is_file(Path(name))
    return ["--config", name] if is_config else [f"--data={name}"]


def _flags(settings: Mapping[str, Any], *, switches: bool = False) -> list[str]:
    """Return settings as flags.

    Args:
        settings: key → value.
        switches: whether True stands for a flag without a value, and ``_`` for ``-``.
    """
    words = []
    for name, value in settings.items():
        key = name.replace("_", "-") if switches else _SHORT.get(name, name)
        if key in _STANDS_FOR and not isinstance(value, str):
            words += _handed_over(key, value)
            continue
        if switches and isinstance(value, bool):
            words += [f"--{key}"] if value else []
        elif switches and not isinstance(value, str) and isinstance(value, Sequence):
            words.append(f"--{key}={','.join(map(str, value))}")
        else:
            words.append(f"--{key}={_as_text(name, value)}")
    return words


def _handed_over(key: str, value: Any) -> list[str]:
    return [f"--{key}={_STANDS_FOR[key]}", f"--{key}.given={give(value)}"]


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    try:
        return json.dumps(value)
    except TypeError as error:
        raise UserError(f"{name}: {type(value).__name__} is no value of a config; give a name or a number") from error
