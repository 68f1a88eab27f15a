"""RunLogger: one training run as one MLflow run, with every value of every step."""

from __future__ import annotations

import fcntl
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import mlflow
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from lit_lossopt import names
from lit_lossopt.errors import UserError, one_line
from lit_lossopt.recording import Point

STORE_ERRORS = (MlflowException, SQLAlchemyError, ImportError, OSError)
MAX_POINTS = 1000
MAX_PARAM_CHARACTERS = 6000
RUNS_FOR_COLOUR = 200
# Told apart by the colour-blind. Source: Okabe and Ito 2008, "Color Universal Design", without its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class RunLogger(Logger):
    """Writes to MLflow's own default store, so that a bare ``mlflow ui`` in the same folder shows the run.

    The store is ``sqlite:///mlflow.db`` in the working folder unless ``MLFLOW_TRACKING_URI`` says otherwise. With a
    local store the artifacts lie under ``./mlruns``.

    Args:
        experiment: the MLflow experiment, made if it does not exist.
        run_name: shown in MLflow; by default optimizer, rate, loss and seed.

    Raises:
        UserError: the store cannot be reached.
    """

    def __init__(self, experiment: str = names.EXPERIMENT, run_name: str | None = None) -> None:
        super().__init__()
        self.experiment_name = experiment
        self.run_name = run_name
        self._client: MlflowClient | None = None
        self._run_id: str | None = None
        self._attached = False
        self._local_artifacts: Path | None = None
        self._verdict = "completed"

    @property
    def name(self) -> str:
        """The experiment."""
        return self.experiment_name

    @property
    def version(self) -> str | None:
        """The run's id, once there is one."""
        return self._run_id

    @property
    def tracking_uri(self) -> str:
        """Where the runs are kept."""
        return mlflow.get_tracking_uri()

    def checkpoint_folder(self) -> Path:
        """Return the folder for checkpoints: among the run's artifacts, or local until the end if these are remote."""
        self.start()
        folder = self._local_artifacts or Path("mlruns") / "unsent" / str(self._run_id)
        return folder / names.CHECKPOINT_FOLDER

    @rank_zero_only
    def start(
        self,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Create the run, unless it exists, with its parameters and tags."""
        if self._run_id is not None:
            return
        try:
            self._client = connect(self.tracking_uri)
            experiment_id = self._experiment_id(self._client)
            artifacts = _local_path(self._client.get_experiment(experiment_id).artifact_location)
            if artifacts is not None:
                # Where it cannot be made, no run should have begun.
                artifacts.mkdir(parents=True, exist_ok=True)
            all_tags = {names.TAG_FRAMEWORK: "pytorch", **(tags or {})}
            if names.TAG_ARM in all_tags:
                all_tags[names.TAG_COLOUR] = _colour(self._client, experiment_id, all_tags[names.TAG_ARM])
            run = self._client.create_run(experiment_id, run_name=self.run_name or run_name, tags=all_tags)
            self._run_id = run.info.run_id
            self._local_artifacts = _local_path(run.info.artifact_uri)
            self.log_hyperparams(params or {})
        except STORE_ERRORS as error:
            raise UserError(f"cannot start a run in {self.tracking_uri}: {one_line(str(error), 200)}") from error

    def attach(self, run_id: str) -> bool:
        """Add to an existing run, without changing its status; return whether the store has it."""
        try:
            client = connect(self.tracking_uri)
            run = client.get_run(run_id)
        except STORE_ERRORS:
            return False
        self._client, self._run_id, self._attached = client, run_id, True
        self._local_artifacts = _local_path(run.info.artifact_uri)
        return True

    @rank_zero_only
    def log_points(self, points: Sequence[Point]) -> None:
        """Store points, at most a thousand in one call to the store."""
        client, run_id = self._run()
        metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
        for start in range(0, len(metrics), MAX_POINTS):
            client.log_batch(run_id, metrics=metrics[start : start + MAX_POINTS])

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Store one value a metric, at one step, now."""
        now = time.time_ns() // 1_000_000
        self.log_points([Point(name, float(value), step or 0, now) for name, value in metrics.items()])

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Any, *args: Any, **kwargs: Any) -> None:
        """Store flat parameters."""
        client, run_id = self._run()
        entries = [Param(name, str(value)[:MAX_PARAM_CHARACTERS]) for name, value in dict(params).items()]
        for start in range(0, len(entries), 100):
            client.log_batch(run_id, params=entries[start : start + 100])

    @rank_zero_only
    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Store tags; a tag that exists is replaced."""
        client, run_id = self._run()
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    @rank_zero_only
    def log_file(self, path: Path, folder: str = "") -> None:
        """Store a file among the artifacts."""
        client, run_id = self._run()
        client.log_artifact(run_id, str(path), folder or None)

    @rank_zero_only
    def log_text(self, text: str, name: str) -> None:
        """Store a text as the artifact ``name``."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            self.log_file(path)

    def set_verdict(self, verdict: str) -> None:
        """Say how the run ends: ``completed``, ``interrupted`` or ``failed``; stored when it is finalised."""
        self._verdict = verdict

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run: send checkpoints that are still local, then status and verdict."""
        if self._run_id is None or self._attached:
            return
        client, run_id = self._run()
        if status != "success" and self._verdict == "completed":
            self._verdict = "failed"
        if self._local_artifacts is None and self.checkpoint_folder().is_dir():
            client.log_artifacts(run_id, str(self.checkpoint_folder()), names.CHECKPOINT_FOLDER)
        self.log_tags({names.TAG_VERDICT: self._verdict})
        ended = {"completed": "FINISHED", "interrupted": "KILLED"}.get(self._verdict, "FAILED")
        client.set_terminated(run_id, ended)

    def _run(self) -> tuple[MlflowClient, str]:
        self.start()
        if self._client is None or self._run_id is None:
            raise RuntimeError("the run was not started")
        return self._client, self._run_id

    def _experiment_id(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self.experiment_name)
        if found is not None:
            return str(found.experiment_id)
        local = not self.tracking_uri.startswith(("http:", "https:", "databricks"))
        # Without an explicit place, an experiment that `mlflow ui` made first has a proxied root, to which a direct
        # client cannot write.
        folder = (Path("mlruns") / self.experiment_name).absolute().as_uri() if local else None
        return str(client.create_experiment(self.experiment_name, artifact_location=folder))


def connect(uri: str) -> MlflowClient:
    """Return a client of the store; a database that does not exist yet is made by one process at a time.

    Raises:
        UserError: the address holds a password, or names a database that is gone when the program ends.
    """
    parsed = urlparse(uri)
    if parsed.username or parsed.password:
        raise UserError(
            "MLFLOW_TRACKING_URI holds a name or password, which would show up in logs; use MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD with a server"
        )
    if not uri.startswith("sqlite:"):
        return MlflowClient(uri)
    path = Path(uri.removeprefix("sqlite:///"))
    if uri in ("sqlite://", "sqlite:///") or path.name == ":memory:":
        raise UserError(f"MLFLOW_TRACKING_URI={uri}: a database in memory is gone when the program ends; name a file")
    # Processes that make a database at the same time break each other.
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def _colour(client: MlflowClient, experiment_id: str, arm: str) -> str:
    """Return the arm's colour in this experiment, or the one used least: MLflow's own, by run id, often collide."""
    tags = [run.data.tags for run in client.search_runs([experiment_id], max_results=RUNS_FOR_COLOUR)]
    used = [tag[names.TAG_COLOUR] for tag in tags if names.TAG_COLOUR in tag]
    mine = [tag[names.TAG_COLOUR] for tag in tags if tag.get(names.TAG_ARM) == arm and names.TAG_COLOUR in tag]
    return mine[0] if mine else min(COLOURS, key=used.count)


def _local_path(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(url2pathname(parsed.path))
    return Path(uri) if parsed.scheme == "" and Path(uri).is_absolute() else None
