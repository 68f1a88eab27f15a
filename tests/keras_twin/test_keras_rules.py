from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lit_lossopt.keras_twin import keras_rules
from lit_lossopt.keras_twin.keras_rule_base import KerasRule
from tests.support.places import TESTS
from tests.support.twins import Array, apart, falling, gradients, start, walk_keras, walk_torch

# Settings and values of Keras' own tests; the file names its source.
GOLDEN = json.loads((TESTS / "golden" / "keras_optimizers.json").read_text(encoding="utf-8"))
NAMES = [name for name in GOLDEN if name != "source"]
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "clipnorm": 0.5}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "clipvalue": 0.1}),
    ("SGD", {"momentum": 0.8, "global_clipnorm": 0.3}),
    ("Adam", {"amsgrad": True, "beta_1": 0.4, "beta_2": 0.9, "weight_decay": 0.1}),
    ("Adam", {"epsilon": 1e-2, "clipnorm": 0.1}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.3, "epsilon": 1e-2, "global_clipnorm": 0.3}),
    ("RMSprop", {"momentum": 0.9, "epsilon": 1e-2, "weight_decay": 0.1}),
    ("RMSprop", {"rho": 0.6, "centered": True, "momentum": 0.5, "epsilon": 1e-2}),
    ("Nadam", {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-2, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.3, "epsilon": 1e-2, "weight_decay": 0.1}),
    ("Adadelta", {"rho": 0.8, "epsilon": 1e-2, "weight_decay": 0.1}),
    ("Adamax", {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-2, "weight_decay": 0.1}),
]
RATES = {"SGD": 0.1, "Adagrad": 0.1, "Adadelta": 1.0}
each_setting = pytest.mark.parametrize(
    ("name", "settings"), SETTINGS, ids=[f"{name}-{'-'.join(map(str, of))}" for name, of in SETTINGS]
)
Step = Callable[[Array], Array]


def kind(name: str) -> Any:
    return getattr(keras_rules, f"Keras{name}")


