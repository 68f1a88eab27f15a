"""One small problem, stepped by an optimizer of torch and by one of Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
STEPS = 200
_DRAW = np.random.default_rng(20)
_INPUTS, _TARGETS = _DRAW.normal(size=(64, 4)), _DRAW.normal(size=(64, 3))
_START = (_DRAW.normal(size=(4, 3)), _DRAW.normal(size=3))


def start(dtype: str) -> list[Array]:
    """Return the first weight matrix and bias."""
    return [values.astype(dtype) for values in _START]


def gradients(weights: list[Array], step: int) -> list[Array]:
    """Return the gradients of half the squared error of a linear map, over this step's eight rows."""
    rows = slice(8 * (step % 8), 8 * (step % 8) + 8)
    inputs = _INPUTS[rows].astype(weights[0].dtype)
    error = (inputs @ weights[0] + weights[1] - _TARGETS[rows].astype(weights[0].dtype)) / 8
    return [inputs.T @ error, error.sum(axis=0)]


def falling(lr: float) -> Callable[[int], float]:
    """Return a schedule that warms up, falls and rises again."""
    return lambda step: lr * (0.2 + 0.1 * (step % 9) + 0.5 / (1 + step))


def constant(lr: float) -> Callable[[int], float]:
    """Return a schedule that does nothing."""
    return lambda _: lr


def walk_torch(
    build: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer],
    rate: Callable[[int], float],
    dtype: str = "float64",
    steps: int = STEPS,
) -> Array:
    """Return the weights after each step of an optimizer of torch, in one row each."""
    parameters = [torch.nn.Parameter(torch.tensor(values)) for values in start(dtype)]
    optimizer = build(parameters)
    rows = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        for parameter, gradient in zip(
            parameters, gradients([p.detach().numpy() for p in parameters], step), strict=True
        ):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
        rows.append(flat(p.detach().numpy() for p in parameters))
    return np.stack(rows)


def walk_keras(
    optimizer: Any, rate: Callable[[int], float], dtype: str = "float64", steps: Iterable[int] = range(STEPS)
) -> Array:
    """Return the weights after each step of an optimizer of Keras, in one row each."""
    import keras

    return continue_keras(optimizer, [keras.Variable(values, dtype=dtype) for values in start(dtype)], rate, steps)


def continue_keras(optimizer: Any, variables: list[Any], rate: Callable[[int], float], steps: Iterable[int]) -> Array:
    """Return the weights after each step from where the variables are."""
    import tensorflow as tf

    optimizer.build(variables)

    @tf.function  # type: ignore[untyped-decorator]  # tensorflow has no types
    def apply(given: list[Any]) -> None:
        optimizer.apply(given, variables)

    rows = []
    for step in steps:
        optimizer.learning_rate = rate(step)
        apply([tf.constant(gradient) for gradient in gradients([v.numpy() for v in variables], step)])
        rows.append(flat(v.numpy() for v in variables))
    return np.stack(rows)


def flat(weights: Iterable[Array]) -> Array:
    """Return weights in one row."""
    return np.concatenate([values.ravel() for values in weights])


def apart(one: Array, other: Array) -> float:
    """Return how far two walks are apart at most, relative to the length of the weights."""
    return float(np.max(np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)))


_NAMES = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
_KERAS = {"SGDW": "SGD", "NAdam": "Nadam"}
_TORCH_ONLY = {"dampening", "lr_decay", "momentum_decay", "maximize", "decoupled_weight_decay"}


def real_keras(name: str, settings: Mapping[str, Any]) -> Any:
    """Return Keras' own optimizer with the numbers of one of torch's."""
    import keras

    numbers = {_NAMES.get(key, key): value for key, value in settings.items() if key not in _TORCH_ONLY}
    if betas := numbers.pop("betas", None):
        numbers["beta_1"], numbers["beta_2"] = betas
    return getattr(keras.optimizers, _KERAS.get(name, name))(**numbers)
