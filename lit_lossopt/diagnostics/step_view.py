"""One step of training, as diagnostics look at it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_lossopt.diagnostics.activations import ActivationWatch
from lit_lossopt.diagnostics.gradient_flow import norm
from lit_lossopt.diagnostics.layers import Layers

Losses = Generator[Tensor, None, None]


@dataclass(frozen=True)
class Behind:
    """The step's own batch with the weights behind the step.

    Attributes:
        loss: its mean loss.
        gradients: of the parameters.
        shares: (quantity, layer) → share of idle units.
    """

    loss: Tensor
    gradients: list[Tensor]
    shares: dict[tuple[str, str], Tensor]


@dataclass
class StepView:
    """A step that was just taken, and ways to look again.

    What is computed again has the dropout of the step, and leaves weights, gradients, running statistics and random
    streams as they were. That is up to whoever gives the functions.

    Attributes:
        layers: the trainable parameters, which hold the weights behind the step.
        before: the weights before the step, in the order of the parameters.
        used_gradients: those that the step used, before any clipping. None where a parameter has none.
        missing: what they are to be multiplied by, to be those of the mean over the step's batches.
        all_layers: also those that do not train.
        loss: of the step's batch before the step.
        optimizer: with its state behind the step.
        batches: yields the loss of each batch of the step, computed anew.
        halves: yields the losses of the two halves of the step's last batch, or nothing where it has no halves.
        batch_size: examples of those halves together.
        fixed_loss: returns the loss of a fixed set of images in evaluation mode.
        start: returns a vector of so many values, with which the search for an eigenvalue begins.
    """

    layers: Layers
    before: list[Tensor]
    used_gradients: list[Tensor | None]
    missing: float
    all_layers: Layers
    loss: Tensor
    optimizer: Optimizer
    batches: Callable[[], Losses]
    halves: Callable[[], Losses]
    batch_size: int
    fixed_loss: Callable[[], Tensor]
    start: Callable[[int], Tensor]

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters of the layers."""
        return [parameter for own in self.layers.values() for parameter in own]

    @cached_property
    def gradients(self) -> list[Tensor]:
        """The gradients that the step used, zero where a parameter has none."""
        pairs = zip(self.used_gradients, self.parameters, strict=True)
        return [torch.zeros_like(p) if gradient is None else gradient for gradient, p in pairs]

    @cached_property
    def used_parameters(self) -> list[nn.Parameter]:
        """The parameters of which the step used a gradient."""
        return [p for p, gradient in zip(self.parameters, self.used_gradients, strict=True) if gradient is not None]

    @cached_property
    def idle(self) -> set[str]:
        """The layers of which the step used no gradient."""
        used = iter(self.used_gradients)
        return {name for name, own in self.layers.items() if not [1 for _ in own if next(used) is not None]}

    @cached_property
    def update(self) -> list[Tensor]:
        """Weights behind the step less those before it."""
        return [new.detach() - old for new, old in zip(self.parameters, self.before, strict=True)]

    @cached_property
    def length(self) -> Tensor:
        """‖Δw‖."""
        return norm(self.update)

    @cached_property
    def behind(self) -> Behind:
        """The step's batch, looked at again."""
        losses, sums, watch = [], [torch.zeros_like(p) for p in self.parameters], ActivationWatch(self.all_layers)
        # Closed here whatever happens, so that random streams and buffers are as before.
        with closing(self.batches()) as batches:
            while True:
                with watch:
                    loss = next(batches, None)
                if loss is None:
                    break
                losses.append(loss.detach())
                torch._foreach_add_(sums, self.gradients_of(loss))  # as torch's own optimizers do
        torch._foreach_div_(sums, len(losses))
        return Behind(torch.stack(losses).mean(), sums, watch.shares)

    def gradients_of(self, loss: Tensor) -> list[Tensor]:
        """Return the gradients of a loss, zero where a parameter has none."""
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, self.parameters, strict=True)]

    def by_layer(self, tensors: Sequence[Tensor]) -> Iterator[tuple[str, list[Tensor]]]:
        """Yield each layer's name and its share of tensors, which are in the order of the parameters."""
        rest = iter(tensors)
        for name, own in self.layers.items():
            yield name, [next(rest) for _ in own]
