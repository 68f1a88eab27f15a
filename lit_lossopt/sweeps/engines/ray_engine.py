"""Trials as tasks of Ray.

They run on a running cluster, or on one that is started here for the while.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.machine import cores
from lit_lossopt.core.quiet import set_default_variables
from lit_lossopt.sweeps.engines.local import output_of
from lit_lossopt.sweeps.engines.ray_task import run_trial
from lit_lossopt.sweeps.engines.scheduling import Attempt, Schedule
from lit_lossopt.sweeps.engines.table import Wishes
from lit_lossopt.sweeps.trial import Outcome, Resources, Trial, Watch

# Seconds within which everything on a machine that has lost its raylet has ended.
DEATH = 10.0
# What a trial on another machine must know of this one's environment.
_PREFIXES = ("MLFLOW_", "LOSSOPT_")


class RayEngine:
    """Runs trials as Ray tasks.

    Each has its CPUs and its share of a GPU.

    A trial whose worker or machine dies is tried again elsewhere, as a sweep on one machine does it; Ray's own retries
    are off, because they would not ask the store first. On a cluster of several machines the store must be an MLflow
    server, and this package be installed on each.

    Args:
        resources: how many at once (0: as many as the cluster has room for), and what each takes.
        address: of a running cluster; empty: one is started here.
        trial_seconds: a trial that takes longer is stopped, and has failed; None: no limit.
        command: ``module:function`` that takes a trial's words and returns its exit status.
        rehearsal: ``module:function`` that prepares a worker.
    """

    def __init__(
        self,
        resources: Resources,
        address: str = "",
        trial_seconds: float | None = None,
        command: str = "lit_lossopt.__main__:main",
        rehearsal: str = "lit_lossopt.sweeps.engines.rehearsal:rehearse",
    ) -> None:
        self.resources = resources
        self.address = address
        self.trial_seconds = trial_seconds
        self.command = command
        self.rehearsal = rehearsal

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; running trials were told to save and end, and have.
            UserError: Ray is not installed, there is no such cluster, or it needs an MLflow server.
        """
        workers = RayWorkers(self.command, self.rehearsal, self.resources, self.address, self.trial_seconds)
        return Schedule(workers, trials, watch, done).outcomes()


