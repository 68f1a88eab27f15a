"""Reading runs back from MLflow, as plain records; needs neither torch nor lightning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from lit_lossopt.errors import UserError


@dataclass(frozen=True)
class History:
    """One metric of one run: steps ``[n]`` int64, rising, and values ``[n]`` float64."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One run: its parameters, tags and the last value of each metric."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def read_runs(experiment: str, filter_string: str = "") -> list[Run]:
    """Return the runs of an experiment, oldest first.

    Raises:
        UserError: there is no such experiment in the store.
    """
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise UserError(f"no experiment {experiment!r} in {client.tracking_uri}")
    runs = client.search_runs([found.experiment_id], filter_string, max_results=50_000)
    return [_record(run) for run in reversed(runs)]


def read_history(run_id: str, metric: str) -> History:
    """Return every point of a metric, ordered by step."""
    points = sorted(MlflowClient().get_metric_history(run_id, metric), key=lambda point: point.step)
    return History(
        np.array([point.step for point in points], dtype=np.int64),
        np.array([point.value for point in points], dtype=np.float64),
    )


def charts_page(experiment: str) -> str:
    """Return the address, behind the server's own, of MLflow's page that draws an experiment's metrics."""
    found = MlflowClient().get_experiment_by_name(experiment)
    return f"/#/experiments/{found.experiment_id}/runs?compareRunsMode=CHART" if found else "/"


def _record(run: MlflowRun) -> Run:
    return Run(run.info.run_id, run.info.run_name, run.info.status, run.data.params, run.data.tags, run.data.metrics)
