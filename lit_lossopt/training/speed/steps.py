"""Training steps under a candidate's settings.

They are made on copies of network and loss, on real batches, and are those of a training: a batch is fetched, moved and
normalised, and the optimizer steps. What the Trainer does beside a step, the record and evaluations are left out.
"""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer

from lit_lossopt.core.quiet import without_warnings
from lit_lossopt.data import ImageDataModule
from lit_lossopt.training.callbacks.optimizer_phases import switch_phase
from lit_lossopt.training.module import Batch, LossOptModule
from lit_lossopt.training.numerics import restore_precision, set_fp32_precision
from lit_lossopt.training.speed.blocks import Block
from lit_lossopt.training.speed.candidates import Candidate
from lit_lossopt.training.trial_step import TrialStep

Step = Callable[[], None]


class TrainingSteps:
    """Makes blocks of steps.

    Each block begins with the same weights and a fresh optimizer, so that all candidates do the same work however many
    blocks have gone before. One step in front of a block is not measured: it makes the optimizer's state and the
    threads.

    Args:
        module: what is trained; it is left as it is.
        trainer: how.
        data: whose training images are taken; it is set up.
    """

    def __init__(self, module: LossOptModule, trainer: pl.Trainer, data: ImageDataModule) -> None:
        self._trainer, self._data = trainer, data
        self._device = trainer.strategy.root_device
        self._batches = self._endless()
        self._trial = TrialStep(module, trainer, self._next())
        self._plugin = self._trial.plugin
        parts = (self._trial.network, self._trial.criterion)
        self._begin = [{name: value.clone() for name, value in part.state_dict().items()} for part in parts]

    @property
    def device(self) -> torch.device:
        """Where the training computes."""
        return self._device

    def may_be_fused(self) -> bool:
        """Return whether the optimizer is one of torch's that can be fused, and is not yet."""
        optimizer = self._trial.optimizer()
        ours = type(optimizer).__module__.startswith("torch.optim.")
        return ours and "fused" in inspect.signature(type(optimizer)).parameters and not optimizer.defaults["fused"]

    def works(self, candidate: Candidate) -> bool:
        """Return whether a step can be made under a candidate's settings.

        Optimizers refuse to be fused on some devices, or beside other arguments or a clipped gradient.
        """
        try:
            with self.ready(candidate):
                return True
        except Exception:  # noqa: BLE001  # whatever it is, a training would raise it too
            return False

    def block(self, candidate: Candidate, steps: int) -> Block:
        """Return a block of so many steps."""
        with self.ready(candidate) as step:
            return self._timed(step, steps, math.inf)

    def block_of(self, candidate: Candidate, seconds: float, begin: Callable[[], None]) -> Block:
        """Return a block of so many seconds, after ``begin`` has returned."""
        with self.ready(candidate) as step:
            begin()
            return self._timed(step, math.inf, seconds)

    @contextmanager
    def ready(self, candidate: Candidate) -> Iterator[Step]:
        """Set what a candidate sets, make one step, and yield what makes more.

        Threads, precision and random numbers are put back afterwards.
        """
        with torch.random.fork_rng(), without_warnings(), self._settings(candidate):
            step = functools.partial(self._step, self._fresh(candidate))
            step()
            yield step

    @contextmanager
    def _settings(self, candidate: Candidate) -> Iterator[None]:
        threads, put_back = torch.get_num_threads(), restore_precision()
        try:
            torch.set_num_threads(candidate.threads)
            if candidate.fp32_precision:
                set_fp32_precision(cast("Any", candidate.fp32_precision))
            if candidate.precision:
                self._trial.plugin = MixedPrecision(cast("Any", candidate.precision), self._device.type)
            yield
        finally:
            self._trial.plugin = self._plugin
            put_back()
            torch.set_num_threads(threads)

    def _fresh(self, candidate: Candidate) -> Optimizer:
        """Return a fresh optimizer, and put the weights back to the beginning."""
        for part, state in zip((self._trial.network, self._trial.criterion), self._begin, strict=True):
            part.load_state_dict(state)
        optimizer = self._trial.optimizer(**({"fused": True} if candidate.fused else {}))
        switch_phase(optimizer, "train")
        return optimizer

    def _step(self, optimizer: Optimizer) -> None:
        batches = [self._next() for _ in range(self._trainer.accumulate_grad_batches)]
        # Lightning too gives the closure by its name.
        optimizer.step(closure=cast("Any", functools.partial(self._closure, optimizer, batches)))

    @torch.enable_grad()
    def _closure(self, optimizer: Optimizer, batches: list[Batch]) -> Tensor:
        optimizer.zero_grad()
        losses = [self._trial.backward(batch) for batch in batches]
        algorithm: Any = self._trainer.gradient_clip_algorithm or "norm"
        self._trial.plugin.clip_gradients(optimizer, self._trainer.gradient_clip_val or 0.0, algorithm)
        return losses[-1]

    def _timed(self, step: Step, steps: float, seconds: float) -> Block:
        self._wait()
        made, wall, processor = 0, time.perf_counter(), time.process_time()
        while made < steps and time.perf_counter() - wall < seconds:
            step()
            made += 1
        self._wait()
        return Block(made, time.perf_counter() - wall, time.process_time() - processor)

    def _wait(self) -> None:
        """Wait for what a GPU still computes."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _next(self) -> Batch:
        """Return the next batch on its device, normalised and augmented."""
        moved = tuple(part.to(self._device) for part in next(self._batches))
        return self._data.on_after_batch_transfer(moved, 0)

    def _endless(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches of the training images, epoch after epoch.

        A smaller last batch is left out, because not every block would have one.
        """
        loader, size = self._data.train_dataloader(), 0
        while True:
            for batch in loader:
                size = size or len(batch[0])
                if len(batch[0]) == size:
                    yield batch
