"""Runs read back from a store, as plain records.

Neither torch nor lightning is needed. A local store is read without MLflow too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.tracking.addresses import check_file_store, check_uri, reading_patience, sqlite_path, tracking_uri
from lit_lossopt.tracking.reading.branches import with_trunks
from lit_lossopt.tracking.reading.records import Experiment, History, Run
from lit_lossopt.tracking.reading.sqlite import SqliteReader

__all__ = [
    "Experiment",
    "History",
    "NoSuchRunError",
    "Run",
    "experiments_of",
    "find_experiment",
    "read_history",
    "read_runs",
    "with_histories",
]


class NoSuchRunError(UserError):
    """The store has no run of an id."""


class Reader(Protocol):
    """Reads one store."""

    def experiments(self) -> list[Experiment]:
        """Return the experiments that were not deleted."""

    def newest(self) -> str | None:
        """Return the id of the experiment whose latest run started last.

        Runs that are no results do not count.
        """

    def runs(self, experiment_ids: Sequence[str]) -> list[Run]:
        """Return all runs of experiments, without histories.

        Deleted runs are among them.
        """

    def histories(self, runs: Sequence[Run], metrics: Collection[str] | None) -> dict[str, dict[str, History]]:
        """Return run id → metric → history.

        Args:
            runs: whose histories to read.
            metrics: of which metrics. None: of all that a run has.
        """


def find_experiment(name: str | None = None) -> Experiment:
    """Return the experiment of this name.

    Without a name, it is the one whose latest run started last.

    Raises:
        UserError: there is none.
    """
    with _reading() as reader:
        known = reader.experiments()
        newest = reader.newest() if name is None else None
    wanted = (item for item in known if (item.name == name if name is not None else item.experiment_id == newest))
    found = next(wanted, None)
    if found is None and name is None:
        raise UserError(f"no runs yet in {tracking_uri()}")
    if found is None:
        near = did_you_mean(str(name), [item.name for item in known])
        raise UserError(f"no experiment {name!r} in {tracking_uri()}{near}")
    return found


def experiments_of(runs: Sequence[Run]) -> list[Experiment]:
    """Return the experiments to which runs belong."""
    wanted = {run.experiment_id for run in runs}
    with _reading() as reader:
        return [item for item in reader.experiments() if item.experiment_id in wanted]


def read_runs(
    experiment: str | None = None,
    filter_string: str = "",
    run_ids: Sequence[str] = (),
    metrics: Collection[str] | None = (),
    *,
    deleted: bool = False,
) -> list[Run]:
    """Return runs, oldest first.

    Args:
        experiment: its name. None: the one whose latest run started last, or with ``run_ids`` any.
        filter_string: in MLflow's syntax, as ``params.optimizer = 'SGD'``.
        run_ids: only these runs, in this order, by their ids or beginnings of them.
        metrics: whose histories to read. None: all.
        deleted: whether deleted runs are among them.

    Raises:
        UserError: there is no such experiment or run, or the store cannot be read.
    """
    with _reading() as reader:
        if run_ids and experiment is None:
            ids = [item.experiment_id for item in reader.experiments()]
        else:
            ids = [find_experiment(experiment).experiment_id]
        runs = _filtered(ids, filter_string) if filter_string else reader.runs(ids)
    runs = sorted((run for run in runs if deleted or not run.deleted), key=lambda run: (run.start, run.run_id))
    return with_histories(_named(runs, run_ids) if run_ids else runs, metrics)


def with_histories(runs: Sequence[Run], metrics: Collection[str] | None = None) -> list[Run]:
    """Return the same runs with histories.

    A branch has those of the run that it begins from in front of its own.

    Args:
        runs: without histories.
        metrics: whose histories to read. None: all.

    Raises:
        UserError: the store cannot be read.
    """
    if metrics is not None and not metrics:
        return list(runs)
    with _reading() as reader:

        def read(wanted: Sequence[Run]) -> list[Run]:
            histories = reader.histories(wanted, metrics)
            return [replace(run, histories=histories[run.run_id]) for run in wanted]

        def read_trunks(run_ids: Collection[str]) -> list[Run]:
            everywhere = reader.runs([item.experiment_id for item in reader.experiments()])
            return read([run for run in everywhere if run.run_id in run_ids])

        return with_trunks(read(runs), read_trunks)


def read_history(run_id: str, metric: str) -> History:
    """Return every point of a metric, ordered by step.

    The history is empty if the run has none.

    Raises:
        UserError: the store cannot be read.
    """
    asked = Run(run_id, "", "", {}, {}, {metric: 0.0})
    with _reading() as reader:
        return reader.histories([asked], None)[run_id][metric]


@contextmanager
def _reading() -> Iterator[Reader]:
    """Yield the fastest reader that fits the store.

    MLflow is loaded only if it is needed.
    """
    uri = check_uri(tracking_uri())
    check_file_store(uri)
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        raise UserError(f"no runs yet: {path} does not exist; MLFLOW_TRACKING_URI={uri} says where to look")
    local = SqliteReader(path) if path else None
    if local is not None and local.fits():
        try:
            yield local
        except sqlite3.Error as error:
            raise UserError(f"cannot read {path}: {error}; is another program writing it all the time?") from error
        return
    from lit_lossopt.tracking.reading.api import ApiReader

    with reading_patience():
        yield ApiReader(uri)


def _filtered(experiment_ids: Sequence[str], filter_string: str) -> list[Run]:
    from lit_lossopt.tracking.reading.api import ApiReader

    with reading_patience():
        return ApiReader(tracking_uri()).runs(experiment_ids, filter_string)


def _named(runs: Sequence[Run], wanted: Sequence[str]) -> list[Run]:
    by_id: dict[str, Run] = {}
    for word in wanted:
        matching = [run for run in runs if run.run_id.startswith(word)] if word else []
        # What a run was called before its store had answered.
        matching = matching or [run for run in runs if word and run.tags.get(names.TAG_JOURNAL, "").startswith(word)]
        if not matching:
            raise NoSuchRunError(f"run {word!r}: there is no such run in {tracking_uri()}")
        if len(matching) > 1:
            raise UserError(f"run {word!r}: {len(matching)} runs begin with it in {tracking_uri()}")
        by_id[matching[0].run_id] = matching[0]
    return list(by_id.values())
