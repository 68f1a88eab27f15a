"""Paths as a person types them.

Addresses of stores that hold a path are meant too.
"""

from __future__ import annotations

import os
from pathlib import Path

_SQLITE, _STORE = "sqlite:///", "MLFLOW_TRACKING_URI"


def given_path(typed: str | os.PathLike[str]) -> Path:
    """Return the path that was meant.

    ``~`` is the home folder.

    A shell leaves ``~`` as it is behind ``=``, and nothing else expands it in a config. A name after it that belongs to
    no user stays as it is.

    >>> given_path("a/~/b").as_posix()
    'a/~/b'
    """
    # Not Path.expanduser: for it ./~ is ~, and a name of no user an error.
    return Path(os.path.expanduser(typed))  # noqa: PTH111


def with_home(uri: str) -> str:
    """Return an address in which ``~`` is the home folder.

    >>> with_home("sqlite:///runs~/mlflow.db")
    'sqlite:///runs~/mlflow.db'
    """
    path = uri.removeprefix(_SQLITE)
    if not path.startswith("~"):
        return uri
    return f"{_SQLITE if path != uri else ''}{given_path(path)}"


def settle_home() -> None:
    """Make MLflow read its address as ``tracking_uri`` does.

    MLflow would make a folder that is called ``~``.
    """
    given = os.environ.get(_STORE, "")
    if with_home(given) != given:
        os.environ[_STORE] = with_home(given)


def is_file(path: Path) -> bool:
    """Return True if there is such a file.

    A name that no file can have gives False.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
