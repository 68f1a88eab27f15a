from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("keras", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")
pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import keras
import tensorflow as tf

from lit_lossopt.keras_twin.torch_rules import DECAY, DEFAULTS, KERAS_FORMS, PRECISION, RATE, torch_rule
from lit_lossopt.optimizers.sgdw import SGDW
from tests.support.twins import (
    Array,
    apart,
    constant,
    continue_keras,
    falling,
    real_keras,
    start,
    walk_keras,
    walk_torch,
)

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
# Rounding takes walks of 200 steps 1e-15 apart.
TELLS = 1e-11
each_setting = pytest.mark.parametrize(
    ("name", "settings"), SETTINGS, ids=[f"{name}-{'-'.join(map(str, of.values()))}" for name, of in SETTINGS]
)
each_form = pytest.mark.parametrize(("name", "form"), [(name, form) for name in TELLING for form in KERAS_FORMS[name]])


def in_torch(name: str, settings: Mapping[str, Any], **how: Any) -> Array:
    kind: Any = SGDW if name == "SGDW" else getattr(torch.optim, name)
    return walk_torch(lambda parameters: kind(parameters, **settings), falling(settings["lr"]), **how)


@each_setting
def test_a_rule_is_torchs(name: str, settings: dict[str, Any]) -> None:
    wanted = in_torch(name, settings)
    found = walk_keras(torch_rule(name, settings), falling(settings["lr"]))
    assert apart(found[:20], wanted[:20]) < 1e-10
    assert apart(found, wanted) < 1e-10


@pytest.mark.usefixtures("double")
@each_setting
def test_with_all_forms_a_rule_is_keras(name: str, settings: dict[str, Any]) -> None:
    settings = {**settings, "maximize": False}  # Keras has none
    wanted = walk_keras(real_keras(name, {**DEFAULTS[name], **settings}), falling(settings["lr"]))
    found = walk_keras(torch_rule(name, settings, keras_forms=KERAS_FORMS[name]), falling(settings["lr"]))
    assert apart(found[:20], wanted[:20]) < 1e-12
    assert apart(found, wanted) < 1e-11


@functools.cache
def telling_torch(name: str) -> Array:
    return in_torch(name, TELLING[name])


@functools.cache
def telling_keras(name: str) -> Array:
    return walk_keras(real_keras(name, {**DEFAULTS[name], **TELLING[name]}), falling(TELLING[name]["lr"]))


def rule_walk(name: str, forms: Iterable[str]) -> Array:
    return walk_keras(torch_rule(name, TELLING[name], keras_forms=list(forms)), falling(TELLING[name]["lr"]))


@each_form
def test_each_form_alone_is_not_torchs(name: str, form: str) -> None:
    assert apart(rule_walk(name, [form]), telling_torch(name)) > TELLS


@pytest.mark.usefixtures("double")
@each_form
def test_without_each_form_a_rule_is_not_keras(name: str, form: str) -> None:
    assert apart(rule_walk(name, set(KERAS_FORMS[name]) - {form}), telling_keras(name)) > TELLS


@pytest.mark.parametrize("name", ["SGD", "SGDW", "RMSprop"])
def test_where_the_rate_stands_is_no_matter_while_it_is_constant(name: str) -> None:
    settings = {**TELLING[name], "dampening": 0.0}
    outside, inside = (
        walk_keras(torch_rule(name, settings, keras_forms=forms), constant(0.01)) for forms in ([], [RATE])
    )
    assert apart(inside, outside) < 1e-12


@each_setting
def test_in_float32_only_rounding_differs(name: str, settings: dict[str, Any]) -> None:
    wanted = in_torch(name, settings, dtype="float32", steps=20)
    found = walk_keras(torch_rule(name, settings), falling(settings["lr"]), "float32", range(20))
    assert apart(found, wanted) < 5e-7


@pytest.mark.parametrize("name", TELLING)
def test_in_float32_all_forms_are_keras_but_for_rounding(name: str) -> None:
    settings, rate = TELLING[name], falling(TELLING[name]["lr"])
    wanted = walk_keras(real_keras(name, {**DEFAULTS[name], **settings}), rate, "float32", range(20))
    rule = torch_rule(name, settings, keras_forms=KERAS_FORMS[name])
    assert apart(walk_keras(rule, rate, "float32", range(20)), wanted) < 5e-7


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_keras_corrects_bias_in_the_type_of_the_weights(name: str) -> None:
    # 1 − β₂ with β₂ = .999 in float32 is off by 1.3e-5, its root by half of that; here the first step is the whole way.
    settings = {"lr": 1000.0, "weight_decay": 0.0}
    wanted = in_torch(name, settings, dtype="float32", steps=1)
    doubles, singles = (
        walk_keras(torch_rule(name, settings, keras_forms=forms), falling(1000.0), "float32", range(1))
        for forms in ([], [PRECISION])
    )
    assert apart(doubles, wanted) < 2e-7
    assert 6e-6 < apart(singles, wanted) < 7e-6


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_torchs(name: str) -> None:
    kind: Any = SGDW if name == "SGDW" else getattr(torch.optim, name)
    (group,) = kind([torch.nn.Parameter(torch.zeros(1))]).param_groups
    aside = {"params", "foreach", "fused", "capturable", "differentiable"}
    of_torch = {key: value for key, value in group.items() if key not in aside}
    if name == "SGDW":
        del of_torch["dampening"]  # always 0
    assert DEFAULTS[name] == of_torch


def test_a_whole_group_of_torch_is_taken() -> None:
    group = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.02, fused=False).param_groups[0]
    rule = torch_rule("AdamW", {**group, "lr": torch.tensor(0.5), "name": "weights", "initial_lr": 0.1})
    assert rule.get_config()["settings"] == {**DEFAULTS["AdamW"], "lr": 0.5}


