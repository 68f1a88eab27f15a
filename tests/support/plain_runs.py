"""Runs logged by plain MLflow calls, as any program could: no Lightning, nothing of this package."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

Points = Mapping[str, Iterable[tuple[int, float]]]
BEGAN = 1_700_000_000_000


def log_run(
    experiment: str,
    params: Mapping[str, Any],
    points: Points,
    *,
    tags: Mapping[str, str] | None = None,
    name: str | None = None,
    status: str = "FINISHED",
    milliseconds: Sequence[int] | None = None,
    span: tuple[int, int] | None = None,
) -> str:
    """Log one run and return its id.

    Args:
        experiment: its name.
        params: name → value.
        points: metric → its points.
        tags: name → text.
        name: of the run.
        status: in which it is left.
        milliseconds: of its points, one after the other.
        span: milliseconds of its start and end. None: now.
    """
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    start, end = span or (None, None)
    run_id = str(client.create_run(experiment_id, start, run_name=name).info.run_id)
    times = iter(milliseconds) if milliseconds is not None else iter(range(BEGAN, 2 * BEGAN))
    metrics = [Metric(key, value, next(times), step) for key, values in points.items() for step, value in values]
    texts = [Param(key, str(value)) for key, value in params.items()]
    marks = [RunTag(key, value) for key, value in (tags or {}).items()]
    for place in range(0, max(len(metrics), 1), 1000):
        first = place == 0
        client.log_batch(run_id, metrics[place : place + 1000], texts if first else (), marks if first else ())
    if status != "RUNNING":
        client.set_terminated(run_id, status, end)
    time.sleep(0.002)
    return run_id


def learning(seed: int, speed: float, *, end: float = 0.95, evaluations: int = 20, every: int = 100) -> Points:
    """Return the curves of a run that learns: accuracy rises from 0.1 to ``end``, the faster the larger ``speed``."""
    random = np.random.default_rng(seed)
    shift = 1 + 0.1 * random.standard_normal()
    steps = np.arange(evaluations + 1) * every
    accuracy = 0.1 + (end - 0.1) * (1 - np.exp(-speed * shift * steps / steps[-1]))
    accuracy += 0.002 * random.standard_normal(len(steps))
    losses = np.exp(-speed * np.arange(1, 41) / 40) + 0.05 * random.standard_normal(40)
    return {
        "val/accuracy": list(zip(steps.tolist(), accuracy.tolist(), strict=True)),
        "train/loss": list(zip(range(1, 41), losses.tolist(), strict=True)),
    }