def real(name: str, settings: dict[str, Any]) -> Any:
    pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")
    keras = pytest.importorskip("keras", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")
    return getattr(keras.optimizers, name)(**settings)


def walked(name: str, settings: dict[str, Any], **how: Any) -> Array:
    return walk_torch(lambda given: kind(name)(given, **settings), falling(RATES.get(name, 0.01)), **how)


@pytest.mark.usefixtures("double")
@each_setting
def test_a_rule_is_keras(name: str, settings: dict[str, Any]) -> None:
    wanted = walk_keras(real(name, settings), falling(RATES.get(name, 0.01)))
    found = walked(name, settings)
    assert apart(found[:20], wanted[:20]) < 1e-12
    assert apart(found, wanted) < 1e-11


@each_setting
def test_in_float32_only_rounding_differs(name: str, settings: dict[str, Any]) -> None:
    wanted = walk_keras(real(name, settings), falling(RATES.get(name, 0.01)), "float32", range(20))
    assert apart(walked(name, settings, dtype="float32", steps=20), wanted) < 5e-7


def in_torch(name: str, settings: dict[str, Any], first: Array) -> Step:
    weight = torch.nn.Parameter(torch.tensor(first))
    optimizer = kind(name)([weight], **settings)

    def step(gradient: Array) -> Array:
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        return weight.detach().numpy().copy()

    return step


def in_keras(name: str, settings: dict[str, Any], first: Array) -> Step:
    optimizer = real(name, settings)
    import keras

    weight = keras.Variable(first)

    def step(gradient: Array) -> Array:
        optimizer.apply([gradient.astype("float32")], [weight])
        return np.array(weight.numpy())

    return step


both = pytest.mark.parametrize("stepper", [in_torch, in_keras])
each_name = pytest.mark.parametrize("name", NAMES)


@both
@each_name
def test_golden_single_step(name: str, stepper: Callable[..., Step]) -> None:
    case = GOLDEN[name]["single_step"]
    step = stepper(name, case["settings"], np.array([1, 2, 3, 4], "float32"))
    np.testing.assert_allclose(step(np.array([1.0, 6.0, 7.0, 2.0])), case["after"], rtol=1e-4, atol=1e-4)


@both
@each_name
def test_golden_walk(name: str, stepper: Callable[..., Step]) -> None:
    # Keras allows 5e-4. The values have four places; Adam's are one for ten that differ.
    case, tolerance = GOLDEN[name]["golden"], 5e-4 if name == "Adam" else 5.1e-5
    step = stepper(name, case["settings"], np.ones(10, "float32"))
    for after, gradient in zip(case["after"], [np.full(10, 0.01), *[np.arange(0.1, 1.1, 0.1)] * 4], strict=True):
        np.testing.assert_allclose(step(gradient), after, rtol=0, atol=tolerance)


@both
@each_name
def test_golden_decay(name: str, stepper: Callable[..., Step]) -> None:
    # test_weight_decay of each of the files: three steps of .004 from 2, without a gradient.
    step = stepper(name, {"learning_rate": 1.0, "weight_decay": 0.004}, np.array(2.0, "float32"))
    after = [step(np.zeros(())) for _ in range(3)][-1]
    np.testing.assert_almost_equal(after, 1.9760959, decimal=6)


@pytest.mark.parametrize(
    ("clip", "gradient", "clipped"),
    [
        # keras/src/optimizers/optimizer_test.py, version 3.15.1: test_clip_norm, test_clip_value, test_global_clip_norm
        ("clipnorm", [100.0, 100.0], [2**0.5 / 2, 2**0.5 / 2]),
        ("clipvalue", [100.0, 100.0], [1.0, 1.0]),
        ("global_clipnorm", [50.0, 100.0], [0.2**0.5, 0.8**0.5]),
    ],
)
@both
def test_golden_clipping(clip: str, gradient: list[float], clipped: list[float], stepper: Callable[..., Step]) -> None:
    step = stepper("SGD", {"learning_rate": 1.0, clip: 1}, np.zeros(2, "float32"))
    np.testing.assert_allclose(-step(np.array(gradient)), clipped, rtol=1e-6)


@each_name
def test_names_and_defaults_are_keras(name: str) -> None:
    there = inspect.signature(type(real(name, {}))).parameters
    (group,) = kind(name)([torch.nn.Parameter(torch.zeros(1))]).param_groups
    has = {"learning_rate" if key == "lr" else key for key in group} - {"params", "iterations", "u_product"}
    # What is not about one step, and how torch would name and load it.
    aside = {"use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"}
    assert has == set(there) - aside - {"name", "kwargs"}
    group["learning_rate"] = group["lr"]
    assert {key: group[key] for key in has} == {key: there[key].default for key in has}


@each_name
def test_a_group_may_not_decay(name: str) -> None:
    decaying, exempt, still = (torch.nn.Parameter(torch.full((2,), 2.0)) for _ in range(3))
    groups = [
        {"params": [decaying]},
        {"params": [exempt], "weight_decay": 0.0},
        {"params": [still], "weight_decay": None},
    ]
    optimizer = kind(name)(groups, learning_rate=1.0, weight_decay=0.25)
    for weight in (decaying, exempt, still):
        weight.grad = torch.zeros(2)
    optimizer.step()
    assert [weight.tolist() for weight in (decaying, exempt, still)] == [[1.5, 1.5], [2, 2], [2, 2]]


@each_name
def test_a_rule_goes_on_from_its_state(name: str) -> None:
    first, second = ([torch.nn.Parameter(torch.tensor(values)) for values in start("float64")] for _ in range(2))
    optimizer = kind(name)(first)
    walk(optimizer, first, range(5))
    again = kind(name)(second)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with torch.no_grad():
        for target, source in zip(second, first, strict=True):
            target.copy_(source)
    walk(optimizer, first, range(5, 9))
    walk(again, second, range(5, 9))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def walk(optimizer: KerasRule, weights: list[torch.nn.Parameter], steps: range) -> None:
    for step in steps:
        for weight, gradient in zip(weights, gradients([w.detach().numpy() for w in weights], step), strict=True):
            weight.grad = torch.tensor(gradient)
        optimizer.step()


@pytest.mark.parametrize("name", ["Adam", "Nadam", "Adamax"])
def test_steps_are_counted_for_a_weight_without_a_gradient(name: str) -> None:
    late, always = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = kind(name)([late, always], learning_rate=1.0)
    theirs = real(name, {"learning_rate": 1.0})
    import keras

    variables = [keras.Variable(np.zeros(1, "float32")) for _ in range(2)]
    one = np.ones(1, "float32")
    for here in (None, None, one):
        late.grad = None if here is None else torch.tensor(here)
        always.grad = torch.ones(1)
        optimizer.step()
        if here is None:
            with pytest.warns(UserWarning, match="Gradients do not exist"):
                theirs.apply([here, one], variables)
        else:
            theirs.apply([here, one], variables)
    assert late.item() == pytest.approx(float(variables[0][0]), rel=1e-6)
    assert always.item() == pytest.approx(float(variables[1][0]), rel=1e-6)


def test_a_step_without_any_gradient_is_none() -> None:
    optimizer = kind("Adam")([torch.nn.Parameter(torch.zeros(1))])
    assert optimizer.step(lambda: 0.5) == 0.5
    assert optimizer.param_groups[0]["iterations"] == 0


def test_a_gradient_without_length_is_not_clipped() -> None:
    for clip in ("clipnorm", "clipvalue", "global_clipnorm"):
        step = in_torch("SGD", {"learning_rate": 1.0, clip: 0.1}, np.ones(2, "float32"))
        np.testing.assert_array_equal(step(np.zeros(2)), np.ones(2))


def test_what_keras_refuses_is_refused() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    with pytest.raises(ValueError, match="only one of clipnorm, clipvalue, global_clipnorm"):
        kind("Adam")(weights, clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ValueError, match=r"momentum must be between 0 and 1, but it is 1\.5"):
        kind("SGD")(weights, momentum=1.5)
    with pytest.raises(TypeError, match="not an argument of KerasAdam: lr"):
        kind("Adam")(weights, lr=1.0)
    with pytest.raises(ValueError, match="weight_decay"):
        kind("AdamW")(weights, weight_decay=None)
