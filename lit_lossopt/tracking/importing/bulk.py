"""A whole run written to a local MLflow database at once.

That is about fifteen times as fast as MLflow's own calls (``docs/importing.md``). All of a run is one transaction, so a
process that is killed leaves none of it. The tables are looked at first. If they are not as expected, MLflow itself is
asked. A test holds both ways to the same rows.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from math import isfinite, isnan
from pathlib import Path
from uuid import uuid4

from lit_lossopt.core.names import Status
from lit_lossopt.tracking.importing.points import moments
from lit_lossopt.tracking.importing.records import Series

# All columns of each table that is written. Source: mlflow/store/tracking/dbmodels/models.py, 3.17.
_SCHEMA = {
    "params": {"run_uuid", "key", "value"},
    "tags": {"run_uuid", "key", "value"},
    "metrics": {"run_uuid", "key", "value", "is_nan", "step", "timestamp"},
    "latest_metrics": {"run_uuid", "key", "value", "is_nan", "step", "timestamp"},
}
# What is written of a run. All else is as in the run that it is made like.
_OF_A_RUN = {
    "run_uuid": ":run",
    "name": ":name",
    "status": ":status",
    "start_time": ":start",
    "end_time": ":end",
    "deleted_time": "NULL",
    "lifecycle_stage": "'active'",
    "artifact_uri": "replace(artifact_uri, :like, :run)",
}
_TAG_OF_NAME = "mlflow.runName"
_SECONDS_FOR_A_LOCK = 60
_POINT = "(run_uuid, key, value, is_nan, step, timestamp) VALUES (?, ?, ?, ?, ?, ?)"
_TEXT = "(run_uuid, key, value) VALUES (?, ?, ?)"


@dataclass(frozen=True)
class Content:
    """What a run holds.

    Attributes:
        name: of the run.
        params: name → text.
        metrics: name → points.
        tags: name → text.
        times: start and end in milliseconds. The end may be unknown.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, Series]
    tags: Mapping[str, str]
    times: tuple[int, int | None]


Row = tuple[str, str, float, int, int, int]


def can_write(path: Path) -> bool:
    """Return True if a database has the expected tables, and nothing that acts on writing."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            triggers = connection.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            found = {table: _columns(connection, table) for table in (*_SCHEMA, "runs")}
    except sqlite3.Error:
        return False
    written = {(table,) for table in found}
    as_known = all(found[table] == columns for table, columns in _SCHEMA.items())
    return as_known and found["runs"] >= _OF_A_RUN.keys() and not written & set(triggers)


def write_run(path: Path, content: Content, run_id: str = "", gone: str = "", like: str = "") -> None:
    """Fill in a run that MLflow has just made, or make one like another, and end it.

    Args:
        path: the database.
        content: of the run.
        run_id: of a run that is there. Without it one is made.
        gone: a tag that is removed.
        like: the run, made by MLflow, of which one is made that has other contents.

    Raises:
        sqlite3.Error: the database does not take it. It holds nothing of it then.
    """
    start, end = content.times
    values = {"run": run_id or uuid4().hex, "name": content.name, "start": start, "end": end, "like": like}
    run = str(values["run"])
    tags = content.tags if run_id else {_TAG_OF_NAME: content.name, **content.tags}
    with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        if not run_id:
            _make(connection, values)
        connection.executemany(f"INSERT INTO params {_TEXT}", [(run, *pair) for pair in content.params.items()])
        connection.executemany(f"INSERT OR REPLACE INTO tags {_TEXT}", [(run, *pair) for pair in tags.items()])
        connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (run, gone))
        for name, series in content.metrics.items():
            connection.executemany(f"INSERT INTO metrics {_POINT}", _rows(run, name, series, start))
            connection.execute(f"INSERT INTO latest_metrics {_POINT}", _latest(run, name, series, start))
        connection.execute(
            "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?", (Status.FINISHED.value, end, run)
        )


def _make(connection: sqlite3.Connection, values: Mapping[str, object]) -> None:
    """Make a run that has the columns of another, but for its own."""
    columns = {name: _OF_A_RUN.get(name, name) for name in sorted(_columns(connection, "runs"))}
    made = connection.execute(
        f"INSERT INTO runs ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM runs "  # noqa: S608  # ours
        "WHERE run_uuid = :like",
        {**values, "status": Status.FINISHED.value},
    )
    if made.rowcount != 1:
        raise sqlite3.OperationalError("the first run of this import is gone")


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def _latest(run_id: str, name: str, series: Series, start: int) -> Row:
    """Return the last value of a metric, by MLflow's rule."""
    last = max(series.steps)
    return max((row for row in _rows(run_id, name, series, start) if row[4] == last), key=lambda row: (row[5], row[2]))


def _rows(run_id: str, name: str, series: Series, start: int) -> Iterator[Row]:
    """Yield the points of a metric, with numbers that are not finite as MLflow stores them."""
    values: Sequence[float] = series.values
    marks: Iterable[int] = repeat(0)
    if not all(map(isfinite, values)):
        marks = [int(isnan(value)) for value in values]
        values = [_storable(value) for value in values]
    times = moments(series, start)
    return zip(repeat(run_id), repeat(name), values, marks, series.steps, times, strict=False)


def _storable(value: float) -> float:
    if isnan(value):
        return 0.0
    return min(max(value, -sys.float_info.max), sys.float_info.max)
