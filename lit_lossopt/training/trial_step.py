"""Steps of training before a run exists.

They are made on copies of network and loss. What does not work together is said now.
"""

from __future__ import annotations

import copy
import functools
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_lossopt.core.errors import UserError, described
from lit_lossopt.core.quiet import without_warnings
from lit_lossopt.losses import loss_of
from lit_lossopt.networks.backbone import Backbone
from lit_lossopt.optimizers.schedule_fit import misfit
from lit_lossopt.optimizers.schedules import WarmUp
from lit_lossopt.training.callbacks.optimizer_phases import switch_phase
from lit_lossopt.training.fused import fused
from lit_lossopt.training.module import Batch, LossOptModule

# Optimizers of other packages may do something else at every tenth step, as Lookahead does at every sixth. Losses and
# networks may keep something from the step before.
STEPS_OF_OPTIMIZER, STEPS_OF_OTHERS, IMAGES = 11, 1, 16
_KNOWN = ("torch.", "torchvision.", "lit_lossopt.")
_NO_VIEW = "view size is not compatible"


class TrialStep:
    """Optimizer, schedule, and copies of network and loss.

    They are on the device and in the precision of the training.

    Args:
        module: what is trained; it is left as it is.
        trainer: how.
        batch: a batch of the training.
    """

    def __init__(self, module: LossOptModule, trainer: pl.Trainer, batch: Batch) -> None:
        self.module, self.trainer = module, trainer
        self.plugin = trainer.precision_plugin
        self._copy()
        device = trainer.strategy.root_device
        self.batch = batch[0].to(device), batch[1].to(device)

    def _copy(self) -> None:
        module, device = self.module, self.trainer.strategy.root_device
        with _blamed(f"model.network={type(module.network).__name__}"):
            self.network = self.plugin.convert_module(copy.deepcopy(module.network).to(device))
        self.loss_key = f"model.criterion={type(module.criterion).__name__}"
        with _blamed(self.loss_key):
            self.criterion = self.plugin.convert_module(copy.deepcopy(module.criterion).to(device))

    def check(self) -> Any:
        """Make the optimizer, its schedule, and steps of each.

        Return the schedule, or None.

        An optimizer that flattens weights as views cannot do so under channels_last: then the network leaves it.

        Raises:
            UserError: they refuse their arguments, each other, or this kind of training.
        """
        try:
            return self._check()
        except UserError as error:
            if _NO_VIEW not in str(error):
                raise
        self.module.network.to(memory_format=torch.contiguous_format)
        self._copy()
        return self._check()

    def _check(self) -> Any:
        with torch.random.fork_rng(), without_warnings():
            optimizer = self.optimizer()
            key = f"model.optimizer={type(optimizer).__name__}"
            with _blamed(key):
                _check_closure(optimizer, self.trainer)
            scheduler = self._scheduler(optimizer)
            with _blamed(key):
                self._train(optimizer)
            if isinstance(scheduler, LRScheduler) and not isinstance(scheduler, ReduceLROnPlateau):
                with _blamed(f"model.lr_scheduler={_name(scheduler)}"):
                    scheduler.step()
        return scheduler

    def misfit(self) -> str:
        """Return what a person should know of the schedule.

        It is about this training. The text may be empty.

        Raises:
            UserError: it would end in an error before the training does.
        """
        length, unit = self.module.schedule.length, self.module.schedule.unit
        with torch.random.fork_rng(), without_warnings():
            optimizer = self.optimizer()
            scheduler = self._scheduler(optimizer)
            notes = [_beside_averages(optimizer)] if scheduler is not None else []
            if length and isinstance(scheduler, LRScheduler) and not isinstance(scheduler, ReduceLROnPlateau):
                follows = self.module.schedule.follows_training
                with _blamed("model.lr_scheduler"):
                    notes.append(misfit(scheduler, optimizer, length, unit, follows=follows))
        return "; ".join(filter(None, notes))

    def optimizer(self, **more: Any) -> Optimizer:
        """Return a fresh optimizer of the copies.

        Args:
            **more: arguments in place of those that were set.

        Raises:
            UserError: it refuses its arguments.
        """
        with _blamed("model.optimizer"):
            made = self.module.new_optimizer(self.network, self.criterion, **more)
            return fused(made, self.trainer.strategy.root_device)

    def _scheduler(self, optimizer: Optimizer) -> Any:
        with _blamed("model.lr_scheduler"):
            return self.module.schedule.made_for(optimizer)

    def _train(self, optimizer: Optimizer) -> None:
        """Make steps as the training does, an evaluation in front."""
        switch_phase(optimizer, "eval")
        switch_phase(optimizer, "train")
        if self.module.frozen_epochs:
            backbone = Backbone(self.network)
            backbone.freeze(frozen=True)
            self._step(optimizer, self.batch)
            backbone.freeze(frozen=False)
        self._step(optimizer, self.batch)
        others = _is_foreign(self.criterion) or _is_foreign(self.network)
        more = STEPS_OF_OPTIMIZER if _is_foreign(optimizer) else STEPS_OF_OTHERS if others else 0
        for _ in range(more):
            self._step(optimizer, (self.batch[0][:IMAGES], self.batch[1][:IMAGES]))
        if _is_foreign(optimizer):
            switch_phase(optimizer, "eval")
            self._check_state(optimizer)

    def _step(self, optimizer: Optimizer, batch: Batch) -> None:
        # Lightning too gives the closure by its name.
        optimizer.step(closure=cast("Any", functools.partial(self._closure, optimizer, batch)))

    @torch.enable_grad()
    def _closure(self, optimizer: Optimizer, batch: Batch) -> Tensor:
        optimizer.zero_grad()
        return self.backward(batch)

    def backward(self, batch: Batch) -> Tensor:
        """Add the gradients of a batch to those of the copies, and return its loss."""
        images, labels = batch
        dtype = next((one.dtype for one in self.network.parameters() if one.is_floating_point()), images.dtype)
        with self.plugin.forward_context():
            with _blamed(f"model.network={type(self.module.network).__name__}"):
                outputs = self.network(images.to(dtype))
            with _blamed(self.loss_key):
                loss = loss_of(self.criterion, self.module.contract, outputs, labels)
        with _blamed(self.loss_key):
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return loss.detach()

    def _check_state(self, optimizer: Optimizer) -> None:
        """Refuse an optimizer whose state no checkpoint can hold."""
        if not any(isinstance(one, Checkpoint) for one in self.trainer.checkpoint_callbacks):
            return
        file = io.BytesIO()
        try:
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            self.optimizer().load_state_dict(torch.load(file, weights_only=True))
        except Exception as error:
            more = isinstance(error, pickle.UnpicklingError)
            why = "it holds more than tensors, numbers and texts" if more else described(error, 150)
            raise UserError(
                f"model.optimizer={type(optimizer).__name__}: its state cannot be kept in a checkpoint and read again "
                f"({why}); to train without one: --trainer.enable_checkpointing=false"
            ) from error


