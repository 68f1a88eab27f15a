"""How far the frameworks are apart after each step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from lit_lossopt.keras_twin.checking.gap import Gap
from lit_lossopt.keras_twin.checking.pairs import (
    CHANNELS,
    CLASSES,
    COLUMNS,
    HIDDEN,
    PAIRS,
    SEED,
    Batches,
    Pair,
    batches_of,
    keras_update,
    loss_of,
    torch_optimizer,
)
from lit_lossopt.keras_twin.checking.request import IMAGES, Request
from lit_lossopt.keras_twin.engine import channels_last, settings_of, sizes_of
from lit_lossopt.keras_twin.framework import precision
from lit_lossopt.keras_twin.losses import KerasLoss
from lit_lossopt.keras_twin.network import KerasMiniCNN
from lit_lossopt.keras_twin.optimizers import Update
from lit_lossopt.keras_twin.step import Steps, l2
from lit_lossopt.losses import contract_of
from lit_lossopt.losses import loss_of as computed_loss
from lit_lossopt.networks.mini_cnn import MiniCNN

Floats = NDArray[np.float64]
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Track:
    """What N steps of a training did.

    Attributes:
        losses: before each step, ``[N]``.
        weights: all weights as torch has them, at the start and after each step, ``[N + 1, W]``.
    """

    losses: Floats
    weights: Floats


def gaps(request: Request, tell: Tell = lambda _: None) -> Iterator[Gap]:
    """Yield the gap of each image kind, loss, optimizer and column.

    Args:
        request: what is compared.
        tell: called with a line before each comparison.
    """
    for images in request.images:
        batches = batches_of(images, request.steps)
        for loss in request.losses:
            for name in request.optimizers:
                tell(f"{images} {loss} {name}")
                yield from _of_pair(images, loss, name, batches)


def _of_pair(images: str, loss: str, name: str, batches: Batches) -> Iterator[Gap]:
    pair, criterion = PAIRS[name], loss_of(loss)
    network = start(images, criterion)
    tracks: dict[str, Track] = {}
    for column in COLUMNS:
        make = torch_optimizer(pair, column)
        # Two columns have the same settings in torch.
        key = repr(sorted(make.keywords.items()))  # type: ignore[attr-defined]  # a partial
        if key not in tracks:
            tracks[key] = torch_track(network, criterion, make, batches)
        kind, settings = _described(make, network)
        twin = keras_track(network, criterion, _update(pair, column, kind, settings), batches)
        yield gap(tracks[key], twin, (images, loss, name, column))


def _update(pair: Pair, column: str, kind: str, settings: dict[str, Any]) -> Callable[[], Update]:
    return lambda: keras_update(pair, column, kind, settings)


def _described(make: Callable[[Any], Optimizer], network: nn.Module) -> tuple[str, dict[str, Any]]:
    optimizer = make(network.parameters())
    return type(optimizer).__name__, settings_of(optimizer)


def start(images: str, criterion: nn.Module) -> MiniCNN:
    """Return the network that both frameworks begin with, in double precision and without dropout."""
    channels, side = IMAGES[images]
    torch.manual_seed(SEED)
    outputs = contract_of(criterion).num_outputs(CLASSES)
    return MiniCNN(channels, side, outputs, CHANNELS, HIDDEN, dropout=0.0).double()


def torch_track(network: nn.Module, criterion: nn.Module, make: Callable[[Any], Optimizer], batches: Batches) -> Track:
    """Train a copy of a network in torch."""
    network, contract = copy.deepcopy(network), contract_of(criterion)
    optimizer = make(network.parameters())
    losses, weights = [], [_flat(network)]
    for images, labels in batches:
        optimizer.zero_grad()
        loss = computed_loss(criterion, contract, network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        optimizer.step()
        losses.append(loss.item())
        weights.append(_flat(network))
    return Track(np.array(losses), np.stack(weights))


def keras_track(network: MiniCNN, criterion: nn.Module, make: Callable[[], Update], batches: Batches) -> Track:
    """Train a twin of a network in TensorFlow."""
    sizes, loss = sizes_of(network), KerasLoss(criterion, contract_of(criterion), "float64")
    encoded = [(channels_last(images), loss.targets(labels, sizes.num_outputs)) for images, labels in batches]
    with precision("float64"):
        update = make()
        twin = KerasMiniCNN(sizes, "float64", l2(update.kernel_decay), l2(update.bias_decay))
        steps = Steps(twin, loss, update, encoded[0][1])
        steps.set_weights({name: value.detach().numpy() for name, value in network.state_dict().items()})
        losses, weights = [], [_joined(steps, network)]
        for images, targets in encoded:
            losses.append(steps(images, targets)[0])
            weights.append(_joined(steps, network))
    return Track(np.array(losses), np.stack(weights))


def gap(torch_side: Track, keras_side: Track, place: Sequence[str]) -> Gap:
    """Return how far two trainings are apart, and what they are of."""
    way = np.linalg.norm(torch_side.weights[1:] - torch_side.weights[0], axis=1)
    apart = np.linalg.norm(keras_side.weights[1:] - torch_side.weights[1:], axis=1)
    losses = np.abs(keras_side.losses - torch_side.losses) / np.abs(torch_side.losses)
    images, loss, optimizer, column = place
    return Gap(images, loss, optimizer, column, tuple(losses.tolist()), tuple((apart / way).tolist()))


def _flat(network: nn.Module) -> Floats:
    return np.concatenate([value.detach().numpy().ravel() for value in network.state_dict().values()])


def _joined(steps: Steps, network: nn.Module) -> Floats:
    weights = steps.weights()
    return np.concatenate([weights[name].ravel() for name in network.state_dict()])
