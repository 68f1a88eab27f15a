"""Which folders are classes and which files are images: the layouts that a folder of images may have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lit_lossopt.data.decoding import ENDINGS
from lit_lossopt.errors import UserError

LAYOUTS = "images are expected as train/<class>/* and test/<class>/*, or as <class>/* alone, to be split by the seed"
_NAMES_OF_SPLITS = ("test", "val", "valid", "validation")


def class_base(folder: Path) -> Path:
    """Return the folder that holds the classes: ``train/`` if there is one, otherwise ``folder`` itself.

    Raises:
        UserError: there is no such folder, or it holds other splits than ``train/``.
    """
    if not folder.is_dir():
        raise UserError(
            f"data.folder: there is no folder {folder}; {LAYOUTS}; name the folder that holds them with --data.folder=…"
        )
    if (folder / "train").is_dir():
        return folder / "train"
    split = next((name for name in _NAMES_OF_SPLITS if (folder / name).is_dir()), None)
    if split:
        raise UserError(
            f"data.folder: {folder} holds {split}/ but no train/, so it is not clear what to train on; {LAYOUTS} (a "
            f"class cannot be called {split})"
        )
    return folder


def class_folders(base: Path) -> list[str]:
    """Return the names of the classes, sorted.

    Raises:
        UserError: there are fewer than two.
    """
    found = sorted(entry.name for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise UserError(f"data.folder: {base} holds {len(found)} class folders; at least two are needed; {LAYOUTS}")
    return found


def image_files(base: Path, class_names: Sequence[str] | None) -> tuple[list[Path], Counter[str]]:
    """Return what is named like an image below ``base``, sorted by path, and the endings of the files left out.

    Args:
        base: where to look, at any depth; hidden files and folders are passed over.
        class_names: look only in these folders; None: everywhere.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    for root in [base / name for name in class_names] if class_names is not None else [base]:
        for place, folders, files in os.walk(root):
            # A folder named like an image is none, and is said to be none when it is read.
            names = files + [name for name in folders if _ending(name) in ENDINGS]
            folders[:] = [name for name in folders if not name.startswith(".") and _ending(name) not in ENDINGS]
            for name in (name for name in names if not name.startswith(".")):
                if _ending(name) in ENDINGS:
                    found.append(Path(place, name))
                else:
                    others[_ending(name) or "no ending"] += 1
    return sorted(found), others


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  # thousands of names: a Path for each would be felt
