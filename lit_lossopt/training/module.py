"""LossOptModule, which is a network, a loss and an optimizer.

They are one LightningModule. Each is free to change alone.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LRSchedulerCallable, ReduceLROnPlateau
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import Tensor, nn

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, described
from lit_lossopt.core.names import CONFIG_KEY, CRITERION_KEY, STATE_KEY, TRUNK_KEY, WEIGHTS_KEY
from lit_lossopt.core.quiet import without_warnings
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.losses import contract_of, loss_of, predicted_classes
from lit_lossopt.losses.checks import check_first_batch, evaluating
from lit_lossopt.networks.backbone import Backbone, check_backbone
from lit_lossopt.networks.mini_cnn import MiniCNN, NetworkFactory, build_network
from lit_lossopt.networks.pretrained_weights import are_read
from lit_lossopt.optimizers import OptimizerCallable, build_optimizer
from lit_lossopt.optimizers.schedule_plan import SchedulePlan
from lit_lossopt.training.branch import begin_with
from lit_lossopt.training.compilation import BatchLoss
from lit_lossopt.training.continuation import Continuation
from lit_lossopt.training.distributed.collectives import from_first
from lit_lossopt.training.dropout import seed_dropout
from lit_lossopt.training.fused import fused
from lit_lossopt.training.loop_state import batch_number, epoch_of
from lit_lossopt.training.metrics import Yardsticks
from lit_lossopt.training.step_output import Predictions, TrainingOutput
from lit_lossopt.training.training_length import length_behind

Batch = tuple[Tensor, Tensor]


class LossOptModule(pl.LightningModule):
    """Trains a classifier of images.

    It takes any loss, any optimizer and any schedule.

    Args:
        network: makes the network; those of ``in_channels``, ``image_size``, ``num_outputs`` that it takes are filled
            in. Default: MiniCNN.
        criterion: the loss, under its contract in ``lit_lossopt.losses``. Default: CrossEntropyLoss.
        optimizer: makes the optimizer from parameter groups. Default: Adam, lr 1e-3.
        lr_scheduler: makes the schedule from the optimizer. Default: a constant rate.
        lr_scheduler_interval: whether the schedule counts epochs or steps.
        lr_warmup: epochs or steps (the schedule's unit) of linear warm-up in front of the schedule.
        decay_biases: whether weight decay also acts on biases and norms, as torch does by itself.
        frozen_epochs: first epochs in which only the network's head learns.
        weights: the run whose weights the network begins with, as ``RUN@STEP``, or a checkpoint file. The head begins
            afresh. Default: weights from the seed.
        backbone_lr_factor: the learning rate of everything in front of the head, as a multiple of the head's.
        num_classes: number of classes K (from the data).
        in_channels: channels of the images (from the data).
        image_size: height and width of the images in pixels (from the data).
        seed: fixes initial weights and dropout; runs that share it are paired.

    Raises:
        ValueError: the loss has no contract, the network or optimizer refuses its arguments, or a network without a
            head is to be frozen in front of it.
    """

    # What makes the steps.
    framework = "pytorch"
    # What training leaves, and what a checkpoint brings.
    best_val_accuracy = 0.0
    plateau: ReduceLROnPlateau | None = None
    continuation: Continuation | None = None
    compiled_loss: BatchLoss | None = None
    _run_config = ""
    _plateau_state: dict[str, Any] | None = None
    _checked, _trained_steps = False, 0
    _first_loss: Tensor | None = None

    def __init__(
        self,
        network: NetworkFactory | None = None,
        criterion: nn.Module | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        lr_warmup: int = 0,
        decay_biases: bool = True,
        frozen_epochs: int = 0,
        backbone_lr_factor: float = 1.0,
        weights: str | None = None,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.contract = contract_of(self.criterion)
        self.num_classes = num_classes
        self.image_size = image_size
        self.seed = int(seed)
        torch.manual_seed(derive_seed(seed, "weights"))
        self.network = build_network(
            network or functools.partial(MiniCNN),
            in_channels=in_channels,
            image_size=image_size,
            num_outputs=self.contract.num_outputs(num_classes),
        ).to(memory_format=torch.channels_last)
        # What the weights of another run are, in words that do not depend on the seed.
        self.weights_from = begin_with(self.network, weights, image_size) if weights and are_read() else ""
        self.make_optimizer = optimizer or functools.partial(torch.optim.Adam, lr=1e-3)
        self.schedule = SchedulePlan(lr_scheduler, lr_scheduler_interval, lr_warmup)
        self.decay_biases = decay_biases
        check_backbone(frozen_epochs, backbone_lr_factor)
        self.frozen_epochs, self.backbone_lr_factor = frozen_epochs, backbone_lr_factor
        self.backbone = Backbone(self.network) if frozen_epochs or backbone_lr_factor != 1 else None
        self.val_yardsticks, self.test_yardsticks = Yardsticks(num_classes), Yardsticks(num_classes)
        self.confusion: dict[str, Tensor] = {}

    def go_on(self, continuation: Continuation) -> None:
        """Take note of the checkpoint that training goes on from."""
        self.continuation = continuation

    def keep_config(self, config: str) -> None:
        """Take the resolved config, which stands in every checkpoint."""
        self._run_config = config

    @property
    def begins_run(self) -> bool:
        """Whether a checkpoint's weights begin a run of their own, which has its own best accuracy."""
        return self.continuation is not None and self.continuation.begins_run

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs ``[N, M]`` for normalised images ``[N, C, H, W]``."""
        outputs: Tensor = self.network(images.to(self.dtype))
        return outputs

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of outputs ``[N, M]``.

        Labels are ``[N]``, or ``[N, K]`` where images are mixed.
        """
        return loss_of(self.criterion, self.contract, outputs, labels)

    def new_optimizer(
        self, network: nn.Module | None = None, criterion: nn.Module | None = None, **more: Any
    ) -> torch.optim.Optimizer:
        """Return a fresh optimizer of network and loss.

        It has their parameter groups, or those of copies of them.

        Args:
            network: a copy of the network; None: the network itself.
            criterion: a copy of the loss; None: the loss itself.
            **more: arguments in place of those that were set.
        """
        return build_optimizer(
            functools.partial(self.make_optimizer, **more),
            network or self.network,
            criterion or self.criterion,
            decay_biases=self.decay_biases,
            backbone_lr_factor=self.backbone_lr_factor,
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, if there is one, its schedule."""
        optimizer = fused(self.new_optimizer(), self.device)
        scheduler = self.schedule.made_for(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            # Stepped by PlateauSchedule.
            self.plateau = scheduler
            if self._plateau_state:
                scheduler.load_state_dict(self._plateau_state)
        if scheduler is None or self.plateau:
            return optimizer
        schedule: dict[str, Any] = {"scheduler": scheduler, "interval": self.schedule.unit}
        return {"optimizer": optimizer, "lr_scheduler": cast("LRSchedulerConfigType", schedule)}

    def on_train_start(self) -> None:
        """Give a training that has become longer its own rates."""
        self.schedule.set_rates(self.trainer.optimizers[0])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Look at the first batch before learning from it."""
        self._first_loss = None
        if not self._checked:
            try:
                self.check_batch(batch)
            except ValueError as error:
                raise UserError(str(error)) from error
            self._checked = True
        if self.backbone is not None:
            # At each step: an epoch that training resumes in the middle of has no start.
            self.backbone.freeze(frozen=epoch_of(self.trainer) < self.frozen_epochs)

    def on_train_end(self) -> None:
        """Let go of a backbone that was frozen to the end."""
        if self.backbone is not None:
            self.backbone.freeze(frozen=False)

    def training_step(self, batch: Batch, batch_idx: int) -> TrainingOutput:
        """Return the loss of a batch, and that when the step began.

        LBFGS looks at a batch several times.
        """
        loss = self.loss_of_batch(batch, batch_number(self.trainer), self.compiled_loss)
        if self._first_loss is None:
            self._first_loss = loss.detach()
        return TrainingOutput(loss=loss, loss_before=self._first_loss)

    def loss_of_batch(self, batch: Batch, number: int, compiled: BatchLoss | None = None) -> Tensor:
        """Return the loss of a batch, with the dropout of its number.

        Dropout is a function of seed, number and rank. What was drawn before does not matter.

        Args:
            batch: normalised images ``[N, C, H, W]`` and labels ``[N]``, or ``[N, K]`` where images are mixed.
            number: of the batch since the run began, from 0.
            compiled: what computes the loss; None: ``loss_of_images``.
        """
        seed_dropout(self.seed, number, self.global_rank, self.device)
        return (compiled or self.loss_of_images)(*batch)

    def loss_of_images(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of normalised images ``[N, C, H, W]``, which is what a compiled step compiles."""
        return self.loss(self(images), labels)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation metrics."""
        self._evaluate(self.val_yardsticks, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test metrics."""
        self._evaluate(self.test_yardsticks, batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Predictions:
        """Return predicted classes ``[N]`` and probabilities ``[N, K]``.

        The probabilities are there where the loss implies them.
        """
        outputs = self(batch[0]).float()
        implied = self.contract.probabilities
        return Predictions(classes=predicted_classes(outputs), probabilities=implied(outputs) if implied else None)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics at the step that they belong to.

        Step 0 is included.
        """
        values = self._conclude(names.VAL, self.val_yardsticks)
        if not self.trainer.sanity_checking:
            accuracy = names.metric(names.VAL, "accuracy")
            self.best_val_accuracy = max(self.best_val_accuracy, values[accuracy])
            values[names.BEST_VAL_ACCURACY] = self.best_val_accuracy
            self.log_dict(values, logger=False)
        self._send(values)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        values = self._conclude(names.TEST, self.test_yardsticks)
        self.log_dict(values, logger=False)
        self._send(values)

    def check_batch(self, batch: Batch) -> None:
        """Try a batch without learning from it.

        A misfit is then said before a run exists.

        Args:
            batch: normalised images ``[N, C, H, W]`` and labels ``[N]``, or ``[N, K]`` where images are mixed.

        Raises:
            ValueError: the network refuses the images, or its outputs do not suit the loss.
        """
        images, labels = batch
        # Training says again what is to be warned of.
        with evaluating(self.network, self.criterion), torch.no_grad(), without_warnings():
            try:
                outputs = self(images)
            except Exception as error:
                name = type(self.network).__name__
                raise ValueError(f"model.network={name} fails on a first batch: {described(error)}") from error
            check_first_batch(self.criterion, self.contract, outputs, labels, self.num_classes)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the loss's name, the config, and the state that a resumed run needs."""
        checkpoint[CRITERION_KEY] = type(self.criterion).__name__
        checkpoint[CONFIG_KEY] = self._run_config
        trunk = self.continuation.trunk if self.continuation is not None else ""
        checkpoint |= {key: words for key, words in ((TRUNK_KEY, trunk), (WEIGHTS_KEY, self.weights_from)) if words}
        checkpoint[STATE_KEY] = {
            "best_val_accuracy": self.best_val_accuracy,
            "plateau": self.plateau.state_dict() if self.plateau else None,
            "schedule": self.schedule.state_dict(),
            "confusion": self.confusion.get(names.VAL),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that another loss trained.

        Their outputs mean something else.

        Raises:
            UserError: the losses differ.
        """
        self._trained_steps = checkpoint["global_step"]
        self.weights_from = checkpoint.get(WEIGHTS_KEY, self.weights_from)
        state = checkpoint.get(STATE_KEY, {})
        if not self.begins_run:
            self.best_val_accuracy = state.get("best_val_accuracy", self.best_val_accuracy)
        self._plateau_state = state.get("plateau")
        if state.get("confusion") is not None:
            self.confusion[names.VAL] = state["confusion"]
        # A loss that is not finite by now has diverged, and is no matter of labels.
        self._checked = True
        afresh = self.continuation is not None and self.continuation.optimizer_afresh
        if self.schedule.planned is not None:
            behind = length_behind(checkpoint).counted_in(self.schedule.unit) or 0
            saved = state.get("schedule", {})
            self.schedule.go_on(checkpoint, saved, behind, afresh=afresh)
        if afresh:
            # Their states hold the settings of then, which would win over those of now.
            checkpoint["optimizer_states"], checkpoint["lr_schedulers"], self._plateau_state = [], [], None
        trained, asked = checkpoint.get(CRITERION_KEY), type(self.criterion).__name__
        if trained not in (None, asked):
            raise UserError(
                f"--ckpt_path: these weights were trained with {trained}, not {asked}; use their run's config.yaml, or "
                f"--model.criterion={trained}"
            )

    def _evaluate(self, yardsticks: Yardsticks, batch: Batch) -> None:
        images, labels = batch
        # A share of a last batch may be empty, which not every network takes.
        if len(labels):
            yardsticks.update(self(images), labels)

    def _conclude(self, split: str, yardsticks: Yardsticks) -> dict[str, float]:
        # The first rank's, to the last bit: schedules and checkpoints are decided by them.
        values, self.confusion[split] = from_first(yardsticks.conclude(self.loss, self.contract.probabilities))
        return {names.metric(split, name): value for name, value in values.items()}

    def _send(self, values: dict[str, float]) -> None:
        # A test counts no steps of its own: its results belong to the step at which the weights were kept.
        step = max(self.trainer.global_step, self._trained_steps)
        for logger in self.loggers:
            logger.log_metrics(values, step=step)