def test_there_is_a_rule_and_a_tuple_of_forms_for_each_name() -> None:
    assert set(KERAS_FORMS) == set(DEFAULTS) == set(TELLING) == {name for name, _ in SETTINGS}
    with pytest.raises(ValueError, match="no rule for the optimizer 'Lion'; there is one for SGD, SGDW, Adam"):
        torch_rule("Lion", {})
    with pytest.raises(ValueError, match="Adadelta has no Keras form epsilon, rate; it has decay, precision"):
        torch_rule("Adadelta", {}, keras_forms=["rate", "decay", "epsilon"])


@pytest.mark.parametrize("forms", [[], [DECAY]])
def test_biases_decay_only_where_they_should(forms: list[str]) -> None:
    weights = [keras.Variable(np.ones(shape), dtype="float64") for shape in [(2, 2), (2,), ()]]
    still = [np.zeros(weight.shape) for weight in weights]
    torch_rule("SGD", {"lr": 0.5, "weight_decay": 0.5}, keras_forms=forms, decay_biases=False).apply(still, weights)
    assert [float(np.mean(weight)) for weight in weights] == [0.75, 1, 1]
    torch_rule("SGD", {"lr": 0.5, "weight_decay": 0.5}, keras_forms=forms).apply(still, weights)
    assert [float(np.mean(weight)) for weight in weights] == [0.75**2, 0.75, 0.75]


def test_a_rate_stays_exact_and_compiled_steps_see_it() -> None:
    rule = torch_rule("SGD", {"lr": 0.1})
    assert float(rule.learning_rate.numpy()) == 0.1
    rule.learning_rate = 1 / 3
    assert float(rule.learning_rate.numpy()) == 1 / 3
    assert [variable.name for variable in rule.variables] == ["iteration", "learning_rate"]


@pytest.mark.parametrize("name", TELLING)
def test_a_rule_goes_on_from_its_saved_variables(name: str) -> None:
    settings, rate = TELLING[name], falling(TELLING[name]["lr"])
    first = torch_rule(name, settings)
    weights = [keras.Variable(values, dtype="float64") for values in start("float64")]
    continue_keras(first, weights, rate, range(7))
    saved = [variable.numpy() for variable in first.variables]
    copies = [keras.Variable(weight.numpy(), dtype="float64") for weight in weights]
    wanted = continue_keras(first, weights, rate, range(7, 12))
    second = torch_rule(name, settings)
    second.build(copies)
    for variable, value in zip(second.variables, saved, strict=True):
        variable.assign(value)
    assert int(second.iterations.numpy()) == 7
    np.testing.assert_array_equal(continue_keras(second, copies, rate, range(7, 12)), wanted)


def test_a_rule_is_made_again_from_its_config() -> None:
    rule = torch_rule("NAdam", {"lr": 0.1, "betas": (0.8, 0.9)}, keras_forms=[DECAY], decay_biases=False)
    rule.learning_rate = 0.2
    again = type(rule).from_config(rule.get_config())
    assert again.get_config() == rule.get_config()
    assert float(again.learning_rate.numpy()) == 0.2


def test_what_a_row_gets_from_several_inputs_is_summed_first() -> None:
    table = keras.Variable(np.ones((3, 2)), dtype="float64")
    rows = tf.IndexedSlices(tf.constant([[1.0, 3.0], [1.0, -1.0]], tf.float64), [1, 1], tf.constant([3, 2]))
    torch_rule("Adagrad", {"lr": 0.5}).apply([rows], [table])
    np.testing.assert_allclose(table.numpy(), np.array([[1, 1], [0.5, 0.5], [1, 1]]))
    # Keras' own squares each: 2 / √(1 + 1) and 2 / √(9 + 1).
    theirs = keras.Variable(np.ones((3, 2), "float32"))
    keras.optimizers.Adagrad(0.5, initial_accumulator_value=0.0).apply([rows], [theirs])
    np.testing.assert_allclose(theirs.numpy()[1], 1 - np.sqrt([0.5, 0.1]), rtol=1e-5)


@pytest.mark.slow
def test_torch_makes_optimizers_after_tensorflow_is_loaded() -> None:
    # torch's first optimizer loads triton, which ends the process where TensorFlow was loaded before it.
    program = (
        "import lit_lossopt.keras_twin.torch_rules, torch; torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
