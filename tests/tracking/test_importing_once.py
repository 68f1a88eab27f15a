"""What is imported is there once and whole, whatever interrupts it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.waiting import wait_until
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support import foreign_logs
from tests.support.foreign_logs import ODD, import_elsewhere
from tests.support.imports import imported

pytestmark = pytest.mark.usefixtures("store")

TABLES = ("metrics", "latest_metrics", "params", "tags", "runs")
OF_ONE_STORE = {"run_uuid", "artifact_uri", "experiment_id", "user_id"}


def rows_of(database: Path) -> dict[str, set[tuple[Any, ...]]]:
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        for table in TABLES:
            columns = [
                row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in OF_ONE_STORE
            ]
            found[table] = set(connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall())  # noqa: S608
    return found


def let_mlflow_write(database: Path) -> None:
    """Put a trigger into a store, so that its tables are not written directly."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TRIGGER watch AFTER INSERT ON metrics BEGIN SELECT 1; END")


def test_tables_get_the_rows_that_mlflow_itself_writes(
    logs: Path, store: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "odd.csv").write_text(ODD, encoding="utf-8")
    foreign_logs.write_wandb_histories(logs)
    other = Path(shutil.copy(empty_store, store.with_name("other.db")))
    let_mlflow_write(other)
    for database in (store, other):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        imported(logs / "odd.csv", "--columns", "step=step,loss=loss,metric:mixed=mixed", "--params", "lr=0.1,lr_2=3")
        imported(*sorted(logs.glob("sgd*.csv")))
    assert rows_of(store) == rows_of(other)


def count(database: Path, question: str) -> int:
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            return int(connection.execute(question).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def check_whole(folder: Path, values: dict[str, list[float]]) -> None:
    runs = imported(folder)
    assert len(runs) == len(values)
    assert {run.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.histories["train_loss"].values.tolist() == values[run.params["seed"]]
        assert names.TAG_IMPORTING not in run.tags


def test_an_import_killed_in_the_middle_of_a_run_and_repeated_gives_one_whole_run(
    logs: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"0": foreign_logs.write_lightning_table(logs / "version_0", 40_000)}
    let_mlflow_write(store)
    process = import_elsewhere(str(logs))
    wait_until(lambda: count(store, "SELECT COUNT(*) FROM metrics") >= 2000, pause=0.01)
    process.kill()
    assert process.wait() != 0
    half = read_runs("imported")
    assert [run.status for run in half] == ["RUNNING"]
    assert 0 < count(store, "SELECT COUNT(*) FROM metrics") < 80_000
    # An interrupted run is no result.
    assert main(["compare", "--experiment", "imported"]) != 0
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP TRIGGER watch")
    capsys.readouterr()
    check_whole(logs, values)
    assert "1 run that an interrupted import had left: replaced" in capsys.readouterr().out


@pytest.mark.slow
def test_an_import_killed_between_runs_and_repeated_gives_each_run_once(logs: Path, store: Path) -> None:
    values = {str(seed): foreign_logs.write_lightning_table(logs / f"version_{seed}", 5000, seed) for seed in range(12)}
    for least in (1, 5):
        process = import_elsewhere(str(logs))
        whole = f"SELECT COUNT(*) FROM tags WHERE key = '{names.TAG_IMPORTED_SHA256}'"  # noqa: S608
        wait_until(lambda: count(store, whole) >= least, pause=0.01)  # noqa: B023  # asked within this turn
        process.kill()
        process.wait()
    check_whole(logs, values)


def test_parameters_that_are_said_later_are_added_and_none_is_changed(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_logs.write_lightning_table(logs, 5)
    imported(logs)
    (run,) = imported(logs, "--params", "width=3")
    assert run.params == {"optimizer": "sgd", "seed": "0", "width": "3"}
    assert "It got width=3" in capsys.readouterr().out
    (run,) = imported(logs, "--params", "width=4")
    assert run.params["width"] == "3"
    assert "There width is 3, and not 4; to change it, delete the run" in capsys.readouterr().out


def test_a_log_that_has_grown_is_another_run_and_the_older_one_is_named(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_logs.write_lightning_table(logs, 5)
    (older,) = imported(logs)
    foreign_logs.write_lightning_table(logs, 6)
    assert len(imported(logs)) == 2
    assert f"as run {older.run_id}, which stays" in capsys.readouterr().out


def test_files_of_one_content_are_one_run_unless_a_person_tells_them_apart(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sgd_1", "sgd_2"):
        (logs / f"{name}.csv").write_text("epoch,loss\n0,0.5\n1,0.25\n", encoding="utf-8")
    assert len(imported(logs)) == 1
    assert "says the same as logs/sgd_1" in capsys.readouterr().out
    assert main(["import", str(logs), "--experiment", "apart", "--name-pattern", "{optimizer}_{seed}"]) == 0
    assert sorted(run.params["seed"] for run in read_runs("apart")) == ["1", "2"]
