"""Trials as Ray tasks: the same outcomes as on one machine, and the same results to the bit when a machine dies."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import alive
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.engines.interruption import Interrupted
from lit_lossopt.sweeps.engines.local import LocalEngine
from lit_lossopt.sweeps.engines.ray_engine import RayEngine, need_server
from lit_lossopt.sweeps.trial import Engine, Resources, Trial
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs
from tests.support.forked import THIS
from tests.support.mlflow_on_postgresql import binaries, free_port, mlflow_server, postgresql
from tests.support.plans import write_plan
from tests.support.sweep_process import children_of

# Ray 2.60 warns of its own future.
pytestmark = pytest.mark.filterwarnings("ignore")
LONGER: dict[str, Any] = {
    "base": {"data": "DigitsDataModule", "trainer.max_epochs": 40},
    "factors": {"optimizer": {"sgd": {"model.optimizer": "SGD"}, "adam": {"model.optimizer": "Adam"}}},
    "protocol": "grid",
    "seeds": 4,
}
NONE = Trial("0", ("fit",), "arm", "grid", 0, {})


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'lit_lossopt\[ray\]'"):
        RayEngine(Resources()).run([NONE], lambda _: None, lambda _: False)


def test_other_machines_need_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"NodeManagerHostname": socket.gethostname(), "Alive": True}
    other = {"NodeManagerHostname": "elsewhere", "Alive": True}
    need_server([here, {**other, "Alive": False}])
    with pytest.raises(UserError, match=r"trials on 1 other machines \(elsewhere\) cannot write to sqlite:"):
        need_server([here, other])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    need_server([here, other])


def test_a_cluster_that_is_not_there_is_one_line_at_once() -> None:
    pytest.importorskip("ray", reason="pip install 'lit_lossopt[ray]'")
    engine = RayEngine(Resources(), f"127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match=r"--ray-address 127\.0\.0\.1:\d+: nobody answers there \(Connection refused\)"):
        engine.run([NONE], lambda _: None, lambda _: False)


@pytest.fixture
def quiet_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="pip install 'lit_lossopt[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_ray")
def test_outcomes_are_those_of_the_local_engine() -> None:
    words = ["exit 0", "exit 3", "exit 2", "crash 0", "killed 1", "killed 3"]
    told = [Trial(f"{n}", tuple(text.split()), "arm", "grid", n, {}) for n, text in enumerate(words)]
    engines: list[Engine] = [
        LocalEngine(Resources(2), command=f"{THIS}:as_told", rehearsal=""),
        RayEngine(Resources(2), command=f"{THIS}:as_told", rehearsal=""),
    ]
    found = []
    for engine in engines:
        for log in Path().glob("*.log"):
            log.unlink()
        outcomes = list(engine.run(told, lambda _: None, lambda _: False))
        found.append({" ".join(o.trial.words): (o.status, o.attempts, o.said) for o in outcomes})
    assert found[0] == found[1]
    assert found[0]["killed 3"][:2] == (-9, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_ray")
def test_a_signal_lets_running_trials_save() -> None:
    told = [Trial("0", ("saves", "1"), "arm", "grid", 0, {}), Trial("1", ("exit", "0"), "arm", "grid", 1, {})]

    def interrupt() -> None:
        while not Path("saves1.log").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    engine = RayEngine(Resources(1), command=f"{THIS}:as_told", rehearsal="")
    with pytest.raises(Interrupted):
        list(engine.run(told, lambda _: None, lambda _: False))
    assert Path("saved").exists()
    assert not Path("exit0.log").exists()
    assert not alive(int(Path("saves1.log").read_text().split()[0]))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg2", reason="pip install psycopg2-binary")
    with postgresql(programs) as database, mlflow_server(database, tmp_path) as address:
        yield address


@pytest.fixture
def cluster(quiet_ray: None) -> Iterator[Any]:  # noqa: ARG001  # skips first, where Ray is not installed
    make: Any = importlib.import_module("ray.cluster_utils").Cluster
    one = make(initialize_head=True, head_node_args={"include_dashboard": False, "num_cpus": 1})
    one.add_node(num_cpus=1)
    one.wait_for_nodes()
    yield one
    one.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_raylet_is_killed_and_the_results_are_the_same_to_the_bit(
    server: str, cluster: Any, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["sweep", "--config", str(write_plan(LONGER).absolute()), "--keep-checkpoints"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)

    def kill() -> None:
        raylet = cluster.list_all_nodes()[1].all_processes["raylet"][0].process
        wait_until(lambda: len(finished()) >= 2 and in_training(raylet.pid), pause=0.1)
        os.kill(raylet.pid, signal.SIGKILL)
        # It is this process's child. Until it is buried its workers, which look at its number, think that it lives.
        raylet.wait()

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    assert main([*command, "--engine", "ray", "--ray-address", cluster.address]) == 0
    killing.join(timeout=1)
    assert not killing.is_alive()
    assert "2" in {run.tags.get(names.TAG_ATTEMPT) for run in finished()} or unfinished()
    on_ray = histories()
    assert len(on_ray) > 8 * 3

    (tmp_path / "local").mkdir()
    monkeypatch.chdir(tmp_path / "local")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/local/mlflow.db")
    (tmp_path / "local/mlflow.db").write_bytes(empty_store.read_bytes())
    assert main(command) == 0
    assert histories() == on_ray


def in_training(raylet: int) -> bool:
    """Return whether a trial has been trained on this raylet for a second: workers have a server, which has trials."""
    servers = [server for worker in children_of(raylet) for server in children_of(worker)]
    found = [trial for server in servers for trial in children_of(server)]
    time.sleep(1)
    return any(alive(trial) for trial in found)


def finished() -> list[Run]:
    """Return the runs of trials that finished, none of them twice."""
    try:
        runs = [run for run in read_runs("plan") if names.TAG_SWEEP in run.tags and run.status == "FINISHED"]
    except UserError:
        return []
    assert len({run.tags[names.TAG_SWEEP_KEY] for run in runs}) == len(runs)
    return runs


def unfinished() -> list[Run]:
    """Return the runs of trials that were killed."""
    return [run for run in read_runs("plan") if names.TAG_SWEEP in run.tags and run.status != "FINISHED"]


def histories() -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    """Return, for each trial and metric, steps and values; but for those that measure time."""
    return {
        (run.tags[names.TAG_SWEEP_KEY], metric): (history.steps.tolist(), history.values.tolist())
        for run in finished()
        for metric in run.metrics
        if metric != names.TRAIN_SECONDS
        for history in [read_history(run.run_id, metric)]
    }
