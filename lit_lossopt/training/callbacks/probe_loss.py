"""The loss of a fixed set of training images.

It is measured at pairs of consecutive steps and says whether each step lowers it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import torch
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.looking import Examples, HasTrainingImages, apart, draw_examples, settled_time
from lit_lossopt.losses.checks import evaluating
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.probe_schedule import probe_steps
from lit_lossopt.training.training_length import accumulation, planned_length

OFF = "--probe.images=0 leaves it out"


@runtime_checkable
class HasLoss(Protocol):
    """A module with one loss.

    It says whether it begins a run of its own from a checkpoint.
    """

    @property
    def begins_run(self) -> bool:
        """Whether a checkpoint's weights begin a run of their own."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of outputs ``[N, M]`` for labels ``[N]``."""


class ProbeLoss(pl.Callback):
    """Logs ``train/probe_loss`` of a fixed set of training images.

    At step n it is the loss after n optimizer steps.

    The images are drawn from the seed alone, so that all arms of a seed have the same. They are neither augmented nor
    mixed, and the network is in evaluation mode. Its weights are those that training uses; Schedule-Free optimizers
    evaluate others, which are not looked at. When it is measured: ``lit_lossopt.training.probe_schedule``.

    It changes nothing in training: no weight, no running statistic, no module's mode, no random number. It takes as
    many images at once as a training batch has. The first of several devices measures alone. It stands behind the
    callback that switches optimizers to training and before the one that saves, so that a checkpoint of step n is
    saved after the probe of step n.

    Args:
        images: training images whose loss is looked at beside training; 0: none.

    Raises:
        UserError: fewer than none.
    """

    def __init__(self, images: int = 256) -> None:
        if images < 0:
            raise UserError(f"probe.images={images}: must be at least 0, where 0 switches the probe loss off")
        self.images = images
        self._step_values: StepValues | None = None
        self._state: dict[str, int] = {"first": -1, "measured": -1, "next": -1, "images": 0}
        self._steps: Iterator[int] = iter(())
        self._next: int | None = None
        self._looked = -1
        # The other half of a pair that was begun under other settings.
        self._half = -1
        self._examples: tuple[Tensor, Tensor] | None = None

    def join(self, step_values: StepValues) -> None:
        """Take what the values go to."""
        self._step_values = step_values

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint.

        It is the run's first step, the last one measured, the next one, and the number of images.
        """
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._state |= state_dict

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plan the steps that are to come, and draw the images."""
        step, data, state = trainer.global_step, trainer.datamodule, self._state  # type: ignore[attr-defined]  # set by fit
        if isinstance(pl_module, HasLoss) and pl_module.begins_run:
            state |= {"first": step, "measured": -1, "next": -1, "images": 0}
        if state["first"] < 0:
            state["first"] = step
        self._looked, self._half = -1, state["next"] if state["measured"] == step == state["next"] - 1 else -1
        self._next = None
        if not (self.images and trainer.is_global_zero and trainer.loggers and isinstance(data, HasTrainingImages)):
            return
        examples: Examples = draw_examples(data, self._of_this_run())
        # Once: a step then copies none of them.
        self._examples = examples.images.to(pl_module.device), examples.labels.to(pl_module.device)
        planned = planned_length(trainer, trainer.num_training_batches).steps
        batches = min(accumulation(trainer).values())
        self._steps = probe_steps(
            data.seed, planned, data.batch_size * batches, len(examples), min(state["first"], step)
        )
        self._next = next(self._steps, None)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Measure where training begins.

        By now the optimizer has the weights that it trains.
        """
        self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure behind a step, if it is one of the planned."""
        self._look(trainer, pl_module)

    def _of_this_run(self) -> int:
        """Return the number of images.

        A run that goes on keeps those it began with. Otherwise its curve would be of two.
        """
        begun_with = self._state["images"]
        if begun_with not in (0, self.images):
            print(
                f"lossopt: probe.images={self.images}: this run began with {begun_with} and keeps that number",
                file=sys.stderr,
            )
        self._state["images"] = begun_with or self.images
        return self._state["images"]

    def _look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        step = trainer.global_step
        if step == self._looked or self._next is None:
            return
        self._looked = step
        while self._next is not None and self._next < step:
            self._next = next(self._steps, None)
        if step != self._state["measured"] and step in (self._next, self._half):
            self._measure(trainer, module, step)
            self._next = next(self._steps, None) if self._next == step else self._next
            self._state |= {"measured": step, "next": -1 if self._next is None else self._next}

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        if self._step_values is None:
            return
        started = settled_time(module.device)
        try:
            value = self._loss(trainer, module)
        except Exception as error:
            error.add_note(f"met while the probe loss of step {step} was measured; {OFF}")
            raise
        self._step_values.add(names.PROBE_LOSS, value, step)
        self._step_values.paused_seconds += settled_time(module.device) - started

    def _loss(self, trainer: pl.Trainer, module: pl.LightningModule) -> Tensor:
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        assert self._examples is not None
        assert isinstance(module, HasLoss)
        images, labels = self._examples
        parts = math.ceil(len(labels) * trainer.world_size / data.batch_size)
        outputs, targets = [], []
        with (
            apart(data.seed, module.device),
            torch.no_grad(),
            evaluating(module),
            trainer.precision_plugin.forward_context(),
        ):
            for batch in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
                values, own = data.on_after_batch_transfer(batch, 0)
                outputs.append(module(values))
                targets.append(own)
            # Once for all: a mean of means would not do for a loss that weighs classes.
            return module.loss(torch.cat(outputs), torch.cat(targets))
