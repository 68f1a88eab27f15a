"""What lies below a folder that was typed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lit_lossopt.core import names

_META = "meta.yaml"
# Folders that hold no logs of other programs, but many files.
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", names.RUNS_FOLDER}


@dataclass(frozen=True)
class Below:
    """What lies below a folder.

    Attributes:
        files: in order.
        links: to folders elsewhere, which are not followed. They may lead anywhere.
        stores: folders in which MLflow keeps its files.
    """

    files: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    stores: list[Path] = field(default_factory=list)


def walk(top: Path) -> Below:
    """Return what lies below a folder.

    Hidden folders are passed over.

    Raises:
        OSError: a folder cannot be read.
    """
    below, inside = Below(), top.resolve()
    for place, folders, files in os.walk(top, onerror=_fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = [Path(place, name) for name in folders]
        below.stores.extend(path for path in found if path.name == names.RUNS_FOLDER)
        folders[:] = [name for name in folders if name not in _PASSED_OVER]
        below.links.extend(path for path in found if path.is_symlink() and not path.resolve().is_relative_to(inside))
        below.files.extend(Path(place, name) for name in sorted(files))
    return below


def store_above(path: Path) -> Path | None:
    """Return MLflow's former store of files that a path is, holds, or lies in.

    Experiments and runs have a ``meta.yaml`` of their own, and the store has none.
    """
    top = path.absolute()
    while (top / _META).is_file():
        top = top.parent
    return next((folder for folder in (top, path / names.RUNS_FOLDER) if is_store(folder)), None)


def is_store(folder: Path) -> bool:
    """Return True if a folder is MLflow's former store of files."""
    return folder.is_dir() and any(folder.glob(f"[0-9]*/{_META}"))


def stores_among(folders: Sequence[Path]) -> list[Path]:
    """Return those folders that are MLflow's former stores."""
    return [folder for folder in folders if is_store(folder)]


def _fail(error: OSError) -> None:
    raise error
