"""What is done for a store before there is a call: a database in memory, and nothing on disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import make_url

from benchmarks.killing.waiting import wait_until
from lit_lossopt.tracking import made_ahead
from lit_lossopt.tracking.addresses import sqlite_path
from lit_lossopt.tracking.store import Store
from lit_lossopt.tracking.store_process import StoreProcess
from lit_lossopt.tracking.store_server import Place, Request


def content(database: Path) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return tables and indices as words in an order of their own, and experiments without their times."""
    with closing(sqlite3.connect(database)) as connection:
        # The order of constraints is another one in each process.
        made = [" ".join(sorted(sql.replace(",", " ").split())) for (sql,) in connection.execute(_SCHEMA)]
        return sorted(made), connection.execute(_EXPERIMENTS).fetchall()


_SCHEMA = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
_EXPERIMENTS = "SELECT experiment_id, name, artifact_location, lifecycle_stage FROM experiments"


def test_a_database_that_was_made_ahead_is_the_one_that_mlflow_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, empty, ahead, plain = (tmp_path / name for name in ("home", "empty", "ahead.db", "plain.db"))
    home.mkdir()
    monkeypatch.chdir(home)
    assert not made_ahead.take(ahead)
    made_ahead.make(empty)
    assert Path.cwd() == home
    assert not empty.exists()
    assert list(home.iterdir()) == []
    assert made_ahead.take(ahead)
    assert not made_ahead.take(ahead)
    MlflowClient(f"sqlite:///{plain}").search_experiments()
    assert content(ahead) == content(plain)
    assert content(ahead)[1][0][2] == f"{home}/mlruns/0"


def test_a_process_makes_a_database_only_where_a_run_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    process = StoreProcess()
    assert list(tmp_path.iterdir()) == []
    place = Place(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path), dict(os.environ))
    assert process.ask(Request(0, "open", (place,))).told is None
    assert process.ask(Request(0, "find_run", ("none",))).told is not None
    process.close()
    assert content(tmp_path / "mlflow.db")[1][0][2] == f"{tmp_path}/mlruns/0"


# Starts the process beside, and then waits to be killed.
_TRAINING = """
import time
from lit_lossopt.tracking.store_process import StoreProcess
process = StoreProcess()
print(process.pid, process._empty, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_while_a_database_is_made_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    with subprocess.Popen(
        [sys.executable, "-c", _TRAINING], cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout
        pid, folder = training.stdout.readline().split()
        wait_until(lambda: Path(folder).exists() or not Path(f"/proc/{pid}").exists())
        training.send_signal(number)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert list(temporary.iterdir()) == []
    assert list(home.iterdir()) == []


def test_a_store_that_is_there_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    Store(f"sqlite:///{tmp_path}/mlflow.db").open()
    process = StoreProcess()
    assert process.ask(Request(0, "find_run", ("none",))).told is not None
    process.close()
    assert not (tmp_path / "none").exists()


def test_the_database_of_another_program_is_not_opened_ahead(tmp_path: Path) -> None:
    database = tmp_path / "other.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE birds (name)")
        connection.commit()
    assert not Store(f"sqlite:///{database}").is_whole()
    assert not Store(f"sqlite:///{tmp_path}/none.db").is_whole()
    assert not Store("http://127.0.0.1:9").is_whole()
    whole = Store(f"sqlite:///{tmp_path}/mlflow.db")
    whole.open()
    assert whole.is_whole()


@pytest.mark.parametrize(
    "path",
    ["/a/b.db", "b.db", "./b c.db", "/a@b:c/d.db", "//x/y.db", "/ü/#1;x=&.db", "/a%20b.db", "/a.db?mode=ro", "/a%.db"],
)
def test_the_file_of_an_address_is_the_one_that_sqlalchemy_opens(path: str) -> None:
    uri = f"sqlite:///{path}"
    assert sqlite_path(uri) == Path(make_url(uri).database or "")


def test_plain_addresses_need_no_database_library() -> None:
    code = (
        "import sys; from lit_lossopt.tracking.addresses import sqlite_path; print(sqlite_path('sqlite:////a/b.db')); "
        "assert 'sqlalchemy' not in sys.modules; sqlite_path('sqlite:////a%20b'); assert 'sqlalchemy' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "/a/b.db\n"
