"""A database of MLflow, made and kept in memory before a run wants one.

MLflow needs two seconds to make a database. The process beside a training has nothing else to do while the training
imports its libraries. Nothing is written to the working folder before a run begins, so a command that ends with an
error leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from mlflow.tracking import MlflowClient

# Others MLflow might quote where it writes down a folder.
_PLAIN = re.compile(r"[\w/. -]+", re.ASCII)


class _Made(NamedTuple):
    """A database in memory.

    Attributes:
        connection: its only one.
        folder: the working folder in which it was made; experiments name it.
    """

    connection: sqlite3.Connection
    folder: str


_made: list[_Made] = []


def make(empty: Path) -> None:
    """Make a database, which the next database of this process is a copy of.

    Args:
        empty: a name for a folder of temporary files, which is made, and removed at the end.

    Raises:
        Exception: MLflow cannot make one.
    """
    if not _PLAIN.fullmatch(f"{empty}{Path.cwd()}"):
        return
    # Whichever thread takes it, nobody else uses it any more.
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    # MLflow makes folders wherever it opens a store.
    with _working_in(empty):
        database = Path.cwd() / "mlflow.db"
        MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
        with closing(sqlite3.connect(database)) as file:
            file.backup(memory)
        _made.append(_Made(memory, str(Path.cwd())))


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
    folder.mkdir(mode=0o700)
    try:
        os.chdir(folder)
        yield
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)
