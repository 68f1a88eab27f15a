"""Both sides of an experiment, and the switches between them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from numpy.typing import NDArray

from lit_lossopt.keras_twin.engine import channels_last, sizes_of
from lit_lossopt.keras_twin.explaining.differences import BY_NAME, FORM, SETTING
from lit_lossopt.keras_twin.explaining.experiment import Experiment
from lit_lossopt.keras_twin.framework import precision
from lit_lossopt.keras_twin.losses import KerasLoss
from lit_lossopt.keras_twin.network import KerasMiniCNN, set_weights
from lit_lossopt.keras_twin.optimizers import Update
from lit_lossopt.keras_twin.step import Steps, l2
from lit_lossopt.keras_twin.torch_rules import (
    DECAY,
    EPSILON,
    KERAS_FORMS,
    MOMENTUM_SCHEDULE,
    PRECISION,
    RATE,
    torch_rule,
)
from lit_lossopt.losses import contract_of, loss_of

Floats = NDArray[np.float64]
# Difference → form of a rule.
_FORMS: Mapping[str, str] = {
    "place-of-epsilon": EPSILON,
    "momentum-schedule": MOMENTUM_SCHEDULE,
    "place-of-rate": RATE,
    "coupled-decay": DECAY,
    "precision": PRECISION,
}
_SEED = 0


def torch_losses(experiment: Experiment, make: Callable[[Any], torch.optim.Optimizer]) -> Floats:
    """Return the losses ``[N]`` before each step in torch.

    Args:
        experiment: what is trained.
        make: makes the optimizer from groups of parameters.
    """
    network, contract = copy.deepcopy(experiment.network), contract_of(experiment.criterion)
    optimizer = make(network)
    losses = []
    for (images, labels), rate in zip(experiment.batches, experiment.rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = loss_of(experiment.criterion, contract, network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        _clip(experiment, network)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def keras_losses(experiment: Experiment, switched: Collection[str] = ()) -> Floats:
    """Return the losses ``[N]`` before each step in Keras.

    Args:
        experiment: what is trained.
        switched: differences in which this side does as Keras; in all others it does as torch.
    """
    loss = _Loss(experiment, by_probabilities="probabilities" in switched)
    encoded = [(channels_last(images), loss.targets(labels)) for images, labels in experiment.batches]
    with precision("float64"):
        update = _update(experiment, switched)
        keras.utils.set_random_seed(_SEED)
        network = KerasMiniCNN(sizes_of(experiment.network), "float64", l2(update.kernel_decay), l2(update.bias_decay))
        if "initialisation" not in switched:
            state = {name: value.numpy() for name, value in experiment.network.state_dict().items()}
            set_weights(network, state, reorder="flatten-order" not in switched)
        steps = Steps(network, loss, update, encoded[0][1])
        scale = _settings(experiment, switched)["lr"] / experiment.settings["lr"]
        return np.array(
            [
                steps(images, targets, rate * scale)[0]
                for (images, targets), rate in zip(encoded, experiment.rates, strict=True)
            ]
        )


def _clip(experiment: Experiment, network: torch.nn.Module) -> None:
    if experiment.clip is None:
        return
    clip = torch.nn.utils.clip_grad_norm_ if experiment.clip.by == "norm" else torch.nn.utils.clip_grad_value_
    clip(network.parameters(), experiment.clip.limit)


def _settings(experiment: Experiment, switched: Collection[str]) -> dict[str, Any]:
    """Return torch's settings, in which those that are switched have Keras' defaults."""
    changed = {}
    for name in switched:
        if BY_NAME[name].kind == SETTING:
            setting, _, in_keras = BY_NAME[name].values[experiment.optimizer]
            changed[setting] = in_keras
    return {**experiment.settings, **changed}


def _update(experiment: Experiment, switched: Collection[str]) -> Update:
    settings = _settings(experiment, switched)
    forms = [_FORMS[name] for name in switched if BY_NAME[name].kind == FORM and name in _FORMS]
    kernel_decay = 0.0
    if "half" in switched:
        # A layer is given half of what stands in an update: l2(λ) is λ w².
        settings, kernel_decay = {**settings, "weight_decay": 0.0}, 2 * experiment.decay
    rule = torch_rule(
        experiment.optimizer,
        settings,
        keras_forms=[form for form in forms if form in KERAS_FORMS[experiment.optimizer]],
        decay_biases=experiment.decay_biases,
    )
    clip: Callable[[list[Any]], list[Any]] | None = experiment.clip
    if experiment.clip is not None and "clip-by-variable" in switched:
        clip = partial(_clip_each, experiment.clip.limit)
    return Update(rule, kernel_decay, clip=clip)


def _clip_each(limit: float, gradients: list[Any]) -> list[Any]:
    """Clip as Keras' ``clipnorm`` does."""
    return [tf.clip_by_norm(gradient, limit) for gradient in gradients]


class _Loss:
    """The loss, of logits as in torch or of probabilities as Keras has it by default."""

    def __init__(self, experiment: Experiment, *, by_probabilities: bool) -> None:
        self._criterion = experiment.criterion
        self._of_logits = KerasLoss(experiment.criterion, contract_of(experiment.criterion), "float64")
        self._outputs = sizes_of(experiment.network).num_outputs
        self._by_probabilities = by_probabilities

    def targets(self, labels: torch.Tensor) -> Any:
        """Return what the loss takes for labels."""
        return self._of_logits.targets(labels, self._outputs)

    def __call__(self, targets: Any, logits: Any) -> Any:
        """Return the mean over the batch."""
        return self._clipped(targets, logits) if self._by_probabilities else self._of_logits(targets, logits)

    def _clipped(self, targets: Any, logits: Any) -> Any:
        # The identity keeps Keras from finding the logits behind the softmax, as a cast does.
        if isinstance(self._criterion, torch.nn.BCEWithLogitsLoss):
            return keras.losses.BinaryCrossentropy(dtype="float64")(targets, tf.identity(tf.sigmoid(logits)))
        return keras.losses.SparseCategoricalCrossentropy(dtype="float64")(targets, tf.identity(tf.nn.softmax(logits)))
