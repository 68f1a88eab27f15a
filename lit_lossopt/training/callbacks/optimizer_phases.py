"""Optimizers whose weights differ between training and evaluation, such as Schedule-Free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from lit_lossopt.diagnostics.batch_statistics import norms_in_training, recompute, set_statistics, statistics_of
from lit_lossopt.diagnostics.looking import HasTrainingImages, apart, draw_examples
from lit_lossopt.losses.checks import evaluating

# Batches of training images from which the statistics of norms are computed anew.
BATCHES = 16


class OptimizerPhases(pl.Callback):
    """Switches optimizers that have ``train()`` and ``eval()``.

    They go back to training only when the next batch begins, so that a checkpoint taken after an evaluation holds the
    weights that were evaluated; the optimizer's state says so, and finds its way back.

    The weights that are evaluated were never trained with. So batch norms get statistics of their own for them, from
    training images that the seed alone decides, without augmentation. Those of training are kept, also in checkpoints,
    and come back with the next batch.

    Source: Defazio et al. 2024, "The Road Less Scheduled".
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}
        self._trains = False
        self._norms: dict[str, _BatchNorm] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics of training, while the network has those of evaluation."""
        return {"statistics": self._kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them."""
        self._kept = dict(state_dict["statistics"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Train."""
        for optimizer in trainer.optimizers:
            switch_phase(optimizer, "train")
        if self._kept:
            set_statistics(pl_module, self._kept)
            self._kept = {}
        self._trains = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note which norms gather statistics: a validation begins with all of them in evaluation mode."""
        if self._norms is None:
            self._norms = norms_in_training(pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate."""
        self._evaluate(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the weights that are meant to be used."""
        self._evaluate(trainer, pl_module)

    def _evaluate(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            switch_phase(optimizer, "eval")
        if self._trains and any(has_phases(optimizer) and optimizer.state for optimizer in trainer.optimizers):
            self._renew_statistics(trainer, module)
        self._trains, self._norms = False, None

    def _renew_statistics(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        if not self._norms or not isinstance(data, HasTrainingImages):
            return
        self._kept = statistics_of(self._norms)
        with apart(data.seed, module.device), evaluating(module), trainer.precision_plugin.forward_context():
            recompute(module, list(self._norms.values()), _training_images(data, module))


def _training_images(data: HasTrainingImages, module: nn.Module) -> Iterator[Tensor]:
    """Yield batches of training images, normalised, on the network's device."""
    # One image alone has no variance.
    size = max(2, data.batch_size)
    examples = draw_examples(data, BATCHES * size)
    device = next(module.parameters()).device
    batches = (torch.split(part, size) for part in (examples.images, examples.labels))
    for images, labels in zip(*batches, strict=True):
        if len(images) > 1:
            yield data.on_after_batch_transfer((images.to(device), labels.to(device)), 0)[0]


def has_phases(optimizer: Optimizer) -> bool:
    """Return whether an optimizer trains other weights than it evaluates."""
    return all(callable(getattr(optimizer, phase, None)) for phase in ("train", "eval"))


def switch_phase(optimizer: Optimizer, phase: str) -> None:
    """Call an optimizer's ``train`` or ``eval``, if it has them.

    Before its first step there is nothing to switch to, and some fail.
    """
    switch = getattr(optimizer, phase, None)
    if callable(switch) and (phase == "train" or optimizer.state):
        switch()
