"""What is tried before a run exists: budget, evaluations, optimizer and schedule."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import DeviceStatsMonitor
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim.lr_scheduler import LRScheduler

from lit_lossopt import names
from lit_lossopt.backbone import Backbone
from lit_lossopt.data import ImageDataModule
from lit_lossopt.data.batches import check_all_have_some
from lit_lossopt.errors import UserError, one_line
from lit_lossopt.module import Batch, LossOptModule
from lit_lossopt.schedules import with_warmup


def check_budget(trainer: pl.Trainer) -> None:
    """Refuse a training of no steps.

    Raises:
        UserError: a limit is zero.
    """
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if getattr(trainer, name) == 0:
            raise UserError(f"trainer.{name}=0: there would be nothing to train")


def check_left(trainer: pl.Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint, under other settings, where that would train nothing.

    Raises:
        UserError: its steps or epochs are as many as the limit.
    """
    loops = checkpoint["loops"]["fit_loop"]
    epochs = loops["epoch_progress"]["current"]["processed"] + bool(loops["epoch_loop.batch_progress"]["is_last_batch"])
    for name, done in (("max_steps", checkpoint["global_step"]), ("max_epochs", epochs)):
        limit = getattr(trainer, name)
        if limit is not None and 0 < limit <= done:
            raise UserError(
                f"--ckpt_path: nothing is left to train, it has come to {done} of trainer.{name}={limit}; raise that"
            )


def check_device_stats(trainer: pl.Trainer) -> None:
    """Refuse ``DeviceStatsMonitor`` where what it reads the processor with is not installed.

    Raises:
        UserError: says what to install.
    """
    on_cpu = isinstance(trainer.accelerator, CPUAccelerator)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
        if isinstance(callback, DeviceStatsMonitor) and not importlib.util.find_spec("psutil"):
            wants_cpu = callback._cpu_stats  # noqa: SLF001  # Lightning tells it nowhere else
            if wants_cpu or (on_cpu and wants_cpu is None):
                raise UserError(
                    "trainer.callbacks=DeviceStatsMonitor: psutil, with which it reads the processor, is not "
                    "installed; pip install psutil"
                )


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


def check_shares(trainer: pl.Trainer, data: ImageDataModule, module: LossOptModule) -> None:
    """Refuse batches and losses of which several devices cannot each take an equal share.

    Raises:
        UserError: a batch does not divide, an evaluation has too few images, or the loss of a batch is not the mean of
            the losses of its shares.
    """
    devices = trainer.world_size
    if devices == 1:
        return
    last = len(data.images("train")) % data.batch_size
    if data.batch_size % devices or (not data.drop_last and last % devices):
        which = f"the last of {last} images" if not data.batch_size % devices else "it is the batch of all together"
        raise UserError(
            f"data.batch_size={data.batch_size}: cannot be shared equally by {devices} devices ({which}); take a "
            f"multiple of {devices} and data.drop_last=true"
        )
    check_all_have_some("val", len(data.images("val")), data.eval_batch_size, devices)
    if not loss_is_mean_of_shares(module, devices):
        raise UserError(
            f"model.criterion: {type(module.criterion).__name__} of a batch is not the mean of its shares' (it weighs "
            "classes), so that several devices would train something else; take --trainer.devices=1"
        )


def loss_is_mean_of_shares(module: LossOptModule, devices: int) -> bool:
    """Return whether the loss of a batch is the mean of the losses of its equal shares, tried on drawn outputs.

    Shares differ in their labels, so that weights of classes show.
    """
    labels = torch.arange(module.num_classes).repeat_interleave(devices)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(len(labels), module.contract.num_outputs(module.num_classes), generator=generator)
    shares = zip(outputs.chunk(devices), labels.chunk(devices), strict=True)
    with torch.no_grad():
        whole = module.loss(outputs, labels)
        mean = torch.stack([module.loss(*share) for share in shares]).mean()
    return bool(torch.isclose(whole, mean, rtol=1e-4, atol=1e-6))


def check_optimizer(module: LossOptModule, trainer: pl.Trainer, batch: Batch) -> None:
    """Make optimizer and schedule on a copy of the network, and one step of each.

    Raises:
        UserError: they refuse their arguments, each other, or this kind of training.
    """
    network = copy.deepcopy(module.network)
    try:
        with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):
            optimizer = module.new_optimizer(network)
            _check_closure(optimizer, trainer)
            scheduler = with_warmup(module.make_lr_scheduler, optimizer, module.lr_warmup)

            def closure() -> torch.Tensor:
                optimizer.zero_grad()
                loss = module.loss(network(batch[0].to(module.dtype)), batch[1])
                loss.backward()  # type: ignore[no-untyped-call]  # torch's own
                return loss

            if module.frozen_epochs:
                backbone = Backbone(network)
                backbone.freeze(frozen=True)
                optimizer.step(closure)  # type: ignore[arg-type]  # a tensor is what optimizers take
                backbone.freeze(frozen=False)
            optimizer.step(closure)  # type: ignore[arg-type]  # a tensor is what optimizers take
            if isinstance(scheduler, ReduceLROnPlateau):
                _check_plateau(module, trainer, scheduler.monitor)
            elif isinstance(scheduler, LRScheduler):
                scheduler.step()
    except (ValueError, TypeError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise UserError(f"model.optimizer or model.lr_scheduler: {one_line(str(error))}") from error


def _check_plateau(module: LossOptModule, trainer: pl.Trainer, monitor: str) -> None:
    quantities = ["loss", "accuracy", *(["nll", "brier", "ece"] if module.contract.probabilities else [])]
    known = [names.metric(names.VAL, quantity) for quantity in quantities]
    if monitor not in known:
        raise ValueError(f"ReduceLROnPlateau.monitor={monitor}: not measured; there are: {', '.join(known)}")
    if module.lr_scheduler_interval != "epoch" or trainer.check_val_every_n_epoch != 1:
        raise ValueError(
            "ReduceLROnPlateau needs an evaluation whenever it counts: leave model.lr_scheduler_interval at epoch and "
            "trainer.check_val_every_n_epoch at 1"
        )


def _check_closure(optimizer: torch.optim.Optimizer, trainer: pl.Trainer) -> None:
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
