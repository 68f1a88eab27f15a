"""A resolved config in words.

It gives the run's name, its arm, its flat parameters and its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lit_lossopt.config.branch import BRANCH, WEIGHTS
from lit_lossopt.config.trainer_arguments import CHANGE_RESULTS
from lit_lossopt.config.twin import TWIN, TWIN_DEFAULTS
from lit_lossopt.core.class_paths import as_named_first

Config = Mapping[str, Any]

# What does not change a result: where it is written, and how it is shown.
DATA_NO_RESULT = ("eval_batch_size", "cache", "download", "urls", "predict_folder", "resident")
NO_RESULT = ("tracking", "predictions", "checkpoints", "probe", "diagnostics", "ckpt_path", "weights_only", "config")

COMPILE = "compile"
FP32_PRECISION = "fp32_precision"
# Settings beside the model that tell arms of one experiment apart.
IN_ARM = ("batch_size", "accumulate_grad_batches", "gradient_clip_val", "precision", FP32_PRECISION)
_LATER = (BRANCH, FP32_PRECISION, COMPILE)
_OF_BACKBONE = {"frozen_epochs": 0, "backbone_lr_factor": 1.0}


def mode_of(asked: bool | str) -> str:  # as it is typed
    """Return torch's mode for a compiled step. ``true`` is another word for ``default``."""
    return asked if isinstance(asked, str) else "default"


def relevant_settings(config: Config) -> dict[str, Any]:
    """Return all settings that can change the result.

    They are those of a resolved config.
    """
    relevant = {name: value for name, value in config.items() if name not in NO_RESULT}
    # Keys of runs that have none of them are those of versions before they existed.
    relevant = {name: value for name, value in relevant.items() if name not in _LATER or value not in (None, False)}
    if relevant.get(COMPILE):
        relevant[COMPILE] = mode_of(relevant[COMPILE])
    if "model" in relevant and relevant["model"].get(WEIGHTS) is None:
        relevant["model"] = {name: value for name, value in relevant["model"].items() if name != WEIGHTS}
    relevant["trainer"] = {name: value for name, value in config["trainer"].items() if name in CHANGE_RESULTS}
    data = dict(config["data"].get("init_args") or {})
    return {
        **relevant,
        "data": {**config["data"], "init_args": {k: v for k, v in data.items() if k not in DATA_NO_RESULT}},
    }


def trial_key(config: Config) -> str:
    """Return the SHA-256 of all settings of a resolved config that can change the result.

    It is the tag ``lossopt.trial_key`` of a run, and ``--resume auto`` looks for it. The key by which a sweep knows its
    trials is another one, ``sweeps.plan.key.sweep_key``. That one is known before anything is parsed.
    """
    text = json.dumps(relevant_settings(config), sort_keys=True, default=str)
    return hashlib.sha256(as_named_first(text).encode()).hexdigest()


# The argument that holds the key of an object which was handed over from Python.
GIVEN = "given"


