"""Trials as Ray tasks: the same outcomes as on one machine, and the same results to the bit when a machine dies."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt import names
from lit_lossopt.errors import UserError
from lit_lossopt.sweep.interruption import Interrupted
from lit_lossopt.sweep.local import LocalEngine
from lit_lossopt.sweep.ray_engine import RayEngine, need_server
from lit_lossopt.sweep.trial import Engine, Outcome, Resources, Trial
from lit_lossopt.tracking.runs import read_history
from tests.forked import THIS
from tests.mlflow_on_postgresql import binaries, free_port, mlflow_server, postgresql
from tests.sweep_driver import done, finished, trials
from tests.zygote import alive

# Ray 2.60 warns of its own future.
pytestmark = pytest.mark.filterwarnings("ignore")
LONGER = [
    "fit", "--config=sgd_momentum", "--config=digits", "--threads=1", "--trainer.max_epochs=40",
    "--checkpoints.every_n_steps=20",
]  # fmt: skip


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'lit_lossopt\[ray\]'"):
        RayEngine(Resources()).run(trials(1, LONGER), lambda _: None, lambda _: False)


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
        engine.run(trials(1, LONGER), lambda _: None, lambda _: False)


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
    wanted = trials(8, LONGER)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    outcomes: list[Outcome] = []
    for outcome in RayEngine(Resources(2), cluster.address).run(wanted, lambda _: None, done):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            raylet = cluster.list_all_nodes()[1].all_processes["raylet"][0].process.pid
            os.kill(raylet, signal.SIGKILL)
    assert [outcome.status for outcome in outcomes] == [0] * 8
    assert max(outcome.attempts for outcome in outcomes) == 2
    assert Counter(run.tags[names.TAG_SEED] for run in finished()) == Counter(map(str, range(8)))
    on_ray = histories()

    (tmp_path / "local").mkdir()
    monkeypatch.chdir(tmp_path / "local")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/local/mlflow.db")
    (tmp_path / "local/mlflow.db").write_bytes(empty_store.read_bytes())
    assert {outcome.status for outcome in LocalEngine(Resources(2)).run(wanted, lambda _: None, done)} == {0}
    assert histories() == on_ray


def histories() -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    """Return, for each seed and metric, steps and values; but for those that measure time."""
    return {
        (run.tags[names.TAG_SEED], metric): (history.steps.tolist(), history.values.tolist())
        for run in finished()
        for metric in run.metrics
        if metric != names.TRAIN_SECONDS
        for history in [read_history(run.run_id, metric)]
    }
