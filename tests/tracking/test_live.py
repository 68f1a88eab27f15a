"""What is logged is in the store while training goes on, and another process does the work."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, alive, wait_until_dead
from lit_lossopt.__main__ import main
from lit_lossopt.tracking import store_process
from lit_lossopt.tracking.reading.runs import read_runs
from tests.tracking.test_tracking_faults import DIGITS, Server, Training, logged, server, stored

__all__ = ["server"]
PAUSE = ["--allow-import=benchmarks", "--allow-import=tests", "--trainer.callbacks+=benchmarks.killing.pause.PauseAt"]


def wait_for(event: Callable[[], bool], what: str) -> None:
    wait_until(event, lambda: what)


def steps_in(database: Path) -> list[int]:
    """Return the steps whose loss is in a store, from outside and without MLflow."""
    if not database.exists():
        return []
    with sqlite3.connect(database, timeout=60) as connection:
        found = connection.execute("SELECT step FROM metrics WHERE key = 'train/loss' ORDER BY step").fetchall()
    return [step for (step,) in found]


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(one) for file in Path(f"/proc/{process}/task").glob("*/children") for one in file.read_text().split()]


def paused(zygote: Zygote, folder: Path, batch: int, *words: str, **environment: str) -> Training:
    """Return a training that stands still in the end of a batch, and goes no further."""
    training = Training(zygote, folder, *PAUSE, *words, **{MOMENT: f"batch:{batch}"}, **environment)
    wait_for((folder / MARK).exists, "never came there")
    return training


@pytest.mark.parametrize("kind", [pytest.param("new", marks=pytest.mark.slow), "old", "server"])
def test_values_are_in_the_store_while_it_trains(
    kind: str, tmp_path: Path, zygote: Zygote, request: pytest.FixtureRequest
) -> None:
    environment = {}
    if kind == "old":
        request.getfixturevalue("store")
    if kind == "server":
        environment["MLFLOW_TRACKING_URI"] = request.getfixturevalue("server").uri
    training = paused(zygote, tmp_path, 50, "--trainer.max_epochs=10", **environment)
    wait_for(lambda: steps_in(tmp_path / "mlflow.db") == list(range(1, 41)), training.output.read_text())
    training.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_values_of_slow_steps_are_handed_on_before_there_are_fifty(tmp_path: Path, zygote: Zygote) -> None:
    slow = "--trainer.callbacks+=tests.support.writers.SlowTraining"
    training = paused(zygote, tmp_path, 9, slow, "--trainer.val_check_interval=20")
    wait_for(lambda: len(steps_in(tmp_path / "mlflow.db")) >= 4, training.output.read_text())
    training.kill()


@pytest.mark.usefixtures("store")
def test_the_death_of_the_process_loses_nothing_and_is_not_noticed(tmp_path: Path, zygote: Zygote) -> None:
    words = [*PAUSE, "--trainer.max_epochs=10", "--tracking.patience=60"]
    training = Training(zygote, tmp_path, *words, **{MOMENT: "batch:50+150"})
    for steps in (40, 140):
        wait_for((tmp_path / MARK).exists, "never came there")
        training.wait_for_steps(steps)
        (process,) = children(training.process)
        os.kill(process, signal.SIGKILL)
        (tmp_path / MARK).unlink()
    assert training.wait() == 0
    assert "lossopt:" not in training.output.read_text()
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), np.arange(1, 201))
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")


def test_a_killed_training_takes_its_process_along_and_sync_delivers_the_rest_once(
    store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    # In a group of its own: when it dies, nobody kills what is left of its group.
    output = tmp_path / "output.txt"
    words = [*DIGITS, *PAUSE, "--trainer.max_epochs=10"]
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}", MOMENT: "batch:50"}
    outer = zygote.call("tests.support.writers:training_apart", [words], tmp_path, output, environment)
    wait_for((tmp_path / MARK).exists, "never came there")
    (training,) = children(outer)
    processes = children(training)
    assert len(processes) == 1
    with sqlite3.connect(store, isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        os.kill(training, signal.SIGKILL)
        assert zygote.wait(outer) == 0
        # Whether it waits for the database or not.
        assert wait_until_dead(processes) == []
        connection.execute("COMMIT")
    assert "lossopt:" not in output.read_text()
    assert main(["sync"]) == 0
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), np.arange(1, 41))
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")


def test_a_store_that_is_merely_being_made_is_waited_for(tmp_path: Path, zygote: Zygote) -> None:
    with (tmp_path / "mlflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        training = Training(zygote, tmp_path, "--trainer.max_epochs=1", "--tracking.patience=1")
        wait_for(lambda: len(training.entries()) > 0, "no journal")
        # Longer than a store that does not answer is given.
        time.sleep(2)
        assert alive(training.process)
        assert not training.journaled_steps()
    assert training.wait() == 0
    assert "lossopt:" not in training.output.read_text()
    assert steps_in(tmp_path / "mlflow.db") == list(range(1, 21))


def test_a_server_that_hangs_is_still_said_not_to_answer(server: Server, tmp_path: Path, zygote: Zygote) -> None:
    server.set("hang")
    words = ["--trainer.max_epochs=1", "--tracking.patience=2"]
    training = Training(zygote, tmp_path, *words, MLFLOW_TRACKING_URI=server.uri)
    assert training.wait() == 0
    assert "does not answer" in training.output.read_text()


def test_a_training_that_is_refused_leaves_no_database(tmp_path: Path) -> None:
    assert main([*DIGITS, "--data.batch_size=5000"]) == 2
    assert not list(tmp_path.glob("mlflow.db*"))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> store_process._Keeper:
    """Return what keeps the process of this test alone."""
    keeper = store_process._Keeper()
    monkeypatch.setattr(store_process, "_keeper", keeper)
    return keeper


@pytest.mark.usefixtures("store")
def test_a_logger_of_its_own_leaves_no_process(apart: store_process._Keeper) -> None:
    logger = logged(*range(10))
    process = apart.process().pid
    # What is meant for a training does not end it.
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGINT)
    logger.finalize("success")
    assert not Path(f"/proc/{process}").exists()
    assert apart._process is None
    (run,) = read_runs("one")
    assert len(stored_points(run.run_id, "a").steps) == 10


@pytest.mark.usefixtures("store", "apart")
def test_where_no_process_can_be_started_this_one_does_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    logger = logged(*range(10))
    assert not logger._store.elsewhere
    logger.finalize("success")
    assert capsys.readouterr().err == ""
    (run,) = read_runs("one")
    assert (len(stored_points(run.run_id, "a").steps), run.status) == (10, "FINISHED")


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--help"],
        ["fit", "--help-all"],
        ["fit", "--config=digits", "--print_config"],
        ["fit", "--config=digits", "--model.optimizer.lrr=1"],
        ["fit", "--config=digits", "--trainer.logger=false", "--trainer.max_steps=1"],
        ["fit", "--config=digits", "--trainer.fast_dev_run=true"],
    ],
    ids=" ".join,
)
def test_no_process_is_started_where_nothing_is_tracked(
    words: list[str], apart: store_process._Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_process, "StoreProcess", None)
    with suppress(SystemExit):
        assert main(words) in (0, 2)
    assert apart.holders == 0
