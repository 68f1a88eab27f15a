"""What is tried before a run exists: checkpoint, budget, evaluations, optimizer and schedule."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim.lr_scheduler import LRScheduler

from lit_lossopt.errors import UserError, one_line
from lit_lossopt.module import LossOptModule
from lit_lossopt.schedules import with_warmup


def read_checkpoint(path: str) -> dict[str, Any]:
    """Return a checkpoint, read without running code from it.

    Raises:
        UserError: it is damaged, or no checkpoint of a Trainer.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
        raise UserError(f"--ckpt_path {path}: not a whole checkpoint ({one_line(str(error), 120)})") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "pytorch-lightning_version"} <= checkpoint.keys():
        raise UserError(f"--ckpt_path {path}: not the checkpoint of a training run")
    return checkpoint


def check_budget(trainer: pl.Trainer) -> None:
    """Refuse a training of no steps.

    Raises:
        UserError: a limit is zero.
    """
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if getattr(trainer, name) == 0:
            raise UserError(f"trainer.{name}=0: there would be nothing to train")


def check_batches(trainer: pl.Trainer, batches: int) -> None:
    """Refuse evaluations that would never come.

    Raises:
        UserError: the interval is zero or longer than an epoch of ``batches``.
    """
    every = trainer.val_check_interval
    within_epoch = trainer.check_val_every_n_epoch is not None and not isinstance(every, float)
    if every == 0 or (within_epoch and isinstance(every, int) and every > batches):
        raise UserError(
            f"trainer.val_check_interval={every}: an epoch has {batches} steps; take 1 to {batches}, or count steps "
            "across epochs with --trainer.check_val_every_n_epoch=null"
        )


def check_optimizer(module: LossOptModule) -> None:
    """Build the optimizer and its schedule once on trial.

    Raises:
        UserError: they refuse their arguments.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            scheduler = with_warmup(module.make_lr_scheduler, module.new_optimizer(), module.lr_warmup)
            if isinstance(scheduler, LRScheduler) and not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"model.optimizer or model.lr_scheduler: {one_line(str(error))}") from error
