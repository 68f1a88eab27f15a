"""The MLflow store of a run.

Each operation may be repeated. What was sent twice is there once.
"""

from __future__ import annotations

import filecmp
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from lit_lossopt.core import names
from lit_lossopt.core.colours import COLOURS
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Status
from lit_lossopt.tracking.addresses import check_uri, is_server, local_path, sqlite_path, tame_client
from lit_lossopt.tracking.artifact_roots import check_artifact_root
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import FILES, entries_between
from lit_lossopt.tracking.local_database import make_database, one_at_a_time
from lit_lossopt.tracking.places import here, home_of, local_artifacts
from lit_lossopt.tracking.run_store import RunGoneError

MAX_POINTS, MAX_PARAMS, MAX_PARAM_CHARACTERS, MAX_TAG_CHARACTERS = 1000, 100, 6000, 8000
RUNS_FOR_COLOUR = 200

STORE_ERRORS = (MlflowException, SQLAlchemyError, sqlite3.Error, ImportError, OSError, RunGoneError)


class Store:
    """A store, asked for one run at a time.

    Args:
        uri: as MLflow writes it.

    Raises:
        UserError: the address holds a password, or names a database that is gone when the program ends.
    """

    elsewhere = False

    def __init__(self, uri: str) -> None:
        self.uri = check_uri(uri)
        tame_client()
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client.

        The database of a local store is made first, by one process at a time.
        """
        if self._client is None:
            with one_at_a_time(self.uri):
                make_database(sqlite_path(self.uri))
                client = MlflowClient(self.uri)
                client.search_experiments(max_results=1)
            self._client = client
        return self._client

    def is_being_made(self) -> bool:
        """Return True if there is no database so far."""
        database = sqlite_path(self.uri)
        return bool(database and not database.exists())

    def is_whole(self) -> bool:
        """Return True if there is a local database with experiments, which MLflow has no need to change."""
        database = sqlite_path(self.uri)
        if database is None:
            return False
        with suppress(sqlite3.Error), closing(self._read_only(database)) as connection:
            return connection.execute("SELECT 1 FROM experiments").fetchone() is not None
        return False

    def open(self) -> None:
        """Connect now, and not at the first call."""
        self.client.search_experiments(max_results=1)

    def create_run(self, header: Mapping[str, Any]) -> tuple[str, str]:
        """Return (run id, artifact address) of a run, made if it is missing.

        A run whose creation was not answered is found again by its journal's name.

        Args:
            header: ``experiment``, ``run_name``, ``tags``, ``milliseconds``, ``journal``, ``artifact_root``.
        """
        experiment_id = self.experiment_id(header["experiment"], header["artifact_root"])
        home = Path(header["artifact_root"]).parent
        experiment = self.client.get_experiment_by_name(header["experiment"])
        root = str(experiment.artifact_location) if experiment else ""
        check_artifact_root(root, self.uri, header["experiment"], home)
        tags = {**header["tags"], names.TAG_JOURNAL: header["journal"]}
        runs = self._runs_of(experiment_id, header["journal"])
        if not runs:
            if names.TAG_ARM in tags:
                tags[names.TAG_COLOUR] = self._colour(experiment_id, tags[names.TAG_ARM])
            run = self.client.create_run(experiment_id, header["milliseconds"], tags, header["run_name"])
            runs = [run]
        return str(runs[0].info.run_id), str(runs[0].info.artifact_uri)

    def remove_twins(self, run_id: str, header: Mapping[str, Any]) -> None:
        """Delete other runs of the same journal.

        A server may create one long after its answer was given up.
        """
        if not is_server(self.uri):
            return
        for run in self._runs_of(self.experiment_id(header["experiment"], header["artifact_root"]), header["journal"]):
            if run.info.run_id != run_id:
                self.client.delete_run(run.info.run_id)

    def send(self, run_id: str, entries: Sequence[Entry], folder: Path) -> None:
        """Store entries in order.

        Args:
            run_id: the run's id.
            entries: of the journal.
            folder: the journal's.
        """
        points: list[Metric] = []
        for entry in entries:
            if entry["kind"] == "points":
                points += [Metric(name, value, time, step) for name, value, step, time in entry["points"]]
                continue
            self._send_points(run_id, points)
            points = []
            self._send_entry(run_id, entry, folder)
        self._send_points(run_id, points)

    def send_lines(self, run_id: str, folder: Path, start: int, end: int) -> None:
        """Store the entries between two places in a journal's file."""
        self.send(run_id, entries_between(folder, start, end), folder)

    @staticmethod
    def _read_only(database: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=5)

    def counts(self, run_id: str) -> dict[str, int]:
        """Return metric → number of points in the store."""
        database = sqlite_path(self.uri)
        if database:
            with closing(self._read_only(database)) as connection:
                rows = connection.execute("SELECT key, COUNT(*) FROM metrics WHERE run_uuid = ? GROUP BY key", [run_id])
                return {str(name): int(count) for name, count in rows}
        metrics = self.client.get_run(run_id).data.metrics
        return {name: len(self.client.get_metric_history(run_id, name)) for name in metrics}

    def check_run(self, run_id: str) -> None:
        """Check that the store has a run.

        Raises:
            RunGoneError: it does not, or the run was deleted there.
        """
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise RunGoneError(f"{self.uri} has no run {run_id}") from error
            raise
        if run.info.lifecycle_stage == "deleted":
            raise RunGoneError(f"run {run_id} was deleted in {self.uri}")

    def mark_undelivered(self, run_id: str, missing: int) -> None:
        """Tag a run with the number of its missing values.

        Once there are none, the tag goes.
        """
        tagged = names.TAG_UNDELIVERED in self.client.get_run(run_id).data.tags
        if missing:
            self.client.set_tag(run_id, names.TAG_UNDELIVERED, str(missing))
        elif tagged:
            self.client.delete_tag(run_id, names.TAG_UNDELIVERED)

    def find_run(self, name: str) -> str:
        """Return the id of a run, by its id or its journal's first name.

        Raises:
            RunGoneError: there is none.
        """
        with suppress(MlflowException):
            return str(self.client.get_run(name).info.run_id)
        for experiment in self.client.search_experiments():
            runs = self._runs_of(experiment.experiment_id, name)
            if runs:
                return str(runs[0].info.run_id)
        raise RunGoneError(f"{self.uri} has no run {name}")

    def end_of(self, name: str) -> tuple[str, int] | None:
        """Return (status, milliseconds) of a run's end, or None.

        Args:
            name: its id, or the name of its journal from before it was made.
        """
        try:
            run = self.client.get_run(self.find_run(name))
        except RunGoneError:
            return None
        return (str(run.info.status), int(run.info.end_time)) if run.info.end_time else None

    def last_steps(self, run_id: str) -> dict[str, int]:
        """Return metric → the last step that the store holds."""
        # The store keeps the point of the last step apart, so no history is read.
        points = self.client.get_run(run_id).data._metric_objs  # noqa: SLF001  # no public way
        return {point.key: point.step for point in points}

    def experiment_of(self, run_id: str) -> str:
        """Return the id of a run's experiment."""
        return str(self.client.get_run(run_id).info.experiment_id)

    def artifact_uri(self, run_id: str) -> str:
        """Return where a run's artifacts lie."""
        return str(self.client.get_run(run_id).info.artifact_uri)

    def _send_points(self, run_id: str, points: Sequence[Metric]) -> None:
        for start in range(0, len(points), MAX_POINTS):
            self.client.log_batch(run_id, metrics=points[start : start + MAX_POINTS])

    def _send_entry(self, run_id: str, entry: Entry, folder: Path) -> None:
        kind = entry["kind"]
        if kind == "params":
            params = [Param(name, str(value)[:MAX_PARAM_CHARACTERS]) for name, value in entry["params"].items()]
            for start in range(0, len(params), MAX_PARAMS):
                self.client.log_batch(run_id, params=params[start : start + MAX_PARAMS])
        elif kind == "tags":
            tags = [RunTag(name, str(value)[:MAX_TAG_CHARACTERS]) for name, value in entry["tags"].items()]
            self.client.log_batch(run_id, tags=tags)
        elif kind == "file":
            self.keep(run_id, folder / FILES / entry["name"], entry["folder"], home_of(folder))
        elif kind == "folder":
            home = home_of(folder)
            self.keep(run_id, here(Path(entry["path"]), home), entry["folder"], home)
        elif kind == "running":
            self.client.update_run(run_id, status=Status.RUNNING)
        elif kind == "end":
            self.client.set_terminated(run_id, entry["status"], entry["milliseconds"])

    def keep(self, run_id: str, source: Path, name: str, home: Path) -> None:
        """Keep a file, or the files of a folder, among the artifacts.

        They go where the artifacts are now. MLflow would make the place anew that they had before their folder was
        moved.

        Args:
            run_id: the run's id.
            source: the file or folder. One that is missing is left out.
            name: of the folder among the artifacts, or empty.
            home: the folder that holds the run's ``mlruns``.
        """
        if not source.exists() or (source.is_dir() and not any(source.iterdir())):
            return
        uri = self.artifact_uri(run_id)
        place, noted = local_artifacts(uri, home), local_path(uri)
        if place is None or place == noted:
            log = self.client.log_artifacts if source.is_dir() else self.client.log_artifact
            log(run_id, str(source), name or None)
            return
        (place / name).mkdir(parents=True, exist_ok=True)
        for file in source.iterdir() if source.is_dir() else (source,):
            if file.absolute() != (place / name / file.name).absolute():
                shutil.copyfile(file, place / name / file.name)

    def holds(self, run_id: str, source: Path, name: str, home: Path) -> bool:
        """Return True if the artifacts have each file of a folder.

        On this machine the bytes are compared, elsewhere the sizes.
        """
        files = {file.name: file for file in source.iterdir()}
        place = local_artifacts(self.artifact_uri(run_id), home)
        if place is not None:
            pairs = [(file, place / name / file.name) for file in files.values()]
            return all(copy.is_file() and filecmp.cmp(file, copy, shallow=False) for file, copy in pairs)
        there = {Path(item.path).name: item.file_size for item in self.client.list_artifacts(run_id, name)}
        return all(there.get(name) == file.stat().st_size for name, file in files.items())

    def _runs_of(self, experiment_id: str, journal: str) -> list[Any]:
        wanted = f"tags.`{names.TAG_JOURNAL}` = '{journal}'"
        return list(self.client.search_runs([experiment_id], wanted, order_by=["attributes.start_time ASC"]))

    def experiment_id(self, name: str, artifact_root: str) -> str:
        """Return the id of an experiment, made if it is missing.

        Args:
            name: its name.
            artifact_root: the folder for artifacts of a local store.

        Raises:
            UserError: it was deleted.
        """
        client = self.client
        with one_at_a_time(self.uri):
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                # Without an explicit place, an experiment that `mlflow ui` made first has a proxied root, to which a
                # direct client cannot write.
                folder = None if is_server(self.uri) else (Path(artifact_root) / name).as_uri()
                kind = {names.TAG_KIND: names.TRAINING_KIND}
                try:
                    return str(client.create_experiment(name, artifact_location=folder, tags=kind))
                except MlflowException:
                    experiment = client.get_experiment_by_name(name)
                    if experiment is None:
                        raise
        if experiment.lifecycle_stage == "deleted":
            raise UserError(
                f"tracking.experiment={name}: it was deleted in {self.uri}; restore it (mlflow experiments restore "
                f"--experiment-id {experiment.experiment_id}), or take another name"
            )
        if names.TAG_KIND not in experiment.tags:
            # Made by an earlier version of this package, or by another program.
            with suppress(*STORE_ERRORS):
                client.set_experiment_tag(experiment.experiment_id, names.TAG_KIND, names.TRAINING_KIND)
        return str(experiment.experiment_id)

    def _colour(self, experiment_id: str, arm: str) -> str:
        """Return the arm's colour in its experiment, or the one used least.

        The colours that MLflow chooses by run id often collide.
        """
        # Asked for alone first: reading two hundred runs takes as long as a small training.
        quote = '"' if "'" in arm else "'"
        wanted = f"tags.`{names.TAG_ARM}` = {quote}{arm}{quote}"
        same = [] if '"' in arm else self.client.search_runs([experiment_id], wanted, max_results=1)
        mine = [run.data.tags[names.TAG_COLOUR] for run in same if names.TAG_COLOUR in run.data.tags]
        if mine:
            return mine[0]
        tags = [run.data.tags for run in self.client.search_runs([experiment_id], max_results=RUNS_FOR_COLOUR)]
        used = [tag[names.TAG_COLOUR] for tag in tags if names.TAG_COLOUR in tag]
        return min(COLOURS, key=used.count)
