"""What tells one trial from another, and one plan from another.

The key of a trial is a hash of all that can change its result. It is made from merged settings, without torch.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from lit_lossopt.config.description import DATA_NO_RESULT, NO_RESULT
from lit_lossopt.config.strict_yaml import load_value
from lit_lossopt.config.trainer_arguments import SHOW_RESULTS
from lit_lossopt.config.words import Prepared
from lit_lossopt.core.class_paths import as_named_first
from lit_lossopt.sweeps.plan.file import Plan


def sweep_key(prepared: Prepared) -> str:
    """Return the key by which a sweep knows a trial.

    It is the SHA-256 of all merged settings and flags that can change the result. The key that a run has when its
    config is resolved is another one, ``config.description.trial_key``.

    Class defaults are not filled in: a setting that is spelled out and one that is left at its default are told apart,
    which costs a training at worst.
    """
    tree = whole_tree(prepared)
    relevant = {name: value for name, value in tree.items() if name not in NO_RESULT}
    trainer = relevant.get("trainer") or {}
    relevant["trainer"] = {name: value for name, value in trainer.items() if name not in SHOW_RESULTS}
    data = relevant["data"]
    arguments = {k: v for k, v in (data.get("init_args") or {}).items() if k not in DATA_NO_RESULT}
    relevant["data"] = {**data, "init_args": arguments}
    text = json.dumps([prepared.command, relevant], sort_keys=True, default=str)
    return hashlib.sha256(as_named_first(text).encode()).hexdigest()


def whole_tree(prepared: Prepared) -> dict[str, Any]:
    """Return merged settings with the parser's flags laid over them."""
    tree = copy.deepcopy(prepared.settings.tree)
    for key, value in prepared.rest:
        _set(tree, key, None if value is None else load_value(value, f"--{key}"))
    return tree


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *groups, name = key.split(".")
    for group in groups:
        below = tree.get(group)
        if not isinstance(below, dict):
            below = tree[group] = {}
        tree = below
    if name.endswith("+"):
        tree[name] = [*(tree.get(name) or []), value]
    else:
        tree[name] = value


def _without_starts(said: Any) -> Any:
    """Return what a plan says as versions said it that knew no starts, where it has none."""
    if isinstance(said, dict):
        kept = {name: value for name, value in said.items() if (name, value) not in (("start", None), ("trunks", ()))}
        return {name: _without_starts(value) for name, value in kept.items()}
    return [_without_starts(item) for item in said] if isinstance(said, list | tuple) else said


_NOT_SAID = {"path", "name", "text", "experiment", "accelerator", "max_trials", "max_minutes", "trial_minutes"}


def fingerprint(plan: Plan) -> str:
    """Return the SHA-256 of what a plan says of its trials.

    The place of its file does not matter, and neither do limits of time. A race that may take more seeds is the same.
    """
    if plan.race:
        plan = replace(plan, race=replace(plan.race, max_minutes=None, max_seeds=0), seeds=())
    said = {name: value for name, value in _without_starts(asdict(plan)).items() if name not in _NOT_SAID}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
