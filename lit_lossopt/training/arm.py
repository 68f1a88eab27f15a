"""The arm of a run in words, from its config or from a checkpoint."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from lit_lossopt.config.description import arm_name
from lit_lossopt.core.class_paths import as_named_now
from lit_lossopt.core.names import CONFIG_KEY


def arm_in_words(config: Mapping[str, Any]) -> str:
    """Return the arm of a resolved config."""
    return arm_name(config, class_defaults([config["model"], config["data"]]))


def arm_of(checkpoint: Mapping[str, Any]) -> str:
    """Return the arm of the run that has left a checkpoint.

    Checkpoints of other programs do not say under which settings they were saved.
    """
    config = checkpoint.get(CONFIG_KEY)
    return arm_in_words(json.loads(as_named_now(config))) if config else "another training"


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
