"""The layouts that a folder of images may have.

A folder comes in. It goes out which of its folders are splits and classes, and which files are images.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lit_lossopt.core.errors import Notice, UserError, did_you_mean
from lit_lossopt.data.decoding import ENDINGS
from lit_lossopt.data.split_names import mentioned_split, splits_among

LAYOUTS = (
    "images are expected as train/<class>/* and test/<class>/* (and val/<class>/* if wanted), or as <class>/* alone, "
    "to be split by the seed"
)
_SHOWN = 5
# Number of nested folders that are looked through for classes.
_DEEPEST = 4
# What archives and file servers leave behind.
_LEFT_BEHIND = {"__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information", "__pycache__"}


@dataclass(frozen=True)
class Layout:
    """The folders whose subfolders are classes.

    Attributes:
        train: folder of the training images. It is the whole folder, if that holds no splits.
        val: folder of the validation images. None means that they are drawn from the training images.
        test: folder of the test images. None means that there are none, or that they are drawn.
    """

    train: Path
    val: Path | None = None
    test: Path | None = None


@dataclass
class FoundFiles:
    """Files that are named like images, and what else was met.

    Attributes:
        images: paths of the images, sorted.
        left_out: number of other files by their ending, and of images in places that are not looked at.
        unreadable: folders that could not be listed, and why.
    """

    images: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: dict[Path, str] = field(default_factory=dict)


def find_layout(folder: Path) -> Layout:
    """Return the folders that hold classes.

    They are the folders of splits, in any usual spelling, or ``folder`` itself.

    Raises:
        UserError: the folder does not exist, may not be looked into, or it is not clear what to train on.
    """
    with _looking_into(folder):
        if not folder.is_dir():
            raise UserError(
                f"data.folder: there is no folder {folder}; {LAYOUTS}; name the folder that holds them with "
                "--data.folder=…"
            )
    names = _folders(folder)
    splits = splits_among(names)
    if not splits:
        _check_no_hidden_splits(folder, names)
        return Layout(folder)
    if "train" not in splits:
        name = next(iter(splits.values()))[0]
        raise UserError(
            f"data.folder: {folder} holds {name}/ but no train/, so it is not clear what to train on; {LAYOUTS}; if "
            f"{name} is a class, move the classes into {folder}/train/, where any name will do"
        )
    for split, spellings in splits.items():
        # A split's own name is meant, even beside others, as train/ beside train2017/. Train/ and train/ stay unclear.
        if split in spellings and split not in (name.lower() for name in spellings if name != split):
            splits[split] = [split]
        elif len(spellings) > 1:
            raise UserError(
                f"data.folder: {folder} holds {spellings[0]}/ and {spellings[1]}/, so it is not clear which to read; "
                "merge them, or rename the one that is not meant"
            )
    _mention_unread(folder, splits["train"][0], [name for name in names if [name] not in splits.values()])
    return Layout(**{split: folder / spellings[0] for split, spellings in splits.items()})


def _mention_unread(folder: Path, train: str, names: Sequence[str]) -> None:
    if names and _readable_folders(folder / train):
        note = f"data.folder: folders beside {folder / train} that are not read: {_listed(names)}"
        warnings.warn(note, Notice, stacklevel=2)


def _check_no_hidden_splits(folder: Path, names: Sequence[str]) -> None:
    """Raise UserError if would-be classes are splits, or hold splits.

    Raises:
        UserError: the folders are splits under unusual names, or hold splits themselves.
    """
    mentioned = [split for split in map(mentioned_split, names) if split]
    if len(set(mentioned)) > 1 and 2 * len(mentioned) >= len(names):
        raise UserError(
            f"data.folder: {folder} holds {_listed(names)}, which look like splits and not like classes; {LAYOUTS}; if "
            f"they are classes, move them into {folder}/train/, where any name will do"
        )
    for name in names if len(names) > 1 else ():
        below = splits_among(_readable_folders(folder / name))
        if len(below) > 1:
            inner = [spellings[0] for _, spellings in sorted(below.items(), key=lambda item: item[0] != "train")]
            raise UserError(
                f"data.folder: {folder / name} holds {_listed(inner)}, splits below a class; turn it round: "
                f"{inner[0]}/{name}/*; {LAYOUTS}"
            )


def class_folders(base: Path) -> list[str]:
    """Return the names of the class folders, sorted.

    Raises:
        UserError: there are fewer than two, or ``base`` may not be looked into.
    """
    classes = _folders(base)
    if len(classes) < 2:
        count = f"{len(classes)} class folder{'s' * (len(classes) != 1)}"
        raise UserError(
            f"data.folder: {base} holds {count}; at least two are needed{_what_it_wraps(base, classes)}; {LAYOUTS}"
        )
    return classes


def _what_it_wraps(base: Path, folders: Sequence[str]) -> str:
    """Return where classes or splits lie that another folder wraps, as a remedy.

    The text is empty if nothing is wrapped.
    """
    inner = base
    for _ in range(_DEEPEST):
        if len(folders) == 1:
            inner = inner / folders[0]
            folders = _readable_folders(inner)
    if inner == base or not folders:
        return ""
    return f", and {inner} holds {_listed(folders)}: take --data.folder={inner}, or move them up into {base}"


def check_class_folders(base: Path, class_names: Sequence[str]) -> None:
    """Raise UserError if a folder of a split belongs to no class.

    The images of a misspelt name would be dropped.

    Raises:
        UserError: there is such a folder.
    """
    strange = [name for name in _folders(base) if name not in class_names]
    if strange:
        raise UserError(
            f"data.folder: {base / strange[0]} belongs to no class of the training images"
            f"{did_you_mean(strange[0], class_names)}; rename or remove it"
        )


def image_files(base: Path, class_names: Sequence[str] | None) -> FoundFiles:
    """Return the files below ``base``.

    Hidden files and folders are passed over. Linked folders are not entered.

    Args:
        base: the folder to look in, at any depth.
        class_names: look only in these folders, and count what lies beside them. None looks everywhere.
    """
    found = FoundFiles()
    if class_names is None:
        _gather(base, found)
    else:
        _count_beside_classes(base, found)
        for name in class_names:
            _gather(base / name, found)
    found.images.sort()
    # Without kinds that did not occur.
    found.left_out = +found.left_out
    return found


def _gather(root: Path, found: FoundFiles) -> None:
    def unreadable(error: OSError) -> None:
        # A missing folder is no error here, because whoever asks decides whether a class may be missing.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            found.unreadable[Path(error.filename)] = f"a folder: {error.strerror}"

    for place, folders, files in os.walk(root, onerror=unreadable):
        # A folder that is named like an image counts as a file, so that reading it says what it is.
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
        names = [entry.name for entry in base.iterdir() if entry.is_dir()]
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in _LEFT_BEHIND)


def _readable_folders(base: Path) -> list[str]:
    """Return the names of folders that can be listed.

    There are none if ``base`` may not be looked into. Reading its images decides what becomes of it.
    """
    try:
        return _folders(base)
    except UserError:
        return []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@contextmanager
def _looking_into(folder: Path) -> Iterator[None]:
    """Turn an error of the file system into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"data.folder: {folder} cannot be looked into ({error.strerror}); its owner can allow it: chmod u+rx"
        ) from error


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  # a Path for each of thousands of names would be felt
