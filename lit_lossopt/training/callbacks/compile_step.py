"""The training step as a compiled program."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.quiet import quiet_loggers
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.compilation import OF_GRAPHS, CompileClock, check_compiler, compiled, forget
from lit_lossopt.training.module import LossOptModule

Compile = bool | Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class CompiledStep(pl.Callback):
    """Compiles the training step, and says how long that took.

    The time counts as training, because whoever trains waits for it. It stands in the run's tag
    ``lossopt.compile_seconds`` too.

    Args:
        mode: one of torch.compile's; True means ``default``.
    """

    def __init__(self, mode: Compile) -> None:
        self.mode = mode if isinstance(mode, str) else "default"
        self.clock = CompileClock()
        self._said = 0.0
        self._listening = ExitStack()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what torch cannot compile, before a run exists.

        Raises:
            UserError: there is no compiler, or graphs would spoil accumulated gradients.
        """
        schedules = [one for one in trainer.callbacks if isinstance(one, GradientAccumulationScheduler)]  # type: ignore[attr-defined]  # it is there
        if self.mode in OF_GRAPHS and (trainer.accumulate_grad_batches > 1 or schedules):
            raise UserError(
                f"compile={self.mode}: its CUDA graphs write the gradients of each batch into the same memory, so none "
                "can be accumulated; take --compile=default, or leave trainer.accumulate_grad_batches out"
            )
        # Without a GPU it says so of each compilation.
        quiet_loggers(["torch.utils.cpp_extension"], logging.ERROR)
        check_compiler(self.mode, trainer.strategy.root_device)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the module a step that is compiled when it is first made."""
        if isinstance(pl_module, LossOptModule):
            self._listening.enter_context(self.clock.running())
            pl_module.compiled_loss = compiled(pl_module.loss_of_images, self.mode)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say it where something was compiled, which the first batch and each new shape ask for."""
        spent = self.clock.seconds - self._said
        if not spent:
            return
        self._said = self.clock.seconds
        tell(f"compiled the training step in {spent:.1f} s ({self.mode}); it counts as training", sys.stdout)
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.log_tags({names.TAG_COMPILE_SECONDS: f"{self._said:.1f}"})

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the module and torch as they were."""
        self._finish(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave them so where training was stopped or failed, too."""
        self._finish(pl_module)

    def _finish(self, pl_module: pl.LightningModule) -> None:
        self._listening.close()
        if isinstance(pl_module, LossOptModule) and pl_module.compiled_loss is not None:
            pl_module.compiled_loss = None
            forget(pl_module.loss_of_images)
