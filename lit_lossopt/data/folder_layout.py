"""Which folders are classes and which files are images: the layouts that a folder of images may have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lit_lossopt.data.decoding import ENDINGS
from lit_lossopt.errors import UserError, did_you_mean

LAYOUTS = "images are expected as train/<class>/* and test/<class>/*, or as <class>/* alone, to be split by the seed"
_NAMES_OF_SPLITS = ("test", "val", "valid", "validation")


@dataclass
class FoundFiles:
    """What is named like an image, sorted by path, and what else was met.

    ``left_out`` counts other files by their ending, and images in places that are not looked at; ``unreadable`` maps
    folders to why they could not be listed.
    """

    images: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: dict[Path, str] = field(default_factory=dict)


def class_base(folder: Path) -> Path:
    """Return the folder that holds the classes: ``train/`` if there is one, otherwise ``folder`` itself.

    Raises:
        UserError: there is no such folder, it may not be looked into, or it holds other splits than ``train/``.
    """
    with _looking_into(folder):
        return _class_base(folder)


def _class_base(folder: Path) -> Path:
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
        UserError: there are fewer than two, or ``base`` may not be looked into.
    """
    found = _folders(base)
    if len(found) < 2:
        raise UserError(f"data.folder: {base} holds {len(found)} class folders; at least two are needed; {LAYOUTS}")
    return found


def check_test_folders(test: Path, class_names: Sequence[str]) -> None:
    """Refuse folders of test images that belong to no class: a misspelt name would drop its images.

    Raises:
        UserError: there is one.
    """
    strange = [name for name in _folders(test) if name not in class_names]
    if strange:
        raise UserError(
            f"data.folder: {test / strange[0]} belongs to no class of the training images"
            f"{did_you_mean(strange[0], class_names)}; rename or remove it"
        )


def image_files(base: Path, class_names: Sequence[str] | None) -> FoundFiles:
    """Return what lies below ``base``; hidden files and folders are passed over, linked folders not entered.

    Args:
        base: where to look, at any depth.
        class_names: look only in these folders, and count what lies beside them; None: everywhere.
    """
    found = FoundFiles()
    if class_names is None:
        _gather(base, found)
    else:
        _count_beside_classes(base, found)
        for name in class_names:
            _gather(base / name, found)
    found.images.sort()
    found.left_out = +found.left_out  # without kinds that did not occur
    return found


def _gather(root: Path, found: FoundFiles) -> None:
    def unreadable(error: OSError) -> None:
        # Whether a class may be missing, whoever asks decides.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            found.unreadable[Path(error.filename)] = f"a folder: {error.strerror}"

    for place, folders, files in os.walk(root, onerror=unreadable):
        # A folder named like an image is none, and is said to be none when it is read.
        names = files + [name for name in folders if _ending(name) in ENDINGS]
        folders[:] = [name for name in folders if not name.startswith(".") and _ending(name) not in ENDINGS]
        found.left_out["linked folders"] += sum(Path(place, name).is_symlink() for name in folders)
        for name in (name for name in names if not name.startswith(".")):
            if _ending(name) in ENDINGS:
                found.images.append(Path(place, name))
            else:
                found.left_out[_ending(name) or "no ending"] += 1


def _count_beside_classes(base: Path, found: FoundFiles) -> None:
    with _looking_into(base):
        for entry in base.iterdir() if base.is_dir() else ():
            if not entry.name.startswith(".") and not entry.is_dir():
                kind = "images beside the class folders" if _ending(entry.name) in ENDINGS else _ending(entry.name)
                found.left_out[kind or "no ending"] += 1


def _folders(base: Path) -> list[str]:
    with _looking_into(base):
        return sorted(entry.name for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith("."))


@contextmanager
def _looking_into(folder: Path) -> Iterator[None]:
    """Say which folder may not be looked into."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"data.folder: {folder} cannot be looked into ({error.strerror}); its owner can allow it: chmod u+rx"
        ) from error


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  # thousands of names: a Path for each would be felt