@contextmanager
def _blamed(key: str) -> Iterator[None]:
    """Turn whatever is raised into one line that names a setting.

    The innermost setting is named.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{key}: {described(error)}") from error


def _is_foreign(made: object) -> bool:
    return not type(made).__module__.startswith(_KNOWN)


def _name(scheduler: Any) -> str:
    inner = scheduler.after if isinstance(scheduler, WarmUp) else scheduler
    return type(inner).__name__ if inner is not None else "a warm-up"


def _beside_averages(optimizer: Optimizer) -> str:
    if not (callable(getattr(optimizer, "train", None)) and callable(getattr(optimizer, "eval", None))):
        return ""
    return (
        f"model.lr_scheduler, model.lr_warmup: {type(optimizer).__name__} averages its weights in place of a schedule, "
        "and now has both; leave them out to train as its authors do"
    )


def _check_closure(optimizer: Optimizer, trainer: pl.Trainer) -> None:
    if not isinstance(optimizer, torch.optim.LBFGS):
        return
    if trainer.world_size > 1:
        raise ValueError(
            "LBFGS decides by the loss how often it looks at a batch, and each device has the loss of its own share; "
            "take --trainer.devices=1"
        )
    # Lightning clears gradients only before the first of a step's batches.
    if trainer.accumulate_grad_batches > 1:
        raise ValueError(
            "LBFGS looks at a step's batch several times: raise data.batch_size in place of "
            "trainer.accumulate_grad_batches"
        )
