"""Where the files of a run are now.

The folder in which it was trained may have been moved since they were named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_lossopt.core.names import RUNS_FOLDER
from lit_lossopt.tracking.addresses import local_path, sqlite_path


def home_of(journal: Path) -> Path:
    """Return the folder that holds the ``mlruns`` of a journal.

    It is the working folder if the journal lies elsewhere.
    """
    folder = journal.absolute()
    if (folder.parent.name, folder.parent.parent.name) == ("journal", RUNS_FOLDER):
        return folder.parents[2]
    return Path.cwd()


def here(path: Path, home: Path) -> Path:
    """Return where a folder below ``mlruns`` is now.

    It is in ``home`` if the same folder is there, or if the old ``mlruns`` is gone.

    Args:
        path: of a run's files, as it was noted: relative to ``home``, or absolute.
        home: the folder that holds ``mlruns`` now.
    """
    if not path.is_absolute():
        return home / path
    parts = path.parts
    places = [place for place, part in enumerate(parts[:-1]) if part == RUNS_FOLDER]
    if not places:
        return path
    # An experiment may bear that name too.
    last = places[-1] - (parts[places[-1] - 1] == RUNS_FOLDER)
    old, tail, mine = Path(*parts[: last + 1]), parts[last + 1 :], home / RUNS_FOLDER
    is_mine = mine.joinpath(*tail[:2]).exists() or not old.exists()
    return mine.joinpath(*tail) if old != mine and is_mine else path


def local_artifacts(uri: str, home: Path) -> Path | None:
    """Return the folder here that an artifact address means now, if any."""
    path = local_path(uri)
    return here(path, home) if path else None


def store_here(entry: Mapping[str, Any], home: Path) -> str:
    """Return the address of the store that an entry of a journal names.

    A database that was moved together with the journal is found.

    Args:
        entry: with ``uri``, and the folder of then as ``home``, or its ``mlruns`` as ``artifact_root``.
        home: the folder that holds ``mlruns`` now.
    """
    uri, then = str(entry["uri"]), _home_of_then(entry)
    database = sqlite_path(uri)
    if database is None or then in (None, home) or not database.is_relative_to(then or home):
        return uri
    moved = home / database.relative_to(then or home)
    return f"sqlite:///{moved}" if moved.exists() or not database.exists() else uri


def moved_header(entry: dict[str, Any], home: Path) -> dict[str, Any]:
    """Return a journal's header with the place for artifacts as it is now."""
    then = _home_of_then(entry)
    return entry if then in (None, home) else {**entry, "artifact_root": str(home / RUNS_FOLDER)}


def _home_of_then(entry: Mapping[str, Any]) -> Path | None:
    if "home" in entry:
        return Path(entry["home"])
    return Path(entry["artifact_root"]).parent if "artifact_root" in entry else None
