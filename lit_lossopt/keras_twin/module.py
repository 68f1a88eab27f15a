"""A LightningModule whose steps are made by TensorFlow.

Everything around the steps is that of ``fit``, such as the order of the data, the initial weights, schedules,
evaluations, checkpoints and the record.
"""

from __future__ import annotations

from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn import functional

from lit_lossopt.core.errors import UserError
from lit_lossopt.keras_twin.clip import clip_of
from lit_lossopt.keras_twin.engine import TwinEngine, settings_of, sizes_of
from lit_lossopt.keras_twin.losses import counterpart_of as loss_counterpart
from lit_lossopt.keras_twin.optimizers import counterpart_of as optimizer_counterpart
from lit_lossopt.keras_twin.settings import TwinSettings
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.training.dropout import seed_dropout
from lit_lossopt.training.loop_state import batch_number
from lit_lossopt.training.module import Batch, LossOptModule
from lit_lossopt.training.step_output import TrainingOutput

# Of a checkpoint: what Keras' optimizer remembers.
KERAS_KEY = "lossopt_keras"
# Schedules that move the momentum, too.
_MOVE_MOMENTUM = ("OneCycleLR", "CyclicLR")


class TwinModule(LossOptModule):
    """Trains MiniCNN in TensorFlow. Its torch network holds the weights whenever somebody looks at them.

    Attributes:
        grad_norm: norm of the last step's gradient.
    """

    framework = "tensorflow"
    settings = TwinSettings()
    grad_norm = float("nan")
    _engine: TwinEngine | None = None
    _soft = False
    _behind = False
    _kept_state: list[Tensor] | None = None

    def follow(self, settings: TwinSettings, trainer: pl.Trainer, *, soft: bool) -> None:
        """Take how torch is followed, and refuse what cannot be.

        Args:
            settings: how torch is followed.
            trainer: of the training.
            soft: whether images are mixed.

        Raises:
            UserError: network, loss, optimizer, schedule or Trainer do something that has no counterpart.
        """
        self.settings, self._soft = settings, soft
        sizes_of(self.network)
        loss_counterpart(self.criterion, soft=soft)
        optimizer = self.new_optimizer()
        optimizer_counterpart(type(optimizer).__name__, settings_of(optimizer), by_torch=settings.rule == "torch")
        schedule = type(self.schedule.made_for(optimizer)).__name__
        if schedule in _MOVE_MOMENTUM:
            raise UserError(f"twin: model.lr_scheduler={schedule}: it moves the momentum, which the twin leaves alone")
        if self.frozen_epochs or self.backbone_lr_factor != 1:
            raise UserError("twin: model.frozen_epochs and model.backbone_lr_factor are for networks with a backbone")
        if trainer.accumulate_grad_batches != 1 or trainer.world_size != 1 or str(trainer.precision) != "32-true":
            raise UserError(
                "twin: it takes one device, each batch for a step and 32-bit numbers; leave out trainer.devices, "
                "trainer.accumulate_grad_batches and trainer.precision"
            )

    def on_fit_start(self) -> None:
        """Build the twin, with the weights of now."""
        self._engine = TwinEngine(
            self.network,
            self.criterion,
            self.contract,
            self.new_optimizer(),
            self.image_size,
            self.settings,
            decay_biases=self.decay_biases,
            clip=clip_of(self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm),
            soft=self._soft,
            seed=self.seed,
        )
        if self._kept_state is not None:
            self._engine.steps.set_optimizer_state([value.numpy() for value in self._kept_state])

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs ``[N, M]`` for normalised images ``[N, C, H, W]``."""
        return self._engine.outputs(images) if self._engine is not None else super().forward(images)

    def training_step(self, batch: Batch, batch_idx: int) -> TrainingOutput:
        """Make a step in TensorFlow. Return the loss before it."""
        assert self._engine is not None
        images, labels = batch
        number = batch_number(self.trainer)
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        loss, self.grad_norm = self._engine.step(images, labels, rate, number, self._mask(number, len(images)))
        self._behind = True
        value = torch.tensor(loss)
        return TrainingOutput(loss=value, loss_before=value)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Do nothing. The step is made, and torch's optimizer finds no gradients."""

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing. Gradients are clipped where they are computed."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state, with the weights of now."""
        self.look()
        return super().state_dict(*args, **kwargs)

    def look(self) -> None:
        """Let the torch network have the weights of now."""
        if self._engine is not None and self._behind:
            self._engine.copy_weights_to(self.network)
            self._behind = False

    def on_train_end(self) -> None:
        """Leave the trained weights in the torch network."""
        self.look()
        super().on_train_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Keras' optimizer remembers."""
        super().on_save_checkpoint(checkpoint)
        if self._engine is not None:
            checkpoint[KERAS_KEY] = [torch.from_numpy(value) for value in self._engine.steps.optimizer_state()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what Keras' optimizer remembered, unless the optimizer begins afresh."""
        super().on_load_checkpoint(checkpoint)
        afresh = self.continuation is not None and self.continuation.optimizer_afresh
        self._kept_state = None if afresh else checkpoint.get(KERAS_KEY)

    def _mask(self, number: int, images: int) -> Tensor | None:
        """Return what torch would multiply the hidden units of a batch by, if that is asked for."""
        network = cast("MiniCNN", self.network)
        probability = network.dropout.p
        if self.settings.dropout == "own" or not probability:
            return None
        seed_dropout(self.seed, number, self.global_rank, self.device)
        return functional.dropout(torch.ones(images, network.linear1.out_features), probability)
