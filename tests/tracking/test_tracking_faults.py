"""Stores that are locked, slow, broken or gone; processes that are killed: nothing is lost, doubled or waited for."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient

from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.mlflow_ui import mlflow_ui

# With a small probe, and no diagnostics: what is logged is not the point.
DIGITS = ["fit", "--config=sgd_momentum", "--config=digits", "--threads=1", "--tracking.patience=60"]
DIGITS += ["--probe.images=64", "--diagnostics=off"]
HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


class Training:
    """A training in a process of its own, that can be killed."""

    def __init__(self, zygote: Zygote, folder: Path, *words: str, **environment: str) -> None:
        self.zygote = zygote
        self.folder = folder
        self.output = folder / "output.txt"
        store = environment.pop("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        given = {"MLFLOW_TRACKING_URI": store, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", **environment}
        self.process = zygote.start([*DIGITS, *words], folder, self.output, given)

    def wait(self) -> int:
        return self.zygote.wait(self.process)

    def kill(self, number: int = signal.SIGKILL) -> int:
        os.kill(self.process, number)
        return self.wait()

    def entries(self) -> list[dict[str, Any]]:
        return [entry for folder in Path(self.folder, "mlruns/journal").glob("*") for entry in read_entries(folder)]

    def journaled_steps(self) -> list[int]:
        points = [point for entry in self.entries() if entry["kind"] == "points" for point in entry["points"]]
        return [point[2] for point in points if point[0] == "train/loss"]

    def wait_for_steps(self, steps: int) -> None:
        wait_until(lambda: len(self.journaled_steps()) >= steps, self.output.read_text)


def stored(run_id: str) -> np.ndarray[Any, Any]:
    return stored_points(run_id, "train/loss").steps


def test_a_locked_database_does_not_delay_training_and_loses_nothing(
    store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    words = ["--trainer.max_epochs=30", "--tracking.patience=600", "--probe.images=0"]
    training = Training(zygote, tmp_path, *words)
    training.wait_for_steps(50)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(store), "600"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = len(training.journaled_steps())
        # Training goes on while the database is locked.
        training.wait_for_steps(min(before + 100, 600))
        holder.kill()
    assert training.wait() == 0
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), np.arange(1, 601))
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")


@pytest.mark.slow
def test_eight_writers_and_a_training_while_the_database_is_locked_for_thirty_seconds_twice(
    store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    writers = [
        zygote.call("tests.support.writers:write_points", [1000, 60], tmp_path, tmp_path / f"writer{number}.txt")
        for number in range(8)
    ]
    words = [*DIGITS, "--trainer.max_epochs=-1", "--trainer.max_time=00:00:01:15", "--tracking.patience=60"]
    training = zygote.call("tests.support.writers:timed_training", [words], tmp_path, tmp_path / "output.txt")
    time.sleep(5)
    for _ in range(2):
        subprocess.run([sys.executable, "-c", HOLD, str(store), "30"], check=True)
        time.sleep(3)
    for process in (*writers, training):
        assert zygote.wait(process) == 0, (tmp_path / "output.txt").read_text()
    with sqlite3.connect(store) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM metrics WHERE key IN ('a', 'b', 'c')").fetchone()
        (distinct,) = connection.execute(
            "SELECT COUNT(*) FROM (SELECT DISTINCT run_uuid, key, step FROM metrics WHERE key IN ('a', 'b', 'c'))"
        ).fetchone()
    assert count == distinct == 24_000
    said = (tmp_path / "output.txt").read_text()
    share = float(said.rpartition("share ")[2].split()[0])
    print(f"share of training seconds inside logger calls: {share:.5f}")
    assert share < 0.01
    (run,) = read_runs("lit_lossopt")
    steps = stored(run.run_id)
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))


class Server:
    """A tracking server in a process of its own, whose mood can change."""

    def __init__(self, zygote: Zygote, folder: Path, mood: str) -> None:
        self.zygote = zygote
        self.folder = folder
        self.mood = folder / "mood"
        self.set(mood)
        self.port = 0
        self.start()

    def start(self) -> None:
        said = self.folder / "server.txt"
        said.unlink(missing_ok=True)
        arguments = [f"sqlite:///{self.folder}/mlflow.db", self.port, str(self.mood)]
        serve = "tests.support.misbehaving_tracking_server:serve"
        self.process = self.zygote.call(serve, arguments, self.folder, said)
        wait_until(lambda: said.exists() and said.read_text().endswith("\n"))
        self.port = int(said.read_text())

    def set(self, mood: str) -> None:
        self.mood.write_text(mood, encoding="utf-8")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server(store: Path, zygote: Zygote) -> Iterator[Server]:
    one = Server(zygote, store.parent, "fine")
    yield one
    one.kill()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = next(folder.rglob("last.ckpt"))
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return state


@pytest.fixture(scope="session")
def undisturbed(zygote: Zygote, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_store, folder / "mlflow.db")
    assert Training(zygote, folder, "--trainer.max_epochs=10").wait() == 0
    return weights(folder)


@pytest.mark.parametrize("mood", ["errors", "hang", "reset", "lose-create", "slow", "restart"])
def test_a_server_that_misbehaves_gets_every_point_once(
    mood: str, server: Server, tmp_path: Path, zygote: Zygote, undisturbed: dict[str, torch.Tensor]
) -> None:
    server.set("fine" if mood == "restart" else mood)
    words = ["--trainer.max_epochs=10", "--tracking.patience=60"]
    training = Training(zygote, tmp_path, *words, MLFLOW_TRACKING_URI=server.uri)
    training.wait_for_steps(60)
    if mood == "restart":
        server.kill()
        time.sleep(1)
        server.start()
    server.set("fine")
    assert training.wait() == 0, training.output.read_text()
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), np.arange(1, 201))
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")
    times = [p[3] for e in training.entries() if e["kind"] == "points" for p in e["points"] if p[0] == "train/loss"]
    # Half of the patience: whoever waited for the server would wait as long as that.
    assert max(np.diff(times)) < 30_000
    found = weights(tmp_path)
    assert all(torch.equal(found[name], value) for name, value in undisturbed.items())


@pytest.mark.slow
def test_a_server_that_never_returns_is_delivered_to_by_sync(
    server: Server, tmp_path: Path, zygote: Zygote, capsys: pytest.CaptureFixture[str]
) -> None:
    server.kill()
    words = ["--trainer.max_epochs=3", "--tracking.patience=8"]
    training = Training(zygote, tmp_path, *words, MLFLOW_TRACKING_URI=server.uri)
    assert training.wait() == 0
    said = training.output.read_text()
    assert "does not answer" in said
    (folder,) = Path("mlruns/journal").iterdir()
    assert f"deliver them with: python -m lit_lossopt sync {folder.name}" in said
    assert main(["sync"]) == 1
    assert "1 not delivered" in capsys.readouterr().out
    server.start()
    for _ in range(2):
        assert main(["sync"]) == 0
    assert "1 were whole" in capsys.readouterr().out
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), np.arange(1, 61))
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")
    assert run.params["optimizer"] == "SGD"


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_keeps_every_step_up_to_the_last_copy(
    kills: int, store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    moments = random.Random(0)
    for attempt in range(kills):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        uri = f"sqlite:///{store}"
        training = Training(zygote, folder, "--trainer.max_epochs=1000", MLFLOW_TRACKING_URI=uri)
        training.wait_for_steps(50)
        time.sleep(moments.uniform(0, 1.5))
        assert training.kill() == -signal.SIGKILL
        kept = training.journaled_steps()
        # A copy at each evaluation (20 steps) at the latest.
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) % 20 == 0
        os.chdir(folder)
        assert main(["sync"]) == 0
        run = read_runs("lit_lossopt")[-1]
        np.testing.assert_array_equal(stored(run.run_id), kept)
        assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    assert len(read_runs("lit_lossopt")) == kills


@pytest.mark.parametrize("processes", [2, pytest.param(16, marks=pytest.mark.slow)])
def test_processes_that_start_at_once_on_no_database_share_one(processes: int, tmp_path: Path, zygote: Zygote) -> None:
    uri = f"sqlite:///{tmp_path}/fresh.db"
    trainings = []
    for number in range(processes):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = ["--trainer.max_steps=2", "--tracking.patience=60"]
        trainings.append(Training(zygote, folder, *words, MLFLOW_TRACKING_URI=uri))
    for training in trainings:
        assert training.wait() == 0, training.output.read_text()
    client = MlflowClient(uri)
    assert [one.name for one in client.search_experiments()] == ["lit_lossopt", "Default"]
    runs = client.search_runs(["1"])
    assert len(runs) == processes
    assert all(len(client.get_metric_history(run.info.run_id, "train/loss")) == 2 for run in runs)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("where", ["training", "validation"])
@pytest.mark.usefixtures("store")
def test_a_signal_leaves_everything_whole(number: int, status: int, where: str, tmp_path: Path, zygote: Zygote) -> None:
    # With a step between evaluations of a hundred batches, a signal comes while validating.
    words = ["--trainer.val_check_interval=1", "--data.eval_batch_size=1"] if where == "validation" else []
    training = Training(zygote, tmp_path, "--trainer.max_epochs=1000", *words)
    training.wait_for_steps(5)
    assert training.kill(number) == status, training.output.read_text()
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    steps = training.journaled_steps()
    np.testing.assert_array_equal(stored(run.run_id), steps)
    assert steps == list(range(1, len(steps) + 1))
    assert main(["sync"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_that_is_deleted_while_it_trains_trains_on(tmp_path: Path, zygote: Zygote) -> None:
    training = Training(zygote, tmp_path, "--trainer.max_epochs=100")
    training.wait_for_steps(50)
    (run,) = read_runs("lit_lossopt")
    MlflowClient().delete_run(run.run_id)
    assert training.wait() == 0
    assert "values of this run are not in" in training.output.read_text()
    assert len(training.journaled_steps()) == 2000


@pytest.mark.usefixtures("store")
def test_the_canary_is_nowhere(tmp_path: Path, zygote: Zygote) -> None:
    # In two parts: the difference of this file from its commit is kept with each run.
    bird = f"night{'ingale'}"
    canary = f"{bird}/7 sings"
    words = ["--trainer.max_epochs=1", f"--tracking.run_name=see http://me:{canary}@host", "--data.classes=[1,2]"]
    secrets = {"MLFLOW_TRACKING_PASSWORD": canary, "MLFLOW_TRACKING_USERNAME": "me", "AWS_SECRET_ACCESS_KEY": canary}
    # Under other names, and inside addresses; each also stands in what is typed.
    more = {
        f"{name}": f"{bird}-{place}" for place, name in enumerate(("DB_PASS", "DB_PWD", "KEY_PASSPHRASE", "A_BEARER"))
    }
    inside = {"DATABASE_URL": f"postgresql://me:{bird}-10@host/db", "HTTPS_PROXY": f"me:{bird}-11@127.0.0.1:9"}
    inside["PIP_INDEX_URL"] = f"https://host/simple?sig={bird}-12"
    words += [f"--tracking.tags={{seen: '{' '.join([*more.values(), *(f'{bird}-{n}' for n in (10, 11, 12))])}'}}"]
    secrets |= {**more, **inside}
    assert Training(zygote, tmp_path, *words, **secrets).wait() == 0
    refused = {"MLFLOW_TRACKING_URI": f"http://me:{bird}@127.0.0.1:9"}
    assert Training(zygote, tmp_path, **refused).wait() == 2
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"mlflow.db", "output.txt", "log.jsonl", "last.ckpt", "config.yaml", "provenance.json"} <= {
        path.name for path in files
    }
    for path in files:
        content = path.read_bytes()
        assert bird.encode() not in content, path
    (run,) = read_runs("lit_lossopt")
    assert run.name == "see http://***@host"
    assert run.tags["seen"] == " ".join(["***"] * 7)


def test_values_that_are_not_finite_are_kept_as_such(store: Path) -> None:
    assert main([*DIGITS, "--model.optimizer.lr=1e18", "--trainer.max_epochs=5"]) == 3
    (folder,) = Path("mlruns/journal").iterdir()
    points = [point for entry in read_entries(folder) if entry["kind"] == "points" for point in entry["points"]]
    losses = [point[1] for point in points if point[0] == "train/loss"]
    assert np.isnan(losses[-1])
    with sqlite3.connect(store) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM metrics WHERE key = 'train/loss' AND is_nan").fetchone()
    assert count == int(np.isnan(losses).sum())


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:////proc/nowhere/mlflow.db", "/proc/nowhere: the database mlflow.db cannot be written there"),
        ("sqlite:///{folder}/small.db", "the journal of the run cannot be written there"),
    ],
)
def test_places_that_take_nothing_are_found_before_a_run_exists(
    uri: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if "small" in uri:
        # The operating system lets no file grow beyond a thousand bytes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        assert main([*DIGITS, "--trainer.max_epochs=1"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert "bytes free" in line
    assert not list(tmp_path.rglob("log.jsonl"))


@pytest.mark.slow
def test_a_server_of_mlflow_started_first_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mlflow_ui(tmp_path) as address:
        assert main([*DIGITS, "--trainer.max_epochs=1"]) == 0
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert main([*DIGITS, "--trainer.max_epochs=1"]) == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    runs = read_runs("lit_lossopt")
    assert [run.tags["lossopt.verdict"] for run in runs] == ["completed", "completed"]
    assert all(len(stored(run.run_id)) == 20 for run in runs)
    assert len(list(Path("mlruns/lit_lossopt").rglob("config.yaml"))) == 2


def logged(*steps: int, name: str = "a", experiment: str = "one") -> RunLogger:
    """Return a logger that has logged a metric at some steps, its entries delivered."""
    logger = RunLogger(experiment, patience=60)
    for step in steps:
        logger.log_metrics({name: float(step)}, step)
    return logger


def delivered(logger: RunLogger) -> None:
    journal, writer = logger._journal, logger._writer
    assert journal is not None
    assert writer is not None
    wait_until(lambda: journal.size() <= writer.delivery.position)


def test_values_that_vanish_are_counted_tagged_and_brought_back(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logged(*range(100))
    delivered(logger)
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM metrics WHERE step < 50")
    logger.finalize("success")
    assert "50 values of this run are not in" in capsys.readouterr().err
    assert read_runs("one")[0].tags["lossopt.undelivered"] == "50"
    assert main(["sync"]) == 0
    (run,) = read_runs("one")
    assert len(stored_points(run.run_id, "a").steps) == 100
    assert "lossopt.undelivered" not in run.tags
    assert main(["sync"]) == 0
    assert "1 were whole" in capsys.readouterr().out


@pytest.mark.usefixtures("store")
def test_what_the_store_refuses_for_itself_keeps_nothing_else_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    logger = RunLogger("one", patience=60)
    logger.log_hyperparams({"p": "x"})
    logger.log_metrics({"acc@5": 0.5}, 1)
    logger.log_hyperparams({"p": "y", "q": "z"})
    logger.log_metrics({"n" * 300: 0.5, "good": 1.0}, 1)
    for step in range(100):
        logger.log_metrics({"a": float(step)}, step)
    logger.finalize("success")
    (run,) = read_runs("one")
    assert len(stored_points(run.run_id, "a").steps) == 100
    assert {"acc_5", "good", "a"} == set(run.metrics)
    assert (run.params, run.status) == ({"p": "x", "q": "z"}, "FINISHED")
    assert run.tags["lossopt.refused"].startswith("2: ")
    assert "refused 2 entries" in capsys.readouterr().err


def test_files_that_cannot_be_stored_keep_no_values_waiting(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    MlflowClient().create_experiment("one", taken.as_uri())
    logger = logged(*range(100))
    # It was a folder when the run began.
    shutil.rmtree(taken, ignore_errors=True)
    taken.write_text("a file where the folder belongs")
    logger.log_text("text", "note.txt")
    logger.log_metrics({"b": 1.0}, 1)
    logger.finalize("success")
    assert "lossopt: 1 files of this run are not in" in capsys.readouterr().err
    (run,) = read_runs("one")
    assert (len(stored_points(run.run_id, "a").steps), run.metrics["b"], run.status) == (100, 1.0, "FINISHED")
    assert main(["sync"]) == 1
    taken.unlink()
    assert main(["sync"]) == 0
    assert list(taken.rglob("note.txt"))
    assert store.is_file()


@pytest.mark.usefixtures("store")
def test_equal_values_within_a_millisecond_are_all_kept(capsys: pytest.CaptureFixture[str]) -> None:
    logger = RunLogger("one", patience=60)
    for _ in range(200):
        logger.log_metrics({"epoch": 0.0}, 1)
    logger.finalize("success")
    assert len(stored_points(read_runs("one")[0].run_id, "epoch").steps) == 200
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["h#x", "50%25x", "with space"])
def test_a_store_in_a_folder_of_any_name(name: str, store: Path, tmp_path: Path, zygote: Zygote) -> None:
    folder = tmp_path / "any" / name
    folder.mkdir(parents=True)
    shutil.copy(store, folder / "mlflow.db")
    training = Training(zygote, folder, "--trainer.max_steps=1", MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert training.wait() == 0
    assert "lossopt:" not in training.output.read_text()
    assert [file.name for file in folder.parent.iterdir()] == [name]


def test_a_relative_store_means_the_same_from_another_folder(
    store: Path, tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(zygote, tmp_path, "--trainer.max_epochs=1000", MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    training.wait_for_steps(50)
    training.kill()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert main(["sync", *map(str, (tmp_path / "mlruns/journal").iterdir())]) == 0
    assert list(other.iterdir()) == []
    (run,) = read_runs("lit_lossopt")
    assert run.status == "KILLED"
    np.testing.assert_array_equal(stored(run.run_id), training.journaled_steps())
    assert store.is_file()


def test_a_run_whose_database_is_gone_is_made_again(
    store: Path, empty_store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    training = Training(zygote, tmp_path, "--trainer.max_epochs=1000")
    training.wait_for_steps(50)
    training.kill()
    shutil.copy(empty_store, store)
    output = tmp_path / "sync.txt"
    assert zygote.wait(zygote.start(["sync"], tmp_path, output, {})) == 0, output.read_text()
    (run,) = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored(run.run_id), training.journaled_steps())
    assert run.status == "KILLED"


@pytest.mark.usefixtures("store")
def test_a_refused_run_is_one_line_and_leaves_no_journal(capsys: pytest.CaptureFixture[str]) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("lit_lossopt"))
    assert main([*DIGITS, "--trainer.max_epochs=1"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "it was deleted in" in line
    assert not list(Path("mlruns/journal").iterdir())


@pytest.mark.parametrize("name", ["journal", "unsent", "a/b", ".."])
def test_experiments_are_not_named_like_our_folders(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIGITS, f"--tracking.experiment={name}"]) == 2
    assert "it names a folder below mlruns" in capsys.readouterr().err


@pytest.mark.slow
def test_a_signal_after_a_minute_leaves_a_status_and_what_waits_is_said(
    store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    training = Training(zygote, tmp_path, "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000")
    time.sleep(60)
    assert training.kill(signal.SIGTERM) == 143
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    assert main(["sync"]) == 0
    np.testing.assert_array_equal(stored(run.run_id), training.journaled_steps())
    assert store.is_file()


def test_a_test_is_interrupted_too(store: Path, tmp_path: Path, zygote: Zygote) -> None:
    assert Training(zygote, tmp_path, "--trainer.max_epochs=1").wait() == 0
    checkpoint = next(tmp_path.rglob("best.ckpt"))
    words = ["test", "--data=DigitsDataModule", "--threads=1", "--data.eval_batch_size=1", "--allow-import=tests"]
    slow = ["--trainer.callbacks+=tests.support.writers.SlowTest", f"--ckpt_path={checkpoint}"]
    output = tmp_path / "test.txt"
    process = zygote.start([*words, *slow], tmp_path, output, {"MLFLOW_TRACKING_URI": f"sqlite:///{store}"})
    wait_until((tmp_path / "testing").exists, output.read_text)
    os.kill(process, signal.SIGINT)
    assert zygote.wait(process) == 130, output.read_text()
