"""Optimizers whose weights differ between training and evaluation, such as Schedule-Free."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer


class OptimizerPhases(pl.Callback):
    """Switches optimizers that have ``train()`` and ``eval()``.

    They go back to training only when the next batch begins, so that a checkpoint taken after an evaluation holds the
    weights that were evaluated; the optimizer's state says so, and finds its way back.

    Source: Defazio et al. 2024, "The Road Less Scheduled".
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Train."""
        _switch(trainer, "train")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate."""
        _switch(trainer, "eval")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the weights that are meant to be used."""
        _switch(trainer, "eval")


def switch_phase(optimizer: Optimizer, phase: str) -> None:
    """Call an optimizer's ``train`` or ``eval``, if it has them.

    Before its first step there is nothing to switch to, and some fail.
    """
    switch = getattr(optimizer, phase, None)
    if callable(switch) and (phase == "train" or optimizer.state):
        switch()


def _switch(trainer: pl.Trainer, phase: str) -> None:
    for optimizer in trainer.optimizers:
        switch_phase(optimizer, phase)
