"""The folder of a run's checkpoints.

No other run and no other callback writes to it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.files import remove_parts
from lit_lossopt.tracking.recording import Recorder


def choose_folder(trainer: pl.Trainer, unrecorded: str) -> str:
    """Return the folder among the run's artifacts.

    For a run without a record it is a new one, and is said.

    Args:
        trainer: with its loggers.
        unrecorded: what switches the record off.

    Raises:
        UserError: a new folder cannot be made.
    """
    recorder = next((logger for logger in trainer.loggers if isinstance(logger, Recorder)), None)
    if recorder is None:
        folder = new_folder(trainer.default_root_dir)
        print(f"not recorded ({unrecorded or 'no logger'}); checkpoints are in {folder}", flush=True)
        return str(folder)
    folder = recorder.checkpoint_folder()
    remove_parts(folder)
    return str(folder)


def new_folder(root: str) -> Path:
    """Make a folder that no other run has.

    It is named by the time, as ``checkpoints/2026-11-28_20-15-00``, below ``root``.

    Raises:
        UserError: it cannot be made there.
    """
    if "://" in root:
        raise UserError(f"trainer.default_root_dir={root}: checkpoints are kept in a local folder; name such a folder")
    folder = Path(root) / names.CHECKPOINT_FOLDER
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Of several runs of one second each makes a folder that is not there.
        return next(own for number in count(1) if (own := _make(folder, stamp, number)))
    except OSError as error:
        raise UserError(
            f"{folder.absolute()}: checkpoints cannot be kept there ({error.strerror}); name another "
            "folder with --trainer.default_root_dir, or make room there, or allow writing there"
        ) from error


def _make(folder: Path, stamp: str, number: int) -> Path | None:
    own = folder / (stamp if number == 1 else f"{stamp}_{number}")
    try:
        own.mkdir()
    except FileExistsError:
        return None
    return own


def check_apart(checkpoints: Sequence[Checkpoint], ours: Checkpoint) -> None:
    """Refuse a checkpoint callback that writes into our folder.

    It is a person's own. Names may be the same.

    Raises:
        UserError: names the folder.
    """
    folder = Path(str(ours.dirpath)).resolve()  # type: ignore[attr-defined]  # ours has one
    for one in checkpoints:
        theirs = getattr(one, "dirpath", None)
        if one is not ours and theirs and Path(theirs).resolve() == folder:
            raise UserError(
                f"trainer.callbacks: {type(one).__name__}.dirpath={theirs}: this run keeps its own checkpoints there; "
                "name another folder, or leave it out"
            )


def run_of(trainer: pl.Trainer) -> str:
    """Return the id of the run, or an empty text."""
    # Other loggers have versions too, which name no run of ours.
    return next((str(one.version) for one in trainer.loggers if isinstance(one, Recorder) and one.version), "")
