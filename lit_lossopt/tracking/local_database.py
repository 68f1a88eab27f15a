"""Making the database of a local store.

Processes that make one at once break each other's work, and one that is killed leaves half a file. Both are kept away
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.tracking import MlflowClient

from lit_lossopt.core.files import lock_file
from lit_lossopt.tracking import made_ahead
from lit_lossopt.tracking.addresses import sqlite_path


def make_database(path: Path | None) -> None:
    """Make a local database whole or not at all.

    A process that is killed while MLflow makes one leaves a file that can never be opened again.
    """
    if path is None or path.exists():
        return
    part = path.with_name(f"{path.name}.part")
    for left in (part, Path(f"{part}-journal")):
        left.unlink(missing_ok=True)
    if not made_ahead.take(part):
        MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)
    part.replace(path)


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Let one process at a time make a database or an experiment.

    Processes that do it at once break each other's work.
    """
    database = sqlite_path(uri)
    if database is None:
        yield
        return
    with lock_file(Path(f"{database}.lock")):
        yield
