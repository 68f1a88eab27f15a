"""A device that cannot be looked at for free.

Training runs on torch's ``meta`` device, which has shapes and no values. Whatever would wait for a GPU is answered
here with ones, and counted by the step in which it was asked for.
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lit_lossopt.config.words import prepare
from lit_lossopt.training.cli import LossOptCLI, build

META = torch.device("meta")


class Waiting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Counts what a GPU would be waited for.

    Attributes:
        looks: step → how often a value was asked for.
        sent: step → how often a tensor went to the device.
        where: step → the innermost lines that asked.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.looks: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        self.where: dict[int, list[str]] = {}
        # Before the first step, and outside of steps: none.
        self.step: int | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options: dict[str, Any] = kwargs or {}
        given = [one for one in args if isinstance(one, Tensor)]
        on_device = bool(given) and given[0].device == META
        answer = _answer(func, args, options) if on_device else None
        if answer is not None:
            self._note(self.looks)
            return answer
        found = func(*args, **options)
        if given and not on_device and isinstance(found, Tensor) and found.device == META:
            self._note(self.sent)
        return found

    def numbers_sent(self) -> None:
        """Note that numbers of the program became a tensor there."""
        self._note(self.sent)

    def _note(self, counts: Counter[int]) -> None:
        if self.step is None:
            return
        counts[self.step] += 1
        lines = [f"{line.filename.rpartition('/')[2]}:{line.lineno}" for line in traceback.extract_stack()]
        self.where.setdefault(self.step, []).append(" < ".join(lines[-10:-2][::-1]))


class _Numbers(TorchFunctionMode):
    """Sees numbers of the program become a tensor on the device, which is a copy below what ``Waiting`` sees."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__()
        self.waiting = waiting

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor) and found.device == META:
            self.waiting.numbers_sent()
        return found


def _answer(func: Any, args: Any, options: dict[str, Any]) -> Any:
    """Return what a GPU would be waited for, or None where it would not be.

    Values are ones. Shapes that depend on values are empty.
    """
    asked, ops = args[0], torch.ops.aten
    if func in (ops._local_scalar_dense.default, ops.equal.default, ops.allclose.default):
        return 1
    if func == ops._to_copy.default and options.get("device") not in (None, META):
        return torch.ones(asked.shape, dtype=options.get("dtype") or asked.dtype)
    if func == ops.nonzero.default:
        return asked.new_empty((0, asked.ndim), dtype=torch.int64)
    if func == ops.index.Tensor and any(one is not None and one.dtype == torch.bool for one in args[1]):
        return asked.new_empty((0, *asked.shape[1:]))
    if func == ops.bincount.default:
        return asked.new_empty(args[-1], dtype=torch.int64)
    return None


class OnMeta(LossOptCLI):
    """Trains on the device without values."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Return the trainer of the command, on that device."""
        trainer = super().instantiate_trainer(**kwargs)
        trainer.strategy.accelerator = _AnyDevice()
        trainer.strategy._root_device = META  # type: ignore[attr-defined]  # of one device
        return trainer


class _AnyDevice(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None:
        """Accept it."""


class Steps(pl.Callback):
    """Tells which step an operation belongs to: from the fetching of its batch to the end of all callbacks."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.waiting.step = trainer.global_step + 1


def waited_for(*words: str) -> Waiting:
    """Train by these words and return what was waited for in each step."""
    waiting = Waiting()
    cli = build(prepare("fit", [*words]), OnMeta)
    cli.trainer.callbacks.append(Steps(waiting))  # type: ignore[attr-defined]  # it is there
    with waiting, _Numbers(waiting):
        cli.run()
    return waiting
