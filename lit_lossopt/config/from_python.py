"""What a Python program gives, as the words and the plan of a command line.

Names, numbers and classes that a config can name become text. Any other object in the place of a class is handed over
under a key.
"""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.config.files import known_names
from lit_lossopt.config.signatures import full_class_path
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.given import give
from lit_lossopt.core.paths import is_file

# Names of arguments that are no keys of a config, and what stands in a config for an object there.
SHORT = {name: f"model.{name}" for name in ("network", "criterion", "optimizer", "lr_scheduler")}
_STANDS_FOR = {
    "model.network": "lit_lossopt.networks.GivenNetwork",
    "model.criterion": "lit_lossopt.losses.GivenLoss",
    "model.optimizer": "lit_lossopt.optimizers.GivenOptimizer",
    "model.lr_scheduler": "lit_lossopt.optimizers.GivenSchedule",
    "data": "lit_lossopt.data.GivenData",
}
# Values of an array that a config can hold.
_LONGEST = 1000
# What is known of a plan by its form: where keys of settings stand.
_BASE, _FACTORS, _SEARCHED = "base", "factors", ("learning_rates", "quasi_random")


def config_words(config: Any) -> list[str]:
    """Return the words that name configs.

    >>> config_words(["adam", "digits"])
    ['--config', 'adam', '--config', 'digits']

    Raises:
        UserError: something is no name.
    """
    names = [config] if isinstance(config, str | os.PathLike) else config
    if not isinstance(names, Sequence) or not all(isinstance(name, str | os.PathLike) for name in names):
        raise UserError(f"config: {type(config).__name__} is no name of a config; give names, and objects by keywords")
    return [word for name in names for word in ("--config", os.fspath(name))]


def data_words(data: Any) -> list[str]:
    """Return the words for data: a name of a config or of a class, or an object.

    >>> data_words("digits"), data_words("DigitsDataModule")
    (['--config', 'digits'], ['--data=DigitsDataModule'])
    """
    if data is None:
        return []
    if isinstance(data, str | os.PathLike):
        name = os.fspath(data)
        if name.removesuffix(".yaml") in known_names() or is_file(Path(name)):
            return ["--config", name]
    return setting_words({"data": data})


def setting_words(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as flags.

    >>> setting_words({"optimizer": "SGD", "optimizer.lr": 0.1})
    ['--model.optimizer=SGD', '--model.optimizer.lr=0.1']

    Raises:
        UserError: a value is nothing that a config can hold.
    """
    return [f"--{key}={_as_text(value)}" for name, given in settings.items() for key, value in _settings(name, given)]


def flag_words(settings: Mapping[str, Any]) -> list[str]:
    """Return flags of a command that takes no settings. True stands for a flag without a value, and ``_`` for ``-``.

    >>> flag_words({"all_pairs": True, "target": 0.9, "sequential": False})
    ['--all-pairs', '--target=0.9']
    """
    words = []
    for name, value in settings.items():
        key = name.replace("_", "-")
        if isinstance(value, bool):
            words += [f"--{key}"] if value else []
        elif isinstance(value, Sequence) and not isinstance(value, str):
            words.append(f"--{key}={','.join(map(str, value))}")
        else:
            words.append(f"--{key}={_as_text(_plain(name, value))}")
    return words


def as_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands below ``sweep`` in a plan, with objects named by their keys.

    Raises:
        UserError: a value is nothing that a plan can hold.
    """
    given = dict(plan.get("sweep", {}) if set(plan) == {"sweep"} else plan)
    found = {name: _plain(name, value) for name, value in given.items() if name not in (_BASE, _FACTORS)}
    if _BASE in given:
        found[_BASE] = _level(given[_BASE])
    if _FACTORS in given:
        found[_FACTORS] = _each(given[_FACTORS], lambda levels: _each(levels, _level))
    return {name: found[name] for name in given}


def _each(tree: Any, make: Callable[[Any], Any]) -> Any:
    # What is no mapping is refused where the plan is read.
    return {name: make(value) for name, value in tree.items()} if isinstance(tree, Mapping) else tree


def _level(level: Any) -> Any:
    """Return a level, or the base, of a plan."""
    if not isinstance(level, Mapping):
        return level
    plain = {name: level[name] for name in level if name in ("config", *_SEARCHED)}
    others = {name: value for name, value in level.items() if name not in plain}
    settings = dict(pair for name, value in _flat(others) for pair in _settings(name, value))
    return {**_plain("config", plain), **settings}


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        nested = isinstance(value, Mapping) and value and "class_path" not in value
        yield from _flat(value, f"{above}{name}.") if nested else [(f"{above}{name}", value)]


def _settings(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the keys and plain values of a setting. An object has two, its class and its own key."""
    first, dot, rest = name.partition(".")
    key = f"{SHORT.get(first, first)}{dot}{rest}"
    if key not in _STANDS_FOR or value is None or isinstance(value, str | os.PathLike | Mapping):
        return [(key, _plain(name, value))]
    if isinstance(value, type) and (path := _path_of(key, value)):
        return [(key, path)]
    return [(key, _STANDS_FOR[key]), (f"{key}.given", give(value))]


def _path_of(key: str, made: type) -> str:
    """Return the class path by which a config names a class, or nothing if none can.

    Whoever names it can repeat the run.
    """
    path = full_class_path(key, made.__name__)
    owner, _, name = path.rpartition(".")
    return path if owner and getattr(importlib.import_module(owner), name, None) is made else ""


def _plain(name: str, value: Any) -> Any:
    """Return a value as a config can hold it.

    >>> _plain("file", Path("a.npz")), _plain("widths", (8, 16))
    ('a.npz', [8, 16])

    Raises:
        UserError: it can hold no such value.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", one) for key, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(name, one) for one in value]
    # Numbers of numpy and torch, too, and short arrays such as weights of classes.
    short = hasattr(value, "tolist") and math.prod(getattr(value, "shape", ())) <= _LONGEST
    plain = value.tolist() if short else value
    if short and isinstance(plain, list | bool | str):
        return _plain(name, plain)
    for kind in (int, float):
        if isinstance(plain, kind):
            return kind(plain)
    near = did_you_mean(name, [*SHORT, *_STANDS_FOR])
    raise UserError(
        f"{name}: {type(value).__name__} is no value of a config{near}; give a name, a number, or a mapping with "
        f"class_path and init_args. Objects may stand at {', '.join([*SHORT, 'data'])}"
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
