"""The twin of a torch module: its network, loss and optimizer in Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_lossopt.core.errors import UserError
from lit_lossopt.keras_twin.clip import Clip
from lit_lossopt.keras_twin.framework import precision
from lit_lossopt.keras_twin.losses import KerasLoss
from lit_lossopt.keras_twin.network import KerasMiniCNN, Sizes
from lit_lossopt.keras_twin.optimizers import by_torch_rule, matched
from lit_lossopt.keras_twin.settings import TwinSettings
from lit_lossopt.keras_twin.step import Steps, l2
from lit_lossopt.losses import LossContract
from lit_lossopt.networks.mini_cnn import MiniCNN

Array = NDArray[Any]


def sizes_of(network: nn.Module) -> Sizes:
    """Return the sizes of a MiniCNN.

    Raises:
        UserError: it is another network.
    """
    if type(network) is not MiniCNN:
        raise UserError(f"twin: model.network={type(network).__name__}: the twin has MiniCNN only")
    hidden, flattened = network.linear1.weight.shape
    side = int((flattened // network.conv2.out_channels) ** 0.5)
    return Sizes(
        in_channels=network.conv1.in_channels,
        # Pooling rounds down. What it leaves out of an odd size is not seen by the weights.
        image_size=4 * side,
        num_outputs=network.linear2.out_features,
        channels=(network.conv1.out_channels, network.conv2.out_channels),
        hidden=hidden,
        dropout=network.dropout.p,
    )


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return the settings of an optimizer's groups, those of its first if groups differ in weight decay."""
    group = max(optimizer.param_groups, key=lambda one: one.get("weight_decay") or 0.0)
    return {name: value for name, value in group.items() if name not in ("params", "name")}


class TwinEngine:
    """Steps in TensorFlow for a torch module, with arrays of torch going in and out.

    Args:
        network: MiniCNN, whose weights it begins with.
        criterion: the loss.
        contract: of the loss.
        optimizer: in torch, whose settings it takes.
        image_size: height and width of the images in pixels.
        settings: how it follows torch.
        decay_biases: whether weight decay acts on biases.
        clip: limit of gradients, and whether by ``norm`` or ``value``; None: none.
        soft: whether labels come as rows of probabilities.
        seed: of dropout.
        dtype: of everything, ``float32`` or ``float64``.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: nn.Module,
        contract: LossContract,
        optimizer: Optimizer,
        image_size: int,
        settings: TwinSettings = TwinSettings(),  # noqa: B008  # frozen
        *,
        decay_biases: bool = True,
        clip: Clip | None = None,
        soft: bool = False,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        sizes = replace(sizes_of(network), image_size=image_size)
        self.loss = KerasLoss(criterion, contract, dtype, soft=soft)
        self.num_outputs = sizes.num_outputs
        labels = torch.zeros(1, max(2, sizes.num_outputs)) if soft else torch.zeros(1, dtype=torch.long)
        make = by_torch_rule if settings.rule == "torch" else matched
        with precision(dtype):
            update = make(type(optimizer).__name__, settings_of(optimizer), decay_biases=decay_biases, clip=clip)
            self.steps = Steps(
                KerasMiniCNN(sizes, dtype, l2(update.kernel_decay), l2(update.bias_decay)),
                self.loss,
                update,
                self.loss.targets(labels, sizes.num_outputs),
                dropout=sizes.dropout,
                seed=seed,
            )
        self.steps.set_weights({key: value.detach().numpy() for key, value in network.state_dict().items()})

    def step(self, images: Tensor, labels: Tensor, rate: float | None = None, number: int = 0,
             kept: Tensor | None = None) -> tuple[float, float]:  # fmt: skip
        """Make one step. Return the loss before it and the norm of the gradient.

        Args:
            images: ``[N, C, H, W]``, normalised.
            labels: ``[N]``, or ``[N, K]`` where images are mixed.
            rate: learning rate.
            number: of the batch since the run began.
            kept: mask of the hidden units; None: dropout is drawn by TensorFlow.
        """
        targets = self.loss.targets(labels, self.num_outputs)
        return self.steps(channels_last(images), targets, rate, number, None if kept is None else kept.numpy())

    def outputs(self, images: Tensor) -> Tensor:
        """Return the outputs ``[N, M]`` for images ``[N, C, H, W]``."""
        return torch.from_numpy(self.steps.outputs(channels_last(images)))

    def copy_weights_to(self, network: nn.Module) -> None:
        """Give a torch MiniCNN the weights of now."""
        state: Mapping[str, Tensor] = network.state_dict()
        with torch.no_grad():
            for name, value in self.steps.weights().items():
                state[name].copy_(torch.from_numpy(value))


def channels_last(images: Tensor) -> Array:
    """Return images ``[N, H, W, C]`` as an array. Images that lie so in memory are not copied."""
    return np.ascontiguousarray(images.detach().permute(0, 2, 3, 1).numpy())
