"""Where checkpoints go that belong to no recorded run, and that nobody else writes there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from lightning.pytorch.callbacks import Checkpoint

from lit_lossopt import names
from lit_lossopt.errors import UserError


def new_folder(root: str) -> Path:
    """Make a folder that no other run has, named by the time: ``checkpoints/2026-11-28_20-15-00`` below ``root``.

    Raises:
        UserError: it cannot be made there.
    """
    if "://" in root:
        raise UserError(f"trainer.default_root_dir={root}: checkpoints are kept in a local folder; name one")
    folder = Path(root) / names.CHECKPOINT_FOLDER
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            own = folder / (stamp if number == 1 else f"{stamp}_{number}")
            if not own.exists():
                own.mkdir()
                break
    except FileExistsError:
        # Another process took the name in this very moment.
        return new_folder(root)
    except OSError as error:
        raise UserError(
            f"{folder.absolute()}: checkpoints cannot be kept there ({error.strerror}); make room or permit it, or name "
            "another folder with --trainer.default_root_dir"
        ) from error
    return own


def check_apart(checkpoints: Sequence[Checkpoint], ours: Checkpoint) -> None:
    """Refuse a checkpoint callback of a person's own that writes into our folder: names may be the same.

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