def arm_name(config: Config, defaults: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what tells a run from others, but for its seed.

    An example is ``sgd lr=0.01 momentum=0.9 CrossEntropyLoss``.

    Args:
        config: the resolved config.
        defaults: for the path of each class its default arguments; arguments that differ from them are named.
    """
    model = config["model"]
    parts = [_spelled(model["optimizer"], defaults, lower=True)]
    if not model.get("decay_biases", True):
        parts.append("decay_biases=False")
    parts.append(_spelled(model["criterion"], defaults))
    if model.get("lr_scheduler"):
        parts.append(_spelled(model["lr_scheduler"], defaults))
    parts += [f"lr_warmup={model['lr_warmup']}"] if model.get("lr_warmup") else []
    network = _spelled(model["network"], defaults)
    parts += [network] if network != "MiniCNN" else []
    parts += [
        f"{name}={_number(model[name])}" for name, usual in _OF_BACKBONE.items() if model.get(name, usual) != usual
    ]
    numerics = {FP32_PRECISION: config.get(FP32_PRECISION)}
    chosen = {**(config["data"].get("init_args") or {}), **config["trainer"], **numerics}
    usual = {"batch_size": 64, "accumulate_grad_batches": 1}
    augmentation = [*(chosen.get("augmentation") or []), *filter(None, [chosen.get("mixing")])]
    parts += [_spelled(transform, defaults) for transform in augmentation]
    parts += [f"{name}={chosen[name]}" for name in IN_ARM if chosen.get(name) not in (None, usual.get(name))]
    parts += [f"{COMPILE}={mode_of(config[COMPILE])}"] if config.get(COMPILE) else []
    # Last: everything in front of it is what torch's arm is called.
    twin = config.get(TWIN)
    parts += (
        ["tensorflow", *(f"{name}={value}" for name, value in twin.items() if value != TWIN_DEFAULTS[name])]
        if twin
        else []
    )
    return " ".join(parts)


def flat_parameters(config: Config, extra: Mapping[str, Any]) -> dict[str, str]:
    """Return readable flat parameters.

    Examples are ``optimizer=Adam``, ``optimizer.lr=0.001`` and ``data.batch_size=64``.

    ``extra`` comes on top: the built optimizer's defaults and what is known only at run time.
    """
    flat: dict[str, Any] = {}
    for name, value in config["model"].items():
        _flatten(name, value, flat)
    _flatten("data", config.get("data"), flat)
    _flatten("trainer", {name: value for name, value in config["trainer"].items() if name in CHANGE_RESULTS}, flat)
    # They come along with the framework, as arguments with a class.
    _flatten("framework", config.get(TWIN) or {}, flat)
    flat |= {COMPILE: mode_of(config[COMPILE])} if config.get(COMPILE) else {}
    flat |= {FP32_PRECISION: config.get(FP32_PRECISION), "seed": config.get("seed_everything"), **extra}
    return {name: _text(value) for name, value in flat.items() if value is not None}


def _flatten(name: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, Mapping) and "class_path" in value:
        into[name] = _own_name(value)
        _flatten(name, {**(value.get("init_args") or {}), **(value.get("dict_kwargs") or {})}, into)
    elif isinstance(value, Mapping):
        for inner, item in value.items():
            _flatten(f"{name}.{inner}", item, into)
    else:
        into[name] = value


def _own_name(choice: Mapping[str, Any]) -> str:
    """Return the name of a class, or of the object that was handed over from Python in its place."""
    key = (choice.get("init_args") or {}).get(GIVEN)
    own: str = key.rpartition("-")[0] if isinstance(key, str) else choice["class_path"].rpartition(".")[2]
    return own


def _text(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "class_path" in item for item in value):
        return ", ".join(_spelled(item, {}) for item in value)
    return json.dumps(value, default=str) if isinstance(value, list | tuple) else f"{value}"


def _spelled(choice: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]], *, lower: bool = False) -> str:
    """Return a class's name with the arguments that differ from their defaults.

    The learning rate is always among them. Examples are ``adam lr=0.001`` and
    ``CrossEntropyLoss(label_smoothing=0.1)``.
    """
    name = _own_name(choice)
    arguments = {key: value for key, value in (choice.get("init_args") or {}).items() if key != GIVEN}
    usual = defaults.get(choice["class_path"], {})
    named = {
        key: value
        for key, value in arguments.items()
        if (key == "lr" and value is not None) or not _same(value, usual.get(key))
    }
    words = [f"{key}={_number(value)}" for key, value in sorted(named.items(), key=lambda item: item[0] != "lr")]
    if lower:
        return " ".join([name.lower(), *words])
    return f"{name}({', '.join(words)})" if words else name


def _same(value: Any, default: Any) -> bool:
    """Return True if a config would spell two values alike.

    A tuple is a list there.
    """
    return bool((list(default) if isinstance(default, tuple) else default) == value)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"
