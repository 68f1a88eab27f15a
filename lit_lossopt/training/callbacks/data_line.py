"""One line about the data before a command uses them.

Wrong classes go unseen where none are named.
"""

from __future__ import annotations

import sys
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl

from lit_lossopt.core.terminal_text import tell


@runtime_checkable
class HasSummary(Protocol):
    """Data that tell their classes and numbers of images."""

    def summary(self, stage: str) -> str:
        """Return what a stage works with, in one line."""


class DataLine(pl.Callback):
    """Prints the classes and the number of images of each split."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Print the line, once the data are set up."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, HasSummary) and trainer.is_global_zero:
            tell(data.summary(stage), sys.stdout)
