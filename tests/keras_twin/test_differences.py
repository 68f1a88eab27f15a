"""Every row of the table of known differences, on the smallest thing that shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import keras
import tensorflow as tf

from lit_lossopt.keras_twin.explaining.differences import BY_NAME, DIFFERENCES, KERAS_CLASSES, KERAS_NAMES, SETTING
from lit_lossopt.keras_twin.keras_rules import KerasAdam, KerasAdamax, KerasRMSprop, KerasSGD
from lit_lossopt.keras_twin.optimizers import COUNTERPARTS
from lit_lossopt.optimizers import SGDW


@pytest.mark.parametrize("name", [one.name for one in DIFFERENCES if one.kind == SETTING])
def test_defaults_are_what_the_signatures_say(name: str) -> None:
    for optimizer, (setting, in_torch, in_keras) in BY_NAME[name].values.items():
        kind = SGDW if optimizer == "SGDW" else getattr(torch.optim, optimizer)
        assert inspect.signature(kind).parameters[setting].default == in_torch, optimizer
        twin = getattr(keras.optimizers, COUNTERPARTS[optimizer].name)
        assert twin.__name__ == KERAS_CLASSES.get(optimizer, optimizer)
        assert inspect.signature(twin).parameters[KERAS_NAMES.get(setting, setting)].default == in_keras, optimizer


def torch_walk(make: Callable[[Any], torch.optim.Optimizer], gradients: list[float], rates: list[float]) -> list[float]:
    """Return a weight that begins at 1, after each step."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer, walk = make([weight]), []
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        walk.append(weight.item())
    return walk


def keras_walk(optimizer: Any, gradients: list[float], rates: list[float]) -> list[float]:
    """Return a weight that begins at 1, after each step."""
    weight, walk = keras.Variable([1.0], dtype="float64"), []
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant([gradient], tf.float64)], [weight])
        walk.append(float(weight.numpy()[0]))
    return walk


# Adamax shows its ε once the largest gradient lies long back.
SMALL = [1e-7, *[1e-8] * 99]
RATE = [0.1] * 100
Make = Callable[[Any], torch.optim.Optimizer]
WALKS: dict[str, list[tuple[Make, Make, Callable[[], Any], list[float]]]] = {
    # Torch, Keras' rule in torch, Keras, and rates. Settings are the same in all three.
    "place-of-epsilon": [
        (lambda p: torch.optim.Adam(p, eps=1e-7), lambda p: KerasAdam(p, epsilon=1e-7),
         lambda: keras.optimizers.Adam(epsilon=1e-7), RATE),
        (lambda p: torch.optim.RMSprop(p, eps=1e-7), lambda p: KerasRMSprop(p, rho=0.99, epsilon=1e-7),
         lambda: keras.optimizers.RMSprop(rho=0.99, epsilon=1e-7), RATE),
        (lambda p: torch.optim.Adamax(p, eps=1e-7), lambda p: KerasAdamax(p, epsilon=1e-7),
         lambda: keras.optimizers.Adamax(epsilon=1e-7), RATE),
    ],
    "momentum-schedule": [
        (lambda p: torch.optim.NAdam(p, eps=1e-7), lambda p: torch.optim.NAdam(p, eps=1e-7, momentum_decay=1.0),
         lambda: keras.optimizers.Nadam(epsilon=1e-7), RATE),
    ],
    "place-of-rate": [
        (lambda p: torch.optim.SGD(p, momentum=0.9), lambda p: KerasSGD(p, momentum=0.9),
         lambda: keras.optimizers.SGD(momentum=0.9), [0.1, 0.01, 0.001]),
    ],
    "coupled-decay": [
        (lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.1),
         lambda p: SGDW(p, momentum=0.9, weight_decay=0.1),
         lambda: keras.optimizers.SGD(momentum=0.9, weight_decay=0.1), RATE),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.usefixtures("double")
def test_a_form_of_a_rule(name: str) -> None:
    for in_torch, as_keras, make, rates in WALKS[name]:
        gradients = (SMALL if name == "place-of-epsilon" else [1.0, -0.5, 0.25, *[0.0] * 97])[: len(rates)]
        wanted = keras_walk(make(), gradients, rates)
        assert np.abs(np.subtract(torch_walk(in_torch, gradients, rates), wanted)).max() > 1e-4
        # Numbers of Keras come through 32 bits.
        assert np.abs(np.subtract(torch_walk(as_keras, gradients, rates), wanted)).max() < 1e-6


def test_numbers_come_through_32_bits() -> None:
    weight = keras.Variable([0.0], dtype="float64")
    keras.config.set_floatx("float64")
    try:
        optimizer = keras.optimizers.SGD(0.0, momentum=0.9)
        optimizer.build([weight])
        optimizer.momentums[0].assign([1.0])
        optimizer.apply([tf.constant([0.0], tf.float64)], [weight])
        kept = float(weight.numpy()[0])
    finally:
        keras.config.set_floatx("float32")
    assert kept == float(np.float32(0.9)) != 0.9


@pytest.mark.usefixtures("double")
def test_l2_is_twice_weight_decay_and_of_kernels_only() -> None:
    layer = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.1), dtype="float64")
    layer.build((None, 1))
    layer.kernel.assign([[3.0]])
    layer.bias.assign([5.0])
    with tf.GradientTape() as tape:
        loss = sum(layer.losses)
    gradients = tape.gradient(loss, [layer.kernel.value, layer.bias.value])
    assert abs(float(gradients[0][0, 0]) - 2 * 0.1 * 3.0) < 1e-7
    assert gradients[1] is None
    # Torch adds λ w, so that SGD with rate 1 moves by it; biases move, too.
    weights = [nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([5.0]))]
    optimizer = torch.optim.SGD(weights, lr=1.0, weight_decay=0.1)
    for weight in weights:
        weight.grad = torch.zeros(1)
    optimizer.step()
    assert [round(weight.item(), 6) for weight in weights] == [2.7, 4.5]


