"""A callback that stops at a moment of training, chosen by the environment, until the process is killed."""

from __future__ import annotations

import io
import os
import re
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

# A checkpoint that has not got its name yet; see ``core.files.part_of``.
_CHECKPOINT = re.compile(r"\.(last|best)-\w+\.part")
MARK, MOMENT, SIGNAL = "paused", "LOSSOPT_TEST_PAUSE", "LOSSOPT_TEST_SIGNAL"


class Halves(io.FileIO):
    """A file whose writes come in two halves, with a pause between them."""

    def __init__(self, path: Path, pause: PauseAt) -> None:
        super().__init__(path, "wb")
        self.pause = pause

    def write(self, data: Any) -> int:
        """Write one half, pause if it is time, write the other."""
        done = super().write(data[: len(data) // 2])
        self.pause.note("writing")
        return done + super().write(data[done:])


class PauseAt(pl.Callback):
    """Waits at a moment, having made the file ``paused``, until that is removed.

    The variable ``LOSSOPT_TEST_PAUSE`` names it as ``moment:count``, count from 1, or as ``moment:count+count``,
    so that a run that is killed and one that is not have the same settings. Moments: ``batch`` (after a training
    batch), ``validation`` (in a batch of it), ``saving`` (at each call that forces a checkpoint or its folder to disk:
    before and behind its rename), ``renaming`` (before each rename of one), ``writing`` (with half of a checkpoint
    written). Without the variable: nowhere. With ``LOSSOPT_TEST_SIGNAL`` the process does not wait, but sends itself
    that signal.
    """

    def __init__(self) -> None:
        self.moment, _, count = os.environ.get(MOMENT, "never:0").partition(":")
        self.counts = [int(one) for one in count.split("+")]
        self.seen = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Get into a checkpoint's write, or between it and its rename."""
        if self.moment == "writing":
            opened = Path.open
            Path.open = lambda path, mode="r", *more, **options: (  # type: ignore[method-assign,assignment]
                Halves(path, self)
                if mode == "wb" and _CHECKPOINT.match(path.name)
                else opened(path, mode, *more, **options)
            )
        if self.moment == "renaming":
            replace = Path.replace

            def renaming(path: Path, target: Path) -> Path:
                if path.suffix == ".part":
                    self.note("renaming")
                return replace(path, target)

            Path.replace = renaming  # type: ignore[method-assign,assignment]
        if self.moment == "saving":
            sync = os.fsync

            def fsync(file: Any) -> None:
                sync(file)
                self.note("saving")

            setattr(os, "fsync", fsync)  # noqa: B010  # its parameter has another name

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch of training."""
        self.note("batch")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch of validation."""
        self.note("validation")

    def note(self, moment: str) -> None:
        """Count a moment; pause if it is the one."""
        self.seen += moment == self.moment
        if moment != self.moment or self.seen not in self.counts:
            return
        Path(MARK).touch()
        if number := os.environ.get(SIGNAL):
            os.kill(os.getpid(), int(number))
        else:
            while Path(MARK).exists():
                time.sleep(0.01)


def nothing(trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    """Do nothing, where Lightning's ``LambdaCallback`` asks for a function."""
