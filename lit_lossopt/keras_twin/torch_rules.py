"""torch's optimizers for Keras, by torch's names and settings.

What differs between torch's and Keras' optimizers of one name are their defaults and their forms. Defaults are torch's
here. Each form can be Keras', alone or with others, so that what it does to a run can be told. With all of them a rule
is Keras' own optimizer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from lit_lossopt.keras_twin.accumulating_rules import TorchAdadelta, TorchAdagrad
from lit_lossopt.keras_twin.adam_rules import TorchAdam, TorchAdamax, TorchNAdam
from lit_lossopt.keras_twin.sgd_rules import TorchRMSprop, TorchSGD, TorchSGDW
from lit_lossopt.keras_twin.torch_rule_base import (
    DAMPENING,
    DECAY,
    EPSILON,
    LR_DECAY,
    MOMENTUM_SCHEDULE,
    PRECISION,
    RATE,
    TorchRule,
)

__all__ = [
    "DAMPENING",
    "DECAY",
    "DEFAULTS",
    "EPSILON",
    "KERAS_FORMS",
    "LR_DECAY",
    "MOMENTUM_SCHEDULE",
    "PRECISION",
    "RATE",
    "torch_rule",
]

_RULES: Mapping[str, type[TorchRule]] = MappingProxyType(
    {
        "SGD": TorchSGD,
        "SGDW": TorchSGDW,
        "Adam": TorchAdam,
        "AdamW": TorchAdam,
        "RMSprop": TorchRMSprop,
        "NAdam": TorchNAdam,
        "Adagrad": TorchAdagrad,
        "Adadelta": TorchAdadelta,
        "Adamax": TorchAdamax,
    }
)

# The forms in which Keras' optimizer of the same kind differs from torch's. For SGDW that is Keras' SGD.
KERAS_FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "SGD": (DECAY, RATE, DAMPENING, PRECISION),
        "SGDW": (RATE, PRECISION),
        "Adam": (EPSILON, DECAY, PRECISION),
        "AdamW": (EPSILON, PRECISION),
        "RMSprop": (EPSILON, DECAY, RATE, PRECISION),
        "NAdam": (MOMENTUM_SCHEDULE, DECAY, PRECISION),
        "Adagrad": (EPSILON, DECAY, LR_DECAY, PRECISION),
        "Adadelta": (DECAY, PRECISION),
        "Adamax": (EPSILON, DECAY, PRECISION),
    }
)

_COMMON = {"weight_decay": 0.0, "maximize": False}
_ADAM = {**_COMMON, "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False, "decoupled_weight_decay": False}

# What torch 2.14 takes where nothing is set.
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "SGD": {**_COMMON, "lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "nesterov": False},
        "SGDW": {**_COMMON, "lr": 1e-3, "momentum": 0.0, "nesterov": False, "weight_decay": 0.01},
        "Adam": _ADAM,
        "AdamW": {**_ADAM, "weight_decay": 1e-2, "decoupled_weight_decay": True},
        "RMSprop": {**_COMMON, "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False},
        "NAdam": {
            **_COMMON,
            "lr": 2e-3,
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "momentum_decay": 4e-3,
            "decoupled_weight_decay": False,
        },
        "Adagrad": {**_COMMON, "lr": 1e-2, "lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10},
        "Adadelta": {**_COMMON, "lr": 1.0, "rho": 0.9, "eps": 1e-6},
        "Adamax": {**_COMMON, "lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8},
    }
)


def torch_rule(
    name: str, settings: Mapping[str, Any], *, keras_forms: Collection[str] = (), decay_biases: bool = True
) -> TorchRule:
    """Return one of torch's optimizers as a Keras optimizer.

    >>> import keras
    >>> weight = keras.Variable([1.0])
    >>> torch_rule("SGD", {"lr": 0.5, "weight_decay": 0.5, "foreach": None}).apply([[2.0]], [weight])
    >>> weight.numpy().tolist()  # 1 − 0.5 × (2 + 0.5 × 1)
    [-0.25]

    Args:
        name: name of torch's class, or SGDW.
        settings: a parameter group's hyperparameters, by torch's names. What is not set is torch's default; what the
            rule does not know, such as ``foreach``, is left aside.
        keras_forms: forms of ``KERAS_FORMS`` in which Keras' own is taken.
        decay_biases: whether weights of at most one dimension decay.

    Raises:
        ValueError: there is no such rule, or it has no such form.
    """
    if name not in _RULES:
        raise ValueError(f"no rule for the optimizer {name!r}; there is one for {', '.join(_RULES)}")
    if strange := set(keras_forms) - set(KERAS_FORMS[name]):
        raise ValueError(
            f"{name} has no Keras form {', '.join(sorted(strange))}; it has {', '.join(KERAS_FORMS[name])}"
        )
    defaults = DEFAULTS[name]
    numbers = {key: _plain(settings.get(key, default)) for key, default in defaults.items()}
    return _RULES[name](numbers, keras_forms=keras_forms, decay_biases=decay_biases)


def _plain(value: Any) -> Any:
    """Return a setting as Python's own numbers; torch takes tensors too."""
    if isinstance(value, (tuple, list)):
        return tuple(float(number) for number in value)
    return value if isinstance(value, bool) else float(value)