def test_initialisation() -> None:
    rows, columns = 400, 100
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    linear, dense = nn.Linear(rows, columns), keras.layers.Dense(columns)
    dense.build((None, rows))
    bound, glorot = 1 / rows**0.5, (6 / (rows + columns)) ** 0.5
    assert 0.99 * bound < linear.weight.abs().max().item() <= bound
    assert 0.9 * bound < linear.bias.abs().max().item() <= bound
    assert 0.99 * glorot < np.abs(dense.kernel.numpy()).max() <= glorot
    assert not dense.bias.numpy().any()
    # The line to write in Keras.
    alike = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")((rows, columns))
    assert 0.99 * bound < float(tf.reduce_max(tf.abs(alike))) <= bound


def test_flatten_order() -> None:
    images = torch.arange(12.0).reshape(1, 3, 2, 2)
    pixels = images.permute(0, 2, 3, 1).numpy()
    assert images.flatten(1).tolist()[0] != (flat := keras.layers.Flatten()(pixels).numpy()[0].tolist())
    assert images.permute(0, 2, 3, 1).flatten(1).tolist()[0] == flat
    # The line to write in Keras.
    permuted = keras.layers.Flatten()(keras.layers.Permute((3, 1, 2))(pixels))
    assert permuted.numpy()[0].tolist() == images.flatten(1).tolist()[0]


def test_probabilities_are_clipped_where_keras_does_not_find_the_logits() -> None:
    logits, labels = np.array([[0.0, 40.0]], np.float32), np.array([0])
    loss = keras.losses.SparseCategoricalCrossentropy()
    wanted = nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert abs(wanted - 40) < 1e-4
    last = keras.layers.Dense(2, activation="softmax", kernel_initializer="identity", use_bias=False)
    # Behind a last softmax it finds them, whether it is a layer's or not.
    for found in (
        loss(labels, last(logits)),
        loss(labels, keras.ops.softmax(logits)),
        tf.function(lambda x: loss(labels, last(x)))(logits),
        tf.function(lambda x: loss(labels, tf.nn.softmax(x)))(logits),
    ):
        assert abs(float(found) - wanted) < 1e-4
    # Where anything stands between it does not.
    for clipped in (
        loss(labels, 1.0 * last(logits)),
        loss(labels, keras.ops.cast(last(logits), "float64")),
        tf.function(lambda x: loss(labels, tf.identity(last(x))))(logits),
        loss(labels, tf.nn.softmax(logits)),
    ):
        assert abs(float(clipped) - -np.log(1e-7)) < 1e-4
    # The line to write in torch.
    in_torch = torch.from_numpy(logits).softmax(1).clamp(1e-7, 1 - 1e-7).log()
    assert abs(nn.NLLLoss()(in_torch, torch.from_numpy(labels)).item() - -np.log(1e-7)) < 1e-4


def test_clipnorm_is_of_each_variable() -> None:
    def clipped(**how: float) -> list[float]:
        weights = [keras.Variable([0.0]), keras.Variable([0.0])]
        keras.optimizers.SGD(1.0, **how).apply([tf.constant([3.0]), tf.constant([4.0])], weights)
        return [-float(weight.numpy()[0]) for weight in weights]

    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    for parameter, value in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = torch.tensor([value])
    nn.utils.clip_grad_norm_(parameters, 1.0)
    together = [float(parameter.grad) for parameter in parameters if parameter.grad is not None]
    assert np.allclose(clipped(clipnorm=1.0), [1.0, 1.0])
    assert np.allclose(clipped(global_clipnorm=1.0), together, atol=1e-6)
    assert np.allclose(together, [0.6, 0.8])


