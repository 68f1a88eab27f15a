"""Runs read from the tables of a local MLflow database.

MLflow is not needed, and nothing is ever written. That is ten to fifty times as fast as one call of MLflow's a history
(``docs/benchmarks.md``). A test holds both to the same bits. The tables that are read are checked first. If they are
not as expected, MLflow itself is asked.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.records import Experiment, History, Run, history, restore_infinities

# What is read of each table. Source: mlflow/store/tracking/dbmodels/models.py, 3.17.
_SCHEMA = {
    "experiments": {"experiment_id", "name", "lifecycle_stage"},
    "runs": {"run_uuid", "name", "status", "start_time", "end_time", "lifecycle_stage", "experiment_id"},
    "params": {"run_uuid", "key", "value"},
    "tags": {"run_uuid", "key", "value"},
    "latest_metrics": {"run_uuid", "key", "value", "is_nan"},
    "metrics": {"run_uuid", "key", "value", "is_nan", "step", "timestamp"},
}
_SECONDS_FOR_A_LOCK = 60
_POINT = np.dtype([("step", np.int64), ("milliseconds", np.int64), ("value", np.float64), ("is_nan", np.bool_)])
_INDEX = "index_metrics_run_uuid_key_step"
_RUN = "run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id"


class SqliteReader:
    """Reads a database file while others may write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fits(self) -> bool:
        """Return True if the file can be read and has the expected tables."""
        try:
            with self._connection() as connection:
                return all(
                    columns <= {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}
                    for table, columns in _SCHEMA.items()
                )
        except sqlite3.Error:
            return False

    def experiments(self) -> list[Experiment]:
        """Return the experiments that were not deleted."""
        question = "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active'"
        with self._connection() as connection:
            return [Experiment(str(row[0]), row[1]) for row in connection.execute(question)]

    def newest(self) -> str | None:
        """Return the id of the experiment whose latest run started last.

        Runs that are no results do not count.
        """
        marks = ", ".join("?" * len(names.TAGS_OF_NO_RESULT))
        question = (  # only marks are filled in
            "SELECT r.experiment_id FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id"  # noqa: S608
            " WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
            f" AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid AND t.key IN ({marks}))"
            " ORDER BY r.start_time DESC, r.run_uuid LIMIT 1"
        )
        with self._connection() as connection:
            row = connection.execute(question, names.TAGS_OF_NO_RESULT).fetchone()
        return str(row[0]) if row else None

    def runs(self, experiment_ids: Sequence[str]) -> list[Run]:
        """Return all runs of experiments, without histories.

        Deleted runs are among them.
        """
        marks = ", ".join("?" * len(experiment_ids))
        where = f"FROM runs WHERE experiment_id IN ({marks})"
        with self._connection() as connection:
            rows = connection.execute(f"SELECT {_RUN} {where}", experiment_ids).fetchall()
            params, tags, metrics = (
                _by_run(connection, table, f"SELECT run_uuid {where}", experiment_ids)
                for table in ("params", "tags", "latest_metrics")
            )
        return [_record(row, params[row[0]], tags[row[0]], metrics[row[0]]) for row in rows]

    def histories(self, runs: Sequence[Run], metrics: Collection[str] | None) -> dict[str, dict[str, History]]:
        """Return run id → metric → history.

        Args:
            runs: whose histories to read.
            metrics: of which metrics. None: of all that a run has.
        """
        histories: dict[str, dict[str, History]] = {}
        with self._connection() as connection:
            indexes = {str(row[1]) for row in connection.execute("PRAGMA index_list(metrics)")}
            # Left alone, sqlite does not look for the run first, and walks through all runs for each one of them.
            by_run = f"INDEXED BY {_INDEX}" if _INDEX in indexes else ""
            columns = f"step, timestamp, value, is_nan FROM metrics {by_run}"
            question = f"SELECT {columns} WHERE run_uuid = ? AND key = ?"
            for run in runs:
                wanted = [name for name in run.metrics if metrics is None or name in metrics]
                histories[run.run_id] = {}
                for name in wanted:
                    points = np.fromiter(connection.execute(question, [run.run_id, name]), _POINT)
                    values = np.where(points["is_nan"], np.nan, points["value"])
                    histories[run.run_id][name] = history(points["step"], values, points["milliseconds"])
        return histories

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open the file for reading only.

        A writer's short locks are waited for.
        """
        address = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_SECONDS_FOR_A_LOCK)) as connection:
            yield connection


def _by_run(
    connection: sqlite3.Connection, table: str, runs: str, values: Sequence[str]
) -> defaultdict[str, list[tuple[Any, ...]]]:
    column = "is_nan" if table == "latest_metrics" else "0"
    question = f"SELECT run_uuid, key, value, {column} FROM {table} WHERE run_uuid IN ({runs})"  # noqa: S608  # ours
    rows: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for run_id, *row in connection.execute(question, values):
        rows[run_id].append(tuple(row))
    return rows


def _record(row: Sequence[Any], params: Sequence[Any], tags: Sequence[Any], metrics: Sequence[Any]) -> Run:
    run_id, name, status, start, end, stage, experiment_id = row
    values = restore_infinities(np.array([np.nan if is_nan else value for _, value, is_nan in metrics], np.float64))
    return Run(
        run_id=run_id,
        name=name or "",
        status=status,
        params={key: value for key, value, _ in params},
        tags={key: value for key, value, _ in tags},
        metrics={key: float(value) for (key, _, _), value in zip(metrics, values, strict=True)},
        experiment_id=str(experiment_id),
        start=start or 0,
        end=end,
        deleted=stage == "deleted",
    )
