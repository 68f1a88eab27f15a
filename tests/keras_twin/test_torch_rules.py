from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("keras", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")
pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import keras
import tensorflow as tf

from lit_lossopt.keras_twin import torch_rules
from lit_lossopt.keras_twin.torch_rules import DEFAULTS, KERAS_FORMS, torch_rule
from lit_lossopt.optimizers.sgdw import SGDW
from tests.support.twins import apart, constant, continue_keras, falling, real_keras, start, walk_keras, walk_torch

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.03}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.03}),
    ("SGD", {"lr": 0.001, "momentum": 0.5, "weight_decay": 0.03, "maximize": True}),
    ("SGDW", {"lr": 0.1, "momentum": 0.9}),
    ("SGDW", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adam", {"lr": 0.01, "betas": (0.4, 0.9), "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"lr": 0.001, "maximize": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "betas": (0.8, 0.95), "weight_decay": 0.3}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "centered": True, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.4, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.4, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-2}),
    ("NAdam", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3}),
    ("Adadelta", {"lr": 1.0}),
    ("Adadelta", {"lr": 1.0, "rho": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.01}),
    ("Adamax", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-2, "weight_decay": 0.1}),
]
# In each case, every form of the rule makes a difference.
TELLING: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.03},
    "SGDW": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "Adam": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "AdamW": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.01, "eps": 1e-3, "momentum": 0.9, "weight_decay": 0.1},
    "NAdam": {"lr": 0.01, "weight_decay": 0.1},
    "Adagrad": {"lr": 0.1, "eps": 1e-3, "lr_decay": 0.05, "weight_decay": 0.1},
    "Adadelta": {"lr": 1.0, "weight_decay": 0.1},
    "Adamax": {"lr": 0.01, "eps": 1e-2, "weight_decay": 0.1},
}
each_setting = pytest.mark.parametrize(
    ("name", "settings"), SETTINGS, ids=[f"{name}-{'-'.join(map(str, of.values()))}" for name, of in SETTINGS]
)
each_form = pytest.mark.parametrize(("name", "form"), [(name, form) for name in TELLING for form in KERAS_FORMS[name]])


def in_torch(name: str, settings: Mapping[str, Any], **how: Any) -> Any:
    kind: Any = SGDW if name == "SGDW" else getattr(torch.optim, name)
    return walk_torch(lambda parameters: kind(parameters, **settings), falling(settings["lr"]), **how)


@each_setting
def test_a_rule_is_torchs(name: str, settings: dict[str, Any]) -> None:
    wanted = in_torch(name, settings)
    found = walk_keras(torch_rule(name, settings), falling(settings["lr"]))
    assert apart(found[:20], wanted[:20]) < 1e-10
    assert apart(found, wanted) < 1e-10


@each_setting
def test_with_all_forms_a_rule_is_keras(name: str, settings: dict[str, Any], double: None) -> None:
    # Keras has no default decay, nor maximize.
    settings = {"weight_decay": DEFAULTS[name]["weight_decay"], **settings, "maximize": False}
    if name == "Adam" and settings.get("decoupled_weight_decay"):
        settings["weight_decay"] = 0.25  # the number itself is a form of its own
    numbers = {**DEFAULTS[name], **settings}
    wanted = walk_keras(real_keras(name, numbers), falling(settings["lr"]))
    found = walk_keras(torch_rule(name, settings, keras_forms=KERAS_FORMS[name]), falling(settings["lr"]))
    assert apart(found[:20], wanted[:20]) < 1e-12
    assert apart(found, wanted) < 1e-11
