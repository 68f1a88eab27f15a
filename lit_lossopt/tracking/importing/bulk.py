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
from itertools import repeat
from math import isfinite, isnan
from pathlib import Path

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
_RUN_COLUMNS = {"run_uuid", "status", "end_time"}
_SECONDS_FOR_A_LOCK = 60
_POINT = "(run_uuid, key, value, is_nan, step, timestamp) VALUES (?, ?, ?, ?, ?, ?)"
_TEXT = "(run_uuid, key, value) VALUES (?, ?, ?)"

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
    return as_known and found["runs"] >= _RUN_COLUMNS and not written & set(triggers)


def write_run(
    path: Path,
    run_id: str,
    params: Mapping[str, str],
    metrics: Mapping[str, Series],
    tags: Mapping[str, str],
    gone: str,
    times: tuple[int, int | None],
) -> None:
    """Fill in a run that MLflow has just made, and end it.

    Args:
        path: the database.
        run_id: of the run.
        params: name → text.
        metrics: name → points.
        tags: name → text.
        gone: the tag that is removed.
        times: start and end in milliseconds. The end may be unknown.

    Raises:
        sqlite3.Error: the database does not take it. It holds nothing of it then.
    """
    start, end = times
    with closing(sqlite3.connect(path, timeout=_SECONDS_FOR_A_LOCK)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO params {_TEXT}", [(run_id, *pair) for pair in params.items()])
        connection.executemany(f"INSERT OR REPLACE INTO tags {_TEXT}", [(run_id, *pair) for pair in tags.items()])
        connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = ?", (run_id, gone))
        for name, series in metrics.items():
            connection.executemany(f"INSERT INTO metrics {_POINT}", _rows(run_id, name, series, start))
            connection.execute(f"INSERT INTO latest_metrics {_POINT}", _latest(run_id, name, series, start))
        connection.execute(
            "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?", (Status.FINISHED.value, end, run_id)
        )


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
