"""What is compared: losses, optimizers and images, in both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_lossopt.data import DigitsDataModule
from lit_lossopt.keras_twin.checking.request import IMAGES
from lit_lossopt.keras_twin.optimizers import Update, by_torch_rule, keras_optimizer, matched
from lit_lossopt.optimizers import SGDW

BATCH = 16
CLASSES = 10
# Small, so that all pairs are compared within minutes. The layers are those of MiniCNN.
CHANNELS, HIDDEN = (8, 16), 32
SEED = 0
# The columns of the table.
DEFAULTS, MATCHED, TORCH_RULE = "defaults", "matched", "torch's rule"
COLUMNS = (DEFAULTS, MATCHED, TORCH_RULE)


@dataclass(frozen=True)
class Pair:
    """An optimizer in both frameworks.

    Attributes:
        kind: class in torch.
        chosen: settings that make it what it is, such as a momentum, by torch's names.
        tuned: further settings for the columns in which settings are the same.
        in_keras: what a person would write in Keras who knows only the names, beside Keras' defaults.
        kernel_decay: λ of the ``l2(λ)`` that such a person would give to kernels.
        remains: what differs when all settings are the same.
    """

    kind: Callable[..., Optimizer]
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    in_keras: Mapping[str, Any] = field(default_factory=dict)
    kernel_decay: float = 0.0
    remains: str = "numbers that Keras rounds to 32 bits"


_NESTEROV = {"momentum": 0.9, "nesterov": True}
_INSIDE = "ε stands inside the root"
_BEFORE = "ε is added before the root's bias is corrected"
PAIRS: Mapping[str, Pair] = {
    "SGD": Pair(torch.optim.SGD, {}, {"lr": 0.05}, remains="rounding"),
    "momentum": Pair(torch.optim.SGD, {"momentum": 0.9}, {"lr": 0.02}, {"momentum": 0.9}),
    "Nesterov": Pair(torch.optim.SGD, _NESTEROV, {"lr": 0.02}, _NESTEROV),
    "SGD L2": Pair(
        torch.optim.SGD,
        {"momentum": 0.9, "weight_decay": 0.01},
        {"lr": 0.02},
        {"momentum": 0.9},
        0.01,
        "numbers that Keras rounds to 32 bits, once l2 has half of torch's λ, on biases too",
    ),
    "SGDW": Pair(SGDW, {"weight_decay": 0.01}, {"lr": 0.05}, {"weight_decay": 0.01}),
    "Adam": Pair(torch.optim.Adam, remains=_BEFORE),
    "AdamW": Pair(torch.optim.AdamW, remains=_BEFORE),
    "RMSprop": Pair(torch.optim.RMSprop, {}, {"lr": 1e-3}, remains=_INSIDE),
    "NAdam": Pair(torch.optim.NAdam, remains="the momentum warms up otherwise"),
    "Adagrad": Pair(torch.optim.Adagrad, {}, {"initial_accumulator_value": 0.1}, remains=_INSIDE),
    "Adadelta": Pair(torch.optim.Adadelta, remains="rounding"),
    "Adamax": Pair(torch.optim.Adamax, remains="ε is added to the largest gradient only where it divides"),
}
_LOSSES: Mapping[str, Callable[[], nn.Module]] = {
    "CrossEntropyLoss": nn.CrossEntropyLoss,
    "BCEWithLogitsLoss": nn.BCEWithLogitsLoss,
    "MSELoss": nn.MSELoss,
}
Batches = tuple[tuple[Tensor, Tensor], ...]


def loss_of(name: str) -> nn.Module:
    """Return a loss of torch."""
    return _LOSSES[name]()


def torch_optimizer(pair: Pair, column: str) -> Callable[[Any], Optimizer]:
    """Return what makes the optimizer in torch from parameters."""
    return partial(pair.kind, **pair.chosen, **({} if column == DEFAULTS else pair.tuned))


def keras_update(pair: Pair, column: str, name: str, settings: Mapping[str, Any]) -> Update:
    """Return the update in Keras.

    Args:
        pair: the optimizer.
        column: of the table.
        name: of the class in torch.
        settings: of torch's parameter group.
    """
    if column == DEFAULTS:
        # A layer is given half of what stands in an update: l2(λ) is λ w², and not ½ λ w².
        return Update(keras_optimizer(name, pair.in_keras), 2 * pair.kernel_decay)
    return (matched if column == MATCHED else by_torch_rule)(name, settings)


def batches_of(images: str, steps: int) -> Batches:
    """Return a batch ``([N, C, H, W] float64, [N] int64)`` for each step.

    ``digits`` are scikit-learn's, normalised. ``colour`` images are smooth noise around a colour of their class.
    """
    generator = torch.Generator().manual_seed(SEED)
    pixels, labels = _digits() if images == "digits" else _colours(generator)
    chosen = [torch.randint(len(labels), (BATCH,), generator=generator) for _ in range(steps)]
    return tuple((pixels[index].double(), labels[index]) for index in chosen)


def _digits() -> tuple[Tensor, Tensor]:
    data = DigitsDataModule()
    data.prepare_data()
    data.setup("fit")
    train = data.images("train")
    return data.on_after_batch_transfer((train.images, train.labels), 0)


def _colours(generator: torch.Generator, count: int = 512) -> tuple[Tensor, Tensor]:
    channels, side = IMAGES["colour"]
    labels = torch.randint(CLASSES, (count,), generator=generator)
    means = torch.randn(CLASSES, channels, 1, 1, generator=generator)
    noise = torch.randn(count, channels, side // 4, side // 4, generator=generator)
    smooth = nn.functional.interpolate(noise, size=(side, side), mode="bilinear")
    return means[labels] + smooth + 0.1 * torch.randn(count, channels, side, side, generator=generator), labels
