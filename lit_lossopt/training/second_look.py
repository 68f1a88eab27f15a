"""A second look at the batches of a step, behind it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.diagnostics.looking import HasTrainingImages, apart, buffers_kept, draw_examples
from lit_lossopt.diagnostics.step_view import Losses
from lit_lossopt.losses.checks import evaluating

Batch = tuple[Tensor, Tensor]


@runtime_checkable
class HasBatchLoss(Protocol):
    """A module whose loss can be computed again."""

    network: nn.Module
    criterion: nn.Module
    seed: int

    @property
    def begins_run(self) -> bool:
        """Whether a checkpoint's weights begin a run of their own."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of outputs ``[N, M]`` for labels ``[N]``."""

    def loss_of_batch(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a batch with the dropout of its number."""


class SecondLook:
    """Computes losses anew without a trace in training.

    Args:
        trainer: with the data and the precision.
        module: as it is behind the step.
        batches: those of the step, each with its number since the run began.
        images: of the fixed set.

    Attributes:
        batch_size: of the last batch, without one example where their number is odd.
    """

    def __init__(
        self, trainer: pl.Trainer, module: pl.LightningModule, batches: list[tuple[Batch, int]], images: int
    ) -> None:
        self.trainer = trainer
        self.images = images
        self.module = module
        self.given = batches
        self.batch_size = len(batches[-1][0][1]) // 2 * 2 if batches else 0

    def batches(self) -> Losses:
        """Yield the loss of each batch of the step, with its own dropout."""
        yield from self._losses(self.given)

    def halves(self) -> Losses:
        """Yield the losses of the halves of the last batch."""
        # A norm needs two images.
        if self.batch_size >= 4:
            (images, labels), number = self.given[-1]
            half = self.batch_size // 2
            parts = slice(half), slice(half, 2 * half)
            yield from self._losses([((images[part], labels[part]), number) for part in parts])

    def fixed_loss(self) -> Tensor:
        """Return the loss of fixed training images, those of the probe, in evaluation mode."""
        data, module = self.trainer.datamodule, self.module  # type: ignore[attr-defined]  # set by fit
        if not isinstance(data, HasTrainingImages) or not isinstance(module, HasBatchLoss):
            raise TypeError("data whose training images cannot be drawn have no fixed images")
        examples = draw_examples(data, self.images)
        batch = examples.images.to(module.device), examples.labels.to(module.device)
        precision = self.trainer.precision_plugin
        # The fast kernels of attention cannot be differentiated twice.
        twice = sdpa_kernel(SDPBackend.MATH)
        with apart(data.seed, module.device), evaluating(module), precision.forward_context(), twice:
            images, labels = data.on_after_batch_transfer(batch, 0)
            return module.loss(module(images), labels)

    def start(self, length: int) -> Tensor:
        """Return a random vector, a function of the seed alone."""
        generator = torch.Generator().manual_seed(derive_seed(int(getattr(self.module, "seed", 0)), "eigenvector"))
        return torch.randn(length, generator=generator).to(self.module.device)

    def _losses(self, batches: list[tuple[Batch, int]]) -> Losses:
        module = self.module
        assert isinstance(module, HasBatchLoss)
        # Running statistics get their values back only when the caller has taken its gradients.
        with apart(0, module.device), buffers_kept(module):
            for batch, number in batches:
                with torch.enable_grad(), self.trainer.precision_plugin.forward_context():
                    loss = module.loss_of_batch(batch, number)
                yield loss
