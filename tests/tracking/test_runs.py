from __future__ import annotations

import hashlib
import math
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from benchmarks.killing.waiting import LONGEST, wait_until
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.addresses import tracking_uri
from lit_lossopt.tracking.reading.api import ApiReader
from lit_lossopt.tracking.reading.records import Run, history
from lit_lossopt.tracking.reading.runs import find_experiment, read_history, read_runs
from lit_lossopt.tracking.reading.sqlite import SqliteReader
from tests.support.mlflow_on_postgresql import free_port
from tests.support.plain_runs import BEGAN, log_run

ODD = [0.1, math.nan, math.inf, -math.inf, 5e-324, -0.0, 1 / 3, 1.7976931348623155e308]
ODD_NAME = "<script>alert('ü')</script>\nsecond line"


def same(ours: Run, theirs: Run) -> None:
    """Assert that two readings of a run have the same bits."""
    for name in ("run_id", "name", "status", "params", "tags", "experiment_id", "start", "end", "deleted"):
        assert getattr(ours, name) == getattr(theirs, name)
    np.testing.assert_equal(dict(ours.metrics), dict(theirs.metrics))
    assert set(ours.histories) == set(theirs.histories)
    for name, one in ours.histories.items():
        other = theirs.histories[name]
        assert one.overridden == other.overridden
        for field in ("steps", "values", "milliseconds"):
            left, right = getattr(one, field), getattr(other, field)
            assert (left.dtype, left.tobytes()) == (right.dtype, right.tobytes())


def odd_runs() -> None:
    values = list(enumerate(ODD, start=-2))
    times = [BEGAN - 7 * place for place in range(len(values))]
    log_run(
        "odd", {"optimizer.lr": "1e-3", "note": "ü=%?#'\"\n"}, {"val/acc": values}, name=ODD_NAME, milliseconds=times
    )
    doubled = [(0, 1.0), (1, 2.0), (1, 3.0), (1, 3.0), (2, math.nan), (2, math.nan), (2, 1.0)]
    log_run(
        "odd", {}, {"a b.c-d/é": doubled, "loss": [(9, 1.0)]}, tags={"x": ""}, milliseconds=[5, 5, 9, 10, 1, 1, 1, 2]
    )
    log_run("odd", {}, {}, status="RUNNING")
    MlflowClient().delete_run(log_run("odd", {}, {"loss": [(0, 0.5)]}, status="FAILED"))


def test_tables_and_public_calls_agree_to_the_bit(store: Path) -> None:
    odd_runs()
    experiment = find_experiment("odd")
    tables, calls = SqliteReader(store), ApiReader(tracking_uri())
    assert tables.fits()
    assert sorted(tables.experiments(), key=str) == sorted(calls.experiments(), key=str)
    assert tables.newest() == calls.newest() == experiment.experiment_id
    ours, theirs = (
        [
            replace(run, histories=reader.histories([run], None)[run.run_id])
            for run in sorted(reader.runs([experiment.experiment_id]), key=lambda run: run.run_id)
        ]
        for reader in (tables, calls)
    )
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        same(one, other)


@pytest.mark.usefixtures("store")
def test_infinities_and_nan_come_back() -> None:
    odd_runs()
    run = read_runs("odd", metrics=None)[0]
    np.testing.assert_array_equal(run.histories["val/acc"].values, ODD)
    np.testing.assert_array_equal(run.histories["val/acc"].steps, range(-2, 6))
    assert run.name == ODD_NAME
    assert run.params["note"] == "ü=%?#'\"\n"


@pytest.mark.usefixtures("store")
def test_of_several_values_of_a_step_the_last_logged_counts_and_the_others_are_counted() -> None:
    odd_runs()
    found = read_runs("odd", metrics=None)[1].histories["a b.c-d/é"]
    np.testing.assert_array_equal(found.values, [1.0, 3.0, math.nan])
    # The identical 3 is no contradiction; 2 and the 1 beside NaN are.
    assert found.overridden == 2


