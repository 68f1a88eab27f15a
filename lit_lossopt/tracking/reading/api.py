"""Runs read through MLflow's public calls.

That serves for servers, and for whatever else MLflow can open.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.addresses import is_server
from lit_lossopt.tracking.reading.records import Experiment, History, Run, history, restore_infinities
from lit_lossopt.tracking.run_store import is_final
from lit_lossopt.tracking.store import STORE_ERRORS

_TRIES, _THREADS, _PAGE = 3, 8, 1000
Answer = TypeVar("Answer")


class ApiReader:
    """Reads one store by MLflow's client.

    Raises:
        UserError: the store does not answer. Each method may raise it.
    """

    def __init__(self, uri: str) -> None:
        quiet_stores(logging.WARNING)
        self.uri = uri
        self._client: MlflowClient = self._ask(lambda: MlflowClient(uri))

    def experiments(self) -> list[Experiment]:
        """Return the experiments that were not deleted."""
        pages = self._pages(lambda token: self._client.search_experiments(page_token=token))
        return [Experiment(item.experiment_id, item.name) for item in pages]

    def newest(self) -> str | None:
        """Return the id of the experiment whose latest run started last.

        Runs that are no results do not count.
        """
        ids = [item.experiment_id for item in self.experiments()]
        order = ["attributes.start_time DESC"]

        def page(token: str | None) -> Any:
            return self._client.search_runs(ids, "", max_results=50, order_by=order, page_token=token)

        runs = self._pages(page)
        aside = set(names.TAGS_OF_NO_RESULT)
        return next((run.info.experiment_id for run in runs if not aside & run.data.tags.keys()), None)

    def runs(self, experiment_ids: Sequence[str], filter_string: str = "") -> list[Run]:
        """Return the runs of experiments, without histories.

        Deleted runs are among them.

        Args:
            experiment_ids: of the experiments.
            filter_string: in MLflow's syntax. Empty: all runs.

        Raises:
            UserError: the filter is wrong, or the store does not answer.
        """
        ids = list(experiment_ids)

        def page(token: str | None) -> Any:
            return self._client.search_runs(ids, filter_string, ViewType.ALL, _PAGE, page_token=token)

        try:
            return [_record(run) for run in self._pages(page)]
        except UserError as error:
            if filter_string and getattr(error.__cause__, "error_code", "") == "INVALID_PARAMETER_VALUE":
                raise UserError(f"filter {filter_string!r}: {one_line(str(error.__cause__), 300)}") from error
            raise

    def histories(self, runs: Sequence[Run], metrics: Collection[str] | None) -> dict[str, dict[str, History]]:
        """Return run id → metric → history.

        Args:
            runs: whose histories to read.
            metrics: of which metrics. None: of all that a run has.
        """
        wanted = [
            (run.run_id, name) for run in runs for name in run.metrics if metrics is None or name in metrics
        ]  # fmt: skip
        histories: dict[str, dict[str, History]] = {run.run_id: {} for run in runs}
        with ThreadPoolExecutor(_THREADS if is_server(self.uri) else 1) as threads:
            for (run_id, name), points in zip(wanted, threads.map(self._history, wanted), strict=True):
                histories[run_id][name] = points
        return histories

    def _history(self, wanted: tuple[str, str]) -> History:
        points = self._ask(lambda: self._client.get_metric_history(*wanted))
        return history(
            np.array([point.step for point in points], np.int64),
            np.array([point.value for point in points], np.float64),
            np.array([point.timestamp for point in points], np.int64),
        )

    def _pages(self, page: Callable[[str | None], Any]) -> Any:
        token = None
        while True:
            answer = self._ask(lambda token=token: page(token))  # type: ignore[misc]  # mypy cannot infer the default
            yield from answer
            token = answer.token
            if not token:
                return

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        for attempt in range(1, _TRIES + 1):
            try:
                return call()
            except STORE_ERRORS as error:
                if attempt == _TRIES or is_final(error):
                    text = one_line(redact(str(error)), 300)
                    raise UserError(f"cannot read runs from {redact(self.uri)}: {text}") from error
                time.sleep(attempt)
        raise AssertionError


def _record(run: MlflowRun) -> Run:
    values = restore_infinities(np.array(list(run.data.metrics.values()), np.float64))
    return Run(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        metrics={name: float(value) for name, value in zip(run.data.metrics, values, strict=True)},
        experiment_id=run.info.experiment_id,
        start=run.info.start_time or 0,
        end=run.info.end_time,
        deleted=run.info.lifecycle_stage == "deleted",
    )
