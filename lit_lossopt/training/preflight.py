"""What is tried before a run exists.

It is the Trainer's numbers, its budget, its evaluations, and shares of several devices.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import DeviceStatsMonitor

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import has_bf16_units
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.data import ImageDataModule
from lit_lossopt.data.batches import check_all_have_some
from lit_lossopt.losses.checks import evaluating
from lit_lossopt.training.loop_state import is_within_epoch
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.numerics import FP32Precision, changes_products
from lit_lossopt.training.training_length import length_behind

# Settings that decide which images a batch has.
_OF_BATCHES = ("data.batch_size", "data.drop_last", "trainer.limit_train_batches", "trainer.overfit_batches")


def check_groups(checkpoint: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Refuse the state of an optimizer with other groups.

    Groups of parameters are meant.

    Raises:
        UserError: it had more or fewer.
    """
    states = checkpoint.get("optimizer_states") or []
    then = len(states[0]["param_groups"]) if states else len(optimizer.param_groups)
    if then != len(optimizer.param_groups):
        raise UserError(
            f"--ckpt_path: the optimizer in it has {then} groups of parameters, and the one to be trained has "
            f"{len(optimizer.param_groups)}, so other parameters are trained (the first version did not train a loss's "
            "own parameters); use the settings and the version of the checkpoint, or train from the start"
        )


def check_numbers(trainer: pl.Trainer) -> None:
    """Refuse numbers of the Trainer that cannot be right.

    Lightning is silent about them, or fails only while training.

    Raises:
        UserError: the first of them.
    """
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        value = getattr(trainer, name)
        if value is not None and value < 1:
            raise UserError(f"trainer.{name}={value}: must be at least 1")
    clip = trainer.gradient_clip_val
    if clip is not None and clip < 0:
        raise UserError(f"trainer.gradient_clip_val={clip:g}: must be above 0; leave it out to clip nothing")


def check_precision(trainer: pl.Trainer, asked: object) -> None:
    """Refuse a precision in whose place Lightning takes another one.

    Raises:
        UserError: the run would be recorded as what it is not.
    """
    if str(asked) in ("16", "16-mixed") and str(trainer.precision) != "16-mixed":
        raise UserError(
            f"trainer.precision={asked}: on this device Lightning trains in {trainer.precision} instead; ask for "
            f"--trainer.precision={trainer.precision}, and the run is recorded as such"
        )
    if "bf16" in str(trainer.precision) and isinstance(trainer.accelerator, CPUAccelerator) and not has_bf16_units():
        tell(
            f"lossopt: trainer.precision={trainer.precision}: no units for bf16 are known of this processor; without "
            "them it trains many times slower than in float32",
            sys.stderr,
        )


def check_products(trainer: pl.Trainer, asked: FP32Precision | None) -> None:
    """Refuse a precision of float32 products in whose place the device computes another one.

    Raises:
        UserError: the run would be recorded as what it is not.
    """
    on_cpu = isinstance(trainer.accelerator, CPUAccelerator)
    if asked in (None, "ieee") or (changes_products(asked) if on_cpu else asked != "bf16"):
        return
    instead = "this processor has no units for it, and computes in ieee" if on_cpu else "GPUs compute in tf32 instead"
    raise UserError(f"fp32_precision={asked}: {instead}; ask for that, and the run is recorded as such")


def check_budget(trainer: pl.Trainer) -> None:
    """Refuse a training of no steps.

    Raises:
        UserError: a limit is zero.
    """
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if getattr(trainer, name) == 0:
            raise UserError(f"trainer.{name}=0: there would be nothing to train")


def check_left(trainer: pl.Trainer, checkpoint: Mapping[str, Any], asked: str) -> None:
    """Refuse to go on where that would train nothing.

    It is about a checkpoint under other settings.

    Args:
        trainer: with its limits.
        checkpoint: its content.
        asked: what named it, for errors.

    Raises:
        UserError: its steps or epochs are as many as the limit.
    """
    behind = length_behind(checkpoint)
    for name, done in (("max_steps", behind.steps), ("max_epochs", behind.epochs)):
        limit = getattr(trainer, name)
        if limit is not None and done is not None and 0 < limit <= done:
            raise UserError(
                f"{asked}: nothing is left to train, because it has reached {done} of trainer.{name}={limit}; "
                "raise that limit"
            )


def check_place(changed: Sequence[str], checkpoint: Mapping[str, Any], asked: str) -> None:
    """Refuse to go on within an epoch with other batches than it began with.

    A place in an epoch is a number of batches. With others it would be another place in the data.

    Args:
        changed: settings that differ from those of the checkpoint.
        checkpoint: its content.
        asked: what named it, for errors.

    Raises:
        UserError: names what has changed.
    """
    other = next((change for change in changed if change.startswith(_OF_BATCHES)), None)
    if other and is_within_epoch(checkpoint):
        raise UserError(
            f"{asked}: step {checkpoint['global_step']} lies within an epoch, and its batches have changed ({other}). "
            "Images would be left out or seen twice; begin at an epoch's end, or keep the batches"
        )


def check_weights(module: pl.LightningModule, checkpoint: Mapping[str, Any], asked: str) -> None:
    """Refuse weights of another network.

    Raises:
        UserError: names the first that differs.
    """
    own, given = module.state_dict(), checkpoint["state_dict"]
    for name in (*own, *given):
        shapes = [list(state[name].shape) if name in state else None for state in (given, own)]
        if shapes[0] != shapes[1]:
            then, now = ("not there" if shape is None else f"of shape {shape}" for shape in shapes)
            raise UserError(
                f"{asked}: the weights do not fit this network; use their run's config.yaml ({name} is {then} in the "
                f"checkpoint, and {now} in the network)"
            )


def check_device_stats(trainer: pl.Trainer) -> None:
    """Refuse ``DeviceStatsMonitor`` where it cannot work.

    It reads the processor with a package that is then not installed.

    Raises:
        UserError: says what to install.
    """
    on_cpu = isinstance(trainer.accelerator, CPUAccelerator)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
        if isinstance(callback, DeviceStatsMonitor) and not importlib.util.find_spec("psutil"):
            wants_cpu = callback._cpu_stats  # noqa: SLF001  # Lightning tells it nowhere else
            if wants_cpu or (on_cpu and wants_cpu is None):
                raise UserError(
                    "trainer.callbacks=DeviceStatsMonitor: it reads the processor with psutil, which is not "
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
    """Refuse what several devices cannot share equally.

    It is about batches and losses.

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
            f"model.criterion: {type(module.criterion).__name__} weighs classes, and its value for a batch is not the "
            "mean over the devices' shares, so several devices would train something else; take --trainer.devices=1"
        )


def loss_is_mean_of_shares(module: LossOptModule, devices: int) -> bool:
    """Return whether a loss is the mean of its shares' losses.

    Shares of a batch are equal. It is tried on drawn outputs.

    Shares differ in their labels, so that weights of classes show.
    """
    labels = torch.arange(module.num_classes).repeat_interleave(devices)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(len(labels), module.contract.num_outputs(module.num_classes), generator=generator)
    shares = zip(outputs.chunk(devices), labels.chunk(devices), strict=True)
    with torch.no_grad(), evaluating(module.criterion):
        whole = module.loss(outputs, labels)
        mean = torch.stack([module.loss(*share) for share in shares]).mean()
    return bool(torch.isclose(whole, mean, rtol=1e-4, atol=1e-6))
