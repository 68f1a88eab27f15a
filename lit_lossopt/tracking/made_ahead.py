"""What the first call to a local store takes longest for, done before there is a call.

MLflow needs two seconds to make a database, and half a second to open one for the first time. The process beside a
training has nothing else to do while the training imports its libraries. So a new database is made in memory. Nothing
is written before a run wants it: a command that ends with an error leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from mlflow.tracking import MlflowClient

from lit_lossopt.tracking.addresses import sqlite_path, tracking_uri

# Others would have to be quoted, by MLflow, SQLAlchemy and SQLite, each in its own way.
_PLAIN = re.compile(r"[\w/. -]+", re.ASCII)


class _Made(NamedTuple):
    """A database in memory.

    Attributes:
        connection: keeps it alive.
        folder: the working folder in which it was made; experiments name it.
    """

    connection: sqlite3.Connection
    folder: str


_made: list[_Made] = []


def get_ready(empty: Path) -> None:
    """Make a database in memory if the store has none so far, or look into the one that it has.

    The look is read-only. It fills the caches of libraries, which belong to the process.

    Args:
        empty: a folder that is removed at the end. MLflow makes folders wherever it opens a store.

    Raises:
        Exception: something is wrong with the store. The first call says it better.
    """
    database = sqlite_path(tracking_uri())
    if database is None or not _PLAIN.fullmatch(f"{database.absolute()}{Path.cwd()}"):
        return
    database = database.absolute()
    with _working_in(empty):
        if database.exists():
            _open(f"file:{database}?mode=ro")
            return
        name = f"file:lossopt-{uuid.uuid4().hex}?mode=memory&cache=shared"
        # Whichever thread takes it, nobody else uses it any more.
        connection = sqlite3.connect(name, uri=True, check_same_thread=False)
        _open(name)
        _made.append(_Made(connection, str(Path.cwd())))


def take(part: Path) -> bool:
    """Write the database that was made in memory to a file, and return True if there is one."""
    if not _made:
        return False
    connection, folder = _made.pop()
    with closing(connection), closing(sqlite3.connect(part)) as file:
        # MLflow notes an absolute folder for artifacts of its own first experiment.
        connection.execute(
            "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", (folder, str(Path.cwd()))
        )
        connection.commit()
        connection.backup(file)
    return True


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    home = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)


def _open(name: str) -> None:
    MlflowClient(f"sqlite:///{name}&uri=true").search_experiments(max_results=1)
