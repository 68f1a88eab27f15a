"""The norm of the gradient, as TensorFlow computed it."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch

from lit_lossopt.core import names
from lit_lossopt.keras_twin.module import TwinModule
from lit_lossopt.training.callbacks.step_values import StepValues

# As often as the default diagnostics of torch take it.
EVERY = 10


class GradientNorm(pl.Callback):
    """Logs ``train/grad_norm`` of every tenth step.

    Args:
        step_values: takes the values.
    """

    def __init__(self, step_values: StepValues) -> None:
        self.step_values = step_values

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Hand the value on."""
        if isinstance(pl_module, TwinModule) and trainer.global_step % EVERY == 0:
            self.step_values.add(names.GRAD_NORM, torch.tensor(pl_module.grad_norm), trainer.global_step)