def test_padding_at_stride_two() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 1, 4, 4, generator=generator)
    conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)
    kernel = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
    bias = conv.bias.detach().numpy() if conv.bias is not None else None

    def convolved(x: Any, padding: str) -> Any:
        layer = keras.layers.Conv2D(1, 3, strides=2, padding=padding)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
        return layer(x).numpy()[..., 0]

    pixels = images.permute(0, 2, 3, 1).numpy()
    with torch.no_grad():
        wanted = conv(images)[:, 0].numpy()
        conv.padding = (0, 0)
        as_keras = conv(nn.functional.pad(images, (0, 1, 0, 1)))[:, 0].numpy()
    assert np.abs(convolved(pixels, "same") - wanted).max() > 1e-2
    assert np.allclose(convolved(pixels, "same"), as_keras, atol=1e-6)
    padded = keras.layers.ZeroPadding2D(1)(pixels)
    assert np.allclose(convolved(padded, "valid"), wanted, atol=1e-6)


def norms(momentum: float = 0.99, epsilon: float = 1e-3) -> tuple[Any, Any, np.ndarray]:
    values = np.random.default_rng(0).normal(3.0, 2.0, (4, 1)).astype(np.float32)
    ours, theirs = nn.BatchNorm1d(1), keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon)
    theirs.build((None, 1))
    return ours, theirs, values


def test_batch_norm_momentum() -> None:
    ours, theirs, values = norms()
    ours(torch.from_numpy(values))
    theirs(values, training=True)
    assert np.allclose(ours.running_mean, 0.1 * values.mean(), rtol=1e-5)
    assert np.allclose(theirs.moving_mean.numpy(), 0.01 * values.mean(), rtol=1e-5)
    _, alike, _ = norms(momentum=0.9)
    alike(values, training=True)
    assert np.allclose(alike.moving_mean.numpy(), ours.running_mean, rtol=1e-5)


def test_batch_norm_epsilon() -> None:
    ours, theirs, values = norms()
    values = values * 1e-2
    wanted = ours(torch.from_numpy(values)).detach().numpy()
    assert np.abs(theirs(values, training=True).numpy() - wanted).max() > 0.1
    _, alike, _ = norms(epsilon=1e-5)
    assert np.allclose(alike(values, training=True).numpy(), wanted, atol=1e-4)


def test_batch_norm_variance() -> None:
    ours, theirs, values = norms(momentum=0.9)
    ours(torch.from_numpy(values))
    theirs(values, training=True)
    biased, unbiased = values.var(), values.var(ddof=1)
    assert np.allclose(ours.running_var, 0.9 + 0.1 * unbiased, rtol=1e-5)
    assert np.allclose(theirs.moving_variance.numpy(), 0.9 + 0.1 * biased, rtol=1e-5)


def plateau_in_keras(losses: list[float], **how: Any) -> list[float]:
    """Return the rate behind each epoch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, mode="min", **how)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(model.optimizer.learning_rate.numpy()))
    return rates


def plateau_in_torch(losses: list[float], **how: Any) -> list[float]:
    """Return the rate behind each epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **how)
    rates = []
    for loss in losses:
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_plateau_threshold() -> None:
    # Each epoch is better by 2e-5, which is much of a loss of 1e-3.
    losses = [1e-3 - 2e-5 * epoch for epoch in range(8)]
    assert plateau_in_torch(losses, patience=2) == [1.0] * 8
    assert plateau_in_keras(losses, patience=3)[-1] < 1.0
    assert plateau_in_torch(losses, patience=2, threshold_mode="abs") == plateau_in_keras(losses, patience=3)


def test_plateau_patience() -> None:
    losses = [1.0] * 6
    assert plateau_in_torch(losses, patience=2).index(0.5) == 3
    assert plateau_in_keras(losses, patience=2).index(0.5) == 2
    assert plateau_in_torch(losses, patience=1) == plateau_in_keras(losses, patience=2)


CONFIRMED = {
    **dict.fromkeys(
        [one.name for one in DIFFERENCES if one.kind == SETTING], test_defaults_are_what_the_signatures_say
    ),
    **dict.fromkeys(WALKS, test_a_form_of_a_rule),
    "half": test_l2_is_twice_weight_decay_and_of_kernels_only,
    "precision": test_numbers_come_through_32_bits,
    "initialisation": test_initialisation,
    "flatten-order": test_flatten_order,
    "probabilities": test_probabilities_are_clipped_where_keras_does_not_find_the_logits,
    "clip-by-variable": test_clipnorm_is_of_each_variable,
    "padding": test_padding_at_stride_two,
    "batch-norm-momentum": test_batch_norm_momentum,
    "batch-norm-epsilon": test_batch_norm_epsilon,
    "batch-norm-variance": test_batch_norm_variance,
    "plateau-threshold": test_plateau_threshold,
    "plateau-patience": test_plateau_patience,
}


def test_every_difference_is_confirmed() -> None:
    assert len(BY_NAME) == len(DIFFERENCES)
    assert set(CONFIRMED) == set(BY_NAME)
    assert all(all((one.torch, one.keras, one.source, one.in_keras, one.in_torch)) for one in DIFFERENCES)