@pytest.mark.parametrize("seed", range(20))
def test_a_history_does_not_depend_on_the_order_of_its_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps, times = random.integers(0, 6, 40), random.integers(0, 4, 40)
    values = random.choice([0.0, 1.0, 2.0, math.nan, math.inf], 40)
    order = random.permutation(40)
    one, other = history(steps, values, times), history(steps[order], values[order], times[order])
    for field in ("steps", "values", "milliseconds"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert one.overridden == other.overridden
    for step, value in zip(one.steps, one.values, strict=True):
        last = [
            (t, math.inf if math.isnan(v) else v, v) for s, v, t in zip(steps, values, times, strict=True) if s == step
        ]
        newest = [v for t, _, v in last if t == max(last)[0]]
        nan = any(math.isnan(v) for v in newest)
        assert math.isnan(value) if nan else value == max(newest)


@pytest.mark.parametrize("folder", ["a b", "what?", "50%25#x", "ünïcode", "it's;", "a&b=c"])
def test_odd_paths_are_read(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    from urllib.parse import quote

    (tmp_path / folder).mkdir()
    shutil.copy(empty_store, tmp_path / folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{quote(str(tmp_path))}/{quote(folder)}/mlflow.db")
    log_run("x", {}, {"loss": [(0, 0.5)]})
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()].count(folder) == 1
    assert SqliteReader(tmp_path / folder / "mlflow.db").fits()
    assert read_runs("x", metrics=["loss"])[0].histories["loss"].values.tolist() == [0.5]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_runs_are_read_while_another_writes_and_nothing_is_written(store: Path, mode: str) -> None:
    run_id = log_run("x", {}, {"loss": [(0, 0.5)]})
    row = "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('loss', ?, 1, ?, 0, ?)"
    with closing(sqlite3.connect(store)) as writer:
        assert writer.execute(f"PRAGMA journal_mode={mode}").fetchone()[0] == mode
        writer.execute(row, [0.25, 1, run_id])
        writer.commit()
        writer.execute(row, [0.125, 2, run_id])
        before = hashlib.sha256(store.read_bytes()).hexdigest()
        assert read_history(run_id, "loss").values.tolist() == [0.5, 0.25]
        assert hashlib.sha256(store.read_bytes()).hexdigest() == before
        writer.commit()
        assert read_history(run_id, "loss").values.tolist() == [0.5, 0.25, 0.125]


def test_a_database_without_the_index_or_with_other_tables(store: Path, tmp_path: Path) -> None:
    run_id = log_run("x", {}, {"loss": [(0, 0.5), (1, 0.25)]})
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP INDEX index_metrics_run_uuid_key_step")
        connection.commit()
    assert read_history(run_id, "loss").values.tolist() == [0.5, 0.25]
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE runs (id)")
    assert not SqliteReader(tmp_path / "other.db").fits()
    (tmp_path / "text.db").write_text("no database")
    assert not SqliteReader(tmp_path / "text.db").fits()


@pytest.mark.usefixtures("store")
def test_an_unreadable_store_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(UserError, match=r"cannot read runs from .*text\.db"):
        read_runs("x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(UserError, match=r"none\.db does not exist"):
        read_runs("x")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.usefixtures("store")
def test_without_a_name_the_experiment_whose_run_started_last() -> None:
    for name in ("first", "second", "gone"):
        log_run(name, {}, {"loss": [(0, 1.0)]})
    client = MlflowClient()
    client.delete_experiment(find_experiment("gone").experiment_id)
    assert find_experiment().name == "second"
    log_run("first", {}, {"loss": [(0, 1.0)]})
    assert find_experiment().name == "first"
    assert len(read_runs()) == 2
    log_run("second", {}, {}, tags={"lossopt.comparison": "true"})
    assert find_experiment().name == "first"
    with pytest.raises(UserError, match=r"no experiment 'secnd'.*did you mean 'second'"):
        find_experiment("secnd")


@pytest.mark.usefixtures("store")
def test_runs_by_the_beginnings_of_their_ids_and_by_filter() -> None:
    ids = [log_run(f"e{place % 2}", {"lr": 0.1 * place}, {"loss": [(0, 1.0)]}) for place in range(4)]
    wanted = [ids[3], ids[0]]
    assert [run.run_id for run in read_runs(run_ids=[run_id[:12] for run_id in wanted])] == wanted
    with pytest.raises(UserError, match="there is no such run"):
        read_runs(run_ids=["zz"])
    assert [run.run_id for run in read_runs("e0", "params.lr = '0.2'", metrics=["loss"])] == [ids[2]]
    with pytest.raises(UserError, match=r"filter 'params.lr === 2': \w"):
        read_runs("e0", "params.lr === 2")


@pytest.mark.slow
def test_a_server_gives_the_same_as_its_database(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd_runs()
    log_run("odd", {}, {"long": [(step, step / 7) for step in range(26_000)]})
    ours = read_runs("odd", metrics=None, deleted=True)
    port = free_port()
    # A history of so many points takes a loaded server longer than a person would wait for it.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(LONGEST)))
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            f"sqlite:///{store}",
            "--port",
            str(port),
            "--workers",
            "1",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        _await_server()
        theirs = read_runs("odd", metrics=None, deleted=True)
        assert find_experiment().name == "odd"
    finally:
        server.terminate()
        server.wait(LONGEST)
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        same(one, other)


def _await_server() -> None:
    def answers() -> bool:
        with suppress(UserError):
            find_experiment("odd")
            return True
        return False

    wait_until(answers, pause=1)
