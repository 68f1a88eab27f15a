"""What every training does again is done once.

It is done in a process from which trainings are forked afterwards.

Importing takes seconds. Signatures read from source, the parser, classes looked up in abstract base classes, fonts and
database mappings take two more. A child inherits all of it. Nothing here may start a thread, open a store or a GPU, or
train, because none of these survives a fork.
"""

from __future__ import annotations

import importlib
import io
from contextlib import redirect_stdout

import numpy as np
import torch
from jsonargparse import set_parsing_settings
from PIL import Image
from sqlalchemy.orm import configure_mappers

from lit_lossopt.config.check import ALLOWED_IMPORTS
from lit_lossopt.config.words import prepare
from lit_lossopt.core.machine import source_digest, versions
from lit_lossopt.training.cli import LossOptCLI
from lit_lossopt.training.figures import confusion_figure, write_png
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.provenance import PACKAGES

# Imported by a training on its way.
_LATE = (
    "alembic.command",
    "alembic.config",
    "lit_lossopt.tracking.store",
    "lit_lossopt.config.help",
    "lit_lossopt.training.commands",
    "filelock",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "sqlalchemy.dialects.sqlite",
    "torch.utils.serialization",
)
_WORDS = [
    "--data=DigitsDataModule", "--model.optimizer=SGD", "--model.optimizer.lr=0.1",
    "--trainer.logger=false", "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false", "--trainer.limit_val_batches=1",
]  # fmt: skip


class _Rehearsal(LossOptCLI):
    """Parses and builds, and tries nothing.

    A try would train a step.
    """

    def after_instantiate_classes(self) -> None:
        """Leave it at that."""


def rehearse() -> None:
    """Import and warm up what a training of digits uses."""
    for module in _LATE:
        importlib.import_module(module)
    configure_mappers()
    Image.init()
    # What runs is what was imported, also if files change meanwhile.
    source_digest()
    versions(PACKAGES)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    # A second thread would start a pool, of which a child would inherit a broken half.
    torch.set_num_threads(1)
    quieten()
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED_IMPORTS])
    cli = _Rehearsal(prepare("fit", _WORDS))
    with redirect_stdout(io.StringIO()):
        cli.trainer.validate(cli.model, cli.datamodule, verbose=False)
    cli.build_for(LossOptCLI)
    names = [str(number) for number in range(10)]
    write_png(confusion_figure(np.eye(10, dtype=np.int64), names, "rehearsal"), io.BytesIO())
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
