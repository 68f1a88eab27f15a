"""Arrays that took a while to make, kept in one file.

The file is written whole or not at all, and made again when it is damaged.
"""

from __future__ import annotations

import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core.errors import Notice, one_line
from lit_lossopt.core.files import publish
from lit_lossopt.core.paths import given_path

Arrays = dict[str, NDArray[Any]]
# What numpy and zipfile raise for a file that is cut off, overwritten, or fails its checksum.
DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, TypeError),
    # RuntimeError comes from a damaged header that says the file is encrypted, or packed by an unknown method.
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


def user_cache() -> Path:
    """Return the user's folder for what can be made again.

    It lies below ``XDG_CACHE_HOME``, by default ``~/.cache``.
    """
    return given_path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit_lossopt"


def is_kept(file: Path) -> bool:
    """Return True if the file exists and may be looked at.

    >>> is_kept(Path("missing.npz"))
    False
    """
    try:
        return file.is_file()
    except OSError:  # the folder may not be looked into
        return False


def cached_arrays(file: Path, names: Sequence[str], make: Callable[[], Arrays]) -> Arrays:
    """Return the named arrays of a file.

    If the file is missing or damaged, they are made and kept there.

    Args:
        file: an ``.npz`` whose name depends on what the arrays are made from.
        names: the arrays to return. The others are not read.
        make: makes all of the file's arrays.
    """
    if is_kept(file):
        try:
            # A zip holds a checksum of each array, and reading verifies it.
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
                return {name: kept[name] for name in names}
        except DAMAGED as error:
            warnings.warn(f"{file} is damaged ({one_line(str(error), 100)}), so it is made again", Notice, stacklevel=2)
    arrays = make()
    keep_file(file, lambda opened: np.savez(opened, allow_pickle=False, **arrays))
    return {name: arrays[name] for name in names}


def keep_file(file: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all.

    A file that cannot be written is only worth a notice, because its content can be made again.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".part") as folder:
            part = Path(folder, file.name)
            with part.open("wb") as opened:
                write(opened)
            publish(part, file)
    except OSError as error:
        warnings.warn(f"decoded images cannot be kept in {file.parent} ({error.strerror})", Notice, stacklevel=3)
