"""The arm of a run in words, from its config or from a checkpoint."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lit_lossopt.config.description import DATA_NO_RESULT, IN_ARM, arm_name
from lit_lossopt.core.class_paths import as_named_now
from lit_lossopt.core.names import CONFIG_KEY, TRUNK_KEY, WEIGHTS_KEY

# Arguments of data that stand in an arm's name, or change no result.
_SHARED = {*DATA_NO_RESULT, *IN_ARM, "augmentation", "mixing", "seed", "folder", "archive"}
_PARTS = ("limit_train_batches", "overfit_batches")
_LENGTHS = ("max_epochs", "max_steps")


def arm_in_words(config: Mapping[str, Any]) -> str:
    """Return the arm of a resolved config."""
    return arm_name(config, class_defaults([config["model"], config["data"]]))


def steps_in_words(checkpoint: Mapping[str, Any]) -> str:
    """Return what a checkpoint has behind it, in words that do not depend on the seed.

    It is the arm of its run, what its data and its length differ in from the defaults, and where that run began.
    Checkpoints of other programs do not say under which settings they were saved.
    """
    text = checkpoint.get(CONFIG_KEY)
    config = json.loads(as_named_now(text)) if text else {}
    arm = " ".join([arm_in_words(config), *_beside(config)]) if config else "another training"
    origins = ((TRUNK_KEY, "after"), (WEIGHTS_KEY, "from"))
    before = next((f" {word} {checkpoint[key]}" for key, word in origins if checkpoint.get(key)), "")
    return f"{checkpoint['global_step']} steps of {arm}{before}"


def _beside(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield settings that an arm's name leaves out, since arms of one experiment usually share them."""
    data = config["data"]
    usual = class_defaults(data).get(data["class_path"], {})
    held = {name: value for name, value in (data.get("init_args") or {}).items() if name not in _SHARED}
    held = {name: value for name, value in held.items() if name not in usual or as_plain(usual[name]) != value}
    # How long a training was to be matters to schedules alone.
    lengths = _LENGTHS if config["model"].get("lr_scheduler") else ()
    trainer = {name: config["trainer"].get(name) for name in (*_PARTS, *lengths)}
    for name, value in {
        **held,
        **{name: value for name, value in trainer.items() if value not in (None, -1, 0)},
    }.items():
        # The parser reads a whole number as 4 or as 4.0, and both are one setting.
        plain = f"{value:g}" if isinstance(value, float) else value
        yield f"{name}={','.join(map(str, plain)) if isinstance(plain, list) else plain}"


def as_plain(value: Any) -> Any:
    """Return a default as a config spells it."""
    return list(value) if isinstance(value, tuple) else value


def class_defaults(config: Any) -> dict[str, dict[str, Any]]:
    """Return the defaults of each class's arguments.

    A resolved config names the classes by path.
    """
    if isinstance(config, list):
        return {path: found for item in config for path, found in class_defaults(item).items()}
    if not isinstance(config, dict):
        return {}
    below = class_defaults(list(config.values()))
    path = config.get("class_path")
    if not isinstance(path, str):
        return below
    arguments = inspect.signature(imported(path)).parameters
    return {**below, path: {name: item.default for name, item in arguments.items()}}


def imported(class_path: str) -> Any:
    """Return the class of a dotted path."""
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)
