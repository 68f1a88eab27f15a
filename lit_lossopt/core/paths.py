"""Paths and addresses as a person types them."""

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
    """Return a store's address with ``~`` as the home folder.

    >>> with_home("sqlite:///runs~/mlflow.db")
    'sqlite:///runs~/mlflow.db'
    """
    path = uri.removeprefix(_SQLITE)
    if not path.startswith("~"):
        return uri
    return f"{_SQLITE if path != uri else ''}{given_path(path)}"


def settle_home() -> None:
    """Have MLflow read its address as ``tracking_uri`` does.

    Otherwise it would make a folder that is called ``~``.
    """
    given = os.environ.get(_STORE, "")
    if with_home(given) != given:
        os.environ[_STORE] = with_home(given)


def is_file(path: Path) -> bool:
    """Return True if there is such a file.

    A name that no file can have raises nothing.

    >>> is_file(Path("a" * 5000))
    False
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