class RayWorkers:
    """Attempts as Ray tasks.

    Args:
        command: takes words, returns an exit status.
        rehearsal: prepares a worker.
        resources: of each attempt.
        address: of a running cluster; empty: one is started here.
        trial_seconds: counted where the trial runs, from its own start: it may have waited long for its turn.
    """

    def __init__(
        self, command: str, rehearsal: str, resources: Resources, address: str, trial_seconds: float | None
    ) -> None:
        self._ray = _connected(resources, address)
        self._arguments = command, rehearsal
        self._resources, self._trial_seconds = resources, trial_seconds
        self._environment = {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES)}
        self._attempts: dict[Any, Attempt] = {}
        self._said: dict[int, tuple[str, str]] = {}
        # Killed, and perhaps still dying: when each counts as ended.
        self._dying: list[tuple[float, Attempt]] = []

    def count(self) -> int:
        """Return how many attempts can run at once.

        Machines may come and go.
        """
        if self._resources.workers:
            return self._resources.workers
        there = self._ray.cluster_resources()
        rooms = [there.get("CPU", 0) / self._resources.threads]
        if self._resources.gpus:
            rooms.append(there.get("GPU", 0) / self._resources.gpus)
        return max(1, int(min(rooms) + 1e-9))

    def start(self, attempt: Attempt) -> None:
        """Submit it."""
        task = self._ray.remote(run_trial).options(
            num_cpus=self._resources.threads, num_gpus=self._resources.gpus, max_retries=0, name=attempt.trial.arm
        )
        given = attempt.words(), str(Path.cwd()), self._environment, self._resources.gpus, self._trial_seconds
        self._attempts[task.remote(*self._arguments, *given)] = attempt

    def ended(self, seconds: float) -> list[tuple[Attempt, int]]:
        """Return what has ended.

        What was killed is among it only when nothing of it can live any more.
        """
        now = time.monotonic()
        found = [(attempt, -signal.SIGKILL) for due, attempt in self._dying if due <= now]
        self._dying = [(due, attempt) for due, attempt in self._dying if due > now]
        if not self._attempts:
            time.sleep(0 if found else seconds)
            return found
        references = list(self._attempts)
        ready, _ = self._ray.wait(references, num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0) if ready else ([], [])
        for reference in ready:
            attempt = self._attempts.pop(reference)
            status = self._status(reference, attempt)
            if status is None:
                self._dying.append((time.monotonic() + DEATH, attempt))
            else:
                found.append((attempt, status))
        return found

    def line(self, attempt: Attempt) -> str:
        """Return the last line that it printed, once it ended."""
        return self._said.get(id(attempt), ("", ""))[0]

    def last_words(self, attempt: Attempt, *, failed: bool) -> str:
        """Return the last line of an attempt that has ended.

        Of an attempt that failed all output is kept, and the line says where.
        """
        line, text = self._said.pop(id(attempt), ("", ""))
        if not failed or not text:
            return line
        output = output_of(attempt.trial)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        return f"{line} (all that it said: {output})"

    def stop(self, attempt: Attempt) -> None:
        """Tell it to save and end."""
        self._cancel(attempt, force=False)

    def kill(self, attempt: Attempt) -> None:
        """End its worker."""
        self._cancel(attempt, force=True)

    def close(self) -> None:
        """End what still runs.

        A cluster that was started here ends, too.
        """
        for attempt in list(self._attempts.values()):
            self.kill(attempt)
        with suppress(Exception):
            self._ray.shutdown()

    def _status(self, reference: Any, attempt: Attempt) -> int | None:
        """Return an exit status.

        It is None where a process or a machine has died.
        """
        failures = self._ray.exceptions
        try:
            done = self._ray.get(reference)
        except failures.TaskCancelledError:
            return -signal.SIGTERM
        except failures.RayTaskError as error:
            self._said[id(attempt)] = one_line(str(error.cause), 300), str(error)
            return 1
        except failures.RayError as error:
            self._said[id(attempt)] = one_line(str(error), 300), ""
            return None
        self._said[id(attempt)] = done.line, done.text
        attempt.too_long = done.too_long
        return int(done.status)

    def _cancel(self, attempt: Attempt, *, force: bool) -> None:
        for reference, one in self._attempts.items():
            if one is attempt:
                self._ray.cancel(reference, force=force)


def _connected(resources: Resources, address: str) -> Any:
    """Return Ray, connected.

    Raises:
        UserError: it is not installed, there is no such cluster, or that needs an MLflow server.
    """
    set_default_variables(RAY_USAGE_STATS_ENABLED="0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--engine ray needs a package: pip install 'lit_lossopt[ray]'") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            _reach(address)
            ray.init(address=address, **quiet)
        else:
            room = max(1, resources.workers) * resources.threads
            ray.init(
                address="local", num_cpus=max(room, cores()), include_dashboard=False, _node_ip_address="127.0.0.1",
                **quiet,
            )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UserError(f"--ray-address {address or '(none)'}: {one_line(str(error), 200)}") from error
    try:
        need_server(ray.nodes())
    except UserError:
        ray.shutdown()
        raise
    return ray


def _reach(address: str) -> None:
    """Refuse an address at which nobody answers.

    Ray itself would try for a quarter of an hour.

    Raises:
        UserError: nobody does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"--ray-address {address}: nobody answers there ({reason}); run ray status on the "
            "cluster to see its address"
        ) from error


def need_server(nodes: Sequence[Any]) -> None:
    """Refuse a store in a file where other machines run trials.

    Raises:
        UserError: it is.
    """
    others = {node["NodeManagerHostname"] for node in nodes if node["Alive"]} - {socket.gethostname()}
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if others and not uri.startswith(("http:", "https:", "databricks")):
        raise UserError(
            f"--engine ray: trials on {len(others)} other machines ({', '.join(sorted(others)[:3])}) cannot write to "
            f"{uri or './mlflow.db'}; start an MLflow server and set MLFLOW_TRACKING_URI to its http address"
        )


def build(wishes: Wishes) -> RayEngine:
    """Return the engine that a person wishes."""
    return RayEngine(wishes.resources, wishes.ray_address, wishes.seconds)
