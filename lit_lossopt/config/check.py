"""Refuses what a person mistyped.

The message names key, value, source and the nearest valid name. It comes before anything is imported.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any

from lit_lossopt.config.merge import COMMAND_LINE, GROUPS, Settings, family_of
from lit_lossopt.config.signatures import (
    FAMILIES,
    LISTS,
    OPTIONAL,
    class_parameters,
    class_paths,
    function_parameters,
    names_to_choose,
)
from lit_lossopt.config.strict_yaml import first_not_finite
from lit_lossopt.config.twin import TWIN, TWIN_DEFAULTS, trainer_method
from lit_lossopt.core.errors import UserError, did_you_mean

ALLOWED_IMPORTS = ("torch.nn", "torch.optim", "torchvision", "lightning.pytorch", "pytorch_optimizer", "lit_lossopt")

EXTRA = "pip install 'lit_lossopt[optimizers]'"
EXPORT_EXTRA = "pip install 'lit_lossopt[export]'"
_TRAINER = "lightning/pytorch/trainer/trainer.py"
# Filled in from the data and the seed, so that they cannot disagree with them.
LINKED = {"model": ("num_classes", "in_channels", "image_size", "seed"), "data": ("seed",)}
OWN_KEYS = (
    "seed_everything", "threads", "trainer", "model", "data", "tracking", "predictions", "checkpoints", "probe",
    "diagnostics", "branch", "compile", "fp32_precision",
)  # fmt: skip


def check_settings(settings: Settings, command: str, flags: list[str], allowed: list[str]) -> None:
    """Refuse settings that cannot be right.

    They are unknown keys, unknown classes, imports that are not allowed, and numbers that are not finite.

    Args:
        settings: the merged settings.
        command: ``fit``, ``twin``, ``validate``, ``test`` or ``predict``.
        flags: keys of the flags that are not part of ``settings``.
        allowed: packages allowed by ``--allow-import``.

    Raises:
        UserError: the first thing wrong.
    """
    check_finite("", settings.tree, settings)
    groups = _groups(command)
    for name in set(flags) & set(GROUPS):
        raise UserError(f"{name} from {COMMAND_LINE}: give its parts, as {name}.{GROUPS[name]}")
    for key in [*_first_keys(settings.tree), *flags]:
        _check_key(key, settings.origin(key) if key not in flags else COMMAND_LINE, groups)
    for key, class_path in _class_paths(settings.tree):
        _check_import(key, class_path, settings.origin(key), [*ALLOWED_IMPORTS, *allowed])
    for family in FAMILIES:
        _check_class(family, settings)


def check_finite(key: str, value: Any, settings: Settings) -> None:
    """Refuse numbers that are infinite or none.

    Raises:
        UserError: the first of them.
    """
    found = first_not_finite(value, key)
    if found:
        name = found[0].replace(".init_args", "")
        origin = COMMAND_LINE if key else settings.origin(name)
        raise UserError(f"{name}={found[1]} from {origin}: not a finite number")


def check_imports(tree: dict[str, Any], origin: str, allowed: Sequence[str]) -> None:
    """Refuse settings that name a class of a forbidden package.

    Raises:
        UserError: the first of them.
    """
    for key, class_path in _class_paths(tree):
        _check_import(key, class_path, origin, [*ALLOWED_IMPORTS, *allowed])


def _groups(command: str) -> dict[str, set[str] | None]:
    """Return the keys that each first key may hold.

    The value is None where they are not checked here.
    """
    method = function_parameters(_TRAINER, "Trainer", trainer_method(command))
    skip = {"model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
    groups: dict[str, set[str] | None] = dict.fromkeys([*OWN_KEYS, *(set(method) - skip)], None)
    groups["trainer"] = set(function_parameters(_TRAINER, "Trainer")) or None
    groups["model"] = set(function_parameters("lit_lossopt/training/module.py", "LossOptModule")) - set(LINKED["model"])
    groups["predictions"] = set(function_parameters("lit_lossopt/training/callbacks/predictions.py", "PredictionTable"))
    groups["checkpoints"] = set(function_parameters("lit_lossopt/training/callbacks/checkpoints.py", "RunCheckpoints"))
    groups["probe"] = set(function_parameters("lit_lossopt/training/callbacks/probe_loss.py", "ProbeLoss"))
    groups["tracking"] = set(function_parameters("lit_lossopt/tracking/logger.py", "RunLogger"))
    if command != "fit":
        groups[TWIN] = set(TWIN_DEFAULTS)
    return groups


def _first_keys(tree: dict[str, Any]) -> Iterator[str]:
    for name, value in tree.items():
        yield name
        if isinstance(value, dict) and name != "data":
            yield from (f"{name}.{inner}" for inner in value)


def _check_key(key: str, origin: str, groups: dict[str, set[str] | None]) -> None:
    first, _, rest = key.rstrip("+").partition(".")
    if first == TWIN and first not in groups:
        raise UserError(
            f"{key} from {origin}: a setting of the command twin, which trains in TensorFlow: lossopt twin …"
        )
    if first not in groups:
        raise UserError(
            f"{key} from {origin}: no such key{did_you_mean(first, groups)}; keys: {', '.join(sorted(groups))}"
        )
    known, second = groups[first], rest.partition(".")[0]
    if known and second and second not in known:
        if second in LINKED.get(first, ()):
            raise UserError(f"{key} from {origin}: set from the data or the seed, not by hand")
        raise UserError(f"{key} from {origin}: {first} has no {second!r}{did_you_mean(second, known)}")


def _class_paths(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each dotted name that would be imported.

    It comes as (dotted key, path).
    """
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "class_path" and isinstance(value, str) and "." in value:
                yield key, value
            else:
                yield from _class_paths(value, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            yield from _class_paths(value, key)


def _check_import(key: str, class_path: str, origin: str, allowed: list[str]) -> None:
    if not any(class_path == prefix or class_path.startswith(f"{prefix}.") for prefix in allowed):
        raise UserError(f"{key}={class_path} from {origin}: {import_refusal(class_path)}")


def import_refusal(class_path: str) -> str:
    """Return why a config may not name a class.

    It also says what to do about it.
    """
    package = class_path.partition(".")[0]
    return (
        f"importing {package} is not allowed to a config (allowed: {', '.join(ALLOWED_IMPORTS)}); "
        f"if you trust it, add --allow-import {package}"
    )


def _check_class(key: str, settings: Settings) -> None:
    value, origin = settings.value(key), settings.origin(key)
    if value is None and key in OPTIONAL:
        return
    for choice in value if key in LISTS and isinstance(value, list) else [value]:
        class_path = choice.get("class_path") if isinstance(choice, dict) else choice
        if not isinstance(class_path, str):
            known = ", ".join(names_to_choose(key))
            raise UserError(f"{key}={class_path!r} from {origin}: not the name of a class; one of: {known}")
        owner, _, name = class_path.rpartition(".")
        if key == "model.network" and owner == "torchvision.models" and name.islower():
            raise UserError(
                f"model.network={class_path} from {origin}: a function, not a class; take "
                f"--model.network=TorchvisionNetwork --model.network.name={name}"
            )
        _check_name(key, class_path, origin)
        _check_arguments(key, class_path, choice.get("init_args") or {}, settings)


def _check_name(key: str, class_path: str, origin: str) -> None:
    known = class_paths(key)
    ours = any(class_path.startswith(f"{prefix}.") for prefix, _ in FAMILIES[key].sources)
    if "." not in class_path or (ours and class_path.rpartition(".")[2] not in known):
        known_by_name = names_to_choose(key)
        near = did_you_mean(class_path.rpartition(".")[2], known_by_name)
        more = "" if key != "model.optimizer" or _installed("pytorch_optimizer") else f"; for more: {EXTRA}"
        raise UserError(
            f"{key}={class_path} from {origin}: no such class{near}; known by name: {', '.join(known_by_name)}{more}"
        )
    if class_path.startswith("pytorch_optimizer.") and not _installed("pytorch_optimizer"):
        raise UserError(f"{key}={class_path} from {origin}: pytorch_optimizer is not installed; {EXTRA}")


def _check_arguments(key: str, class_path: str, arguments: dict[str, Any], settings: Settings) -> None:
    parameters = class_parameters(key, class_path)
    if parameters is None:
        return
    settable = {name for name in parameters if name not in FILLED.get(key, ())}
    for name, value in arguments.items():
        origin = settings.origin(f"{key}.{name}")
        if name in FILLED.get(key, ()):
            raise UserError(f"{key}.{name} from {origin}: set by the program, not by hand")
        if name not in settable:
            bare = class_path.rpartition(".")[2]
            raise UserError(
                f"{key}.{name}={value} from {origin}: {bare} has no argument {name!r}{did_you_mean(name, settable)}; "
                f"it has: {', '.join(sorted(settable)) or 'none'}"
            )


# Given by the program, not by a config.
FILLED = {
    "data": LINKED["data"],
    "model.network": ("in_channels", "image_size", "num_outputs", "num_classes"),
    "model.optimizer": ("params",),
    "model.lr_scheduler": ("optimizer",),
}


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def folded(key: str) -> bool:
    """Return True if a flag belongs to a class-valued key.

    It is then merged here and not by the parser.
    """
    return bool(family_of(key)) and not key.endswith(("+", ".help"))
