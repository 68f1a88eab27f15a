"""A local database is whole or not there, and where it is, is said."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.tracking.addresses import where_to_look
from lit_lossopt.tracking.runs import read_runs
from tests.attempts import RUN
from tests.zygote import Zygote, alive

WORDS = [*RUN, "--config=sgd", "--trainer.max_steps=1"]


def test_a_database_that_was_killed_while_it_was_made_is_made_again(
    zygote: Zygote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, part, database = os.environ["MLFLOW_TRACKING_URI"], tmp_path / "mlflow.db.part", tmp_path / "mlflow.db"
    process = zygote.start(WORDS, tmp_path, tmp_path / "output.txt", {"MLFLOW_TRACKING_URI": uri})
    while alive(process) and not (part.exists() and part.stat().st_size > 20_000):
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    assert zygote.wait(process) == -signal.SIGKILL
    assert part.exists()
    assert not database.exists()
    assert main(WORDS) == 0
    assert "not in sqlite" not in capsys.readouterr().err
    assert [run.status for run in read_runs("lit_lossopt")] == ["FINISHED"]
    assert not part.exists()


def test_it_is_said_where_the_runs_can_be_seen(tmp_path: Path) -> None:
    assert where_to_look(f"sqlite:///{tmp_path}/mlflow.db") == "mlflow ui"
    elsewhere = f"sqlite:///{tmp_path}/elsewhere/mlflow.db"
    assert where_to_look(elsewhere) == f"mlflow ui --backend-store-uri {elsewhere}"
    assert where_to_look("elsewhere/my runs") == "mlflow ui --backend-store-uri 'elsewhere/my runs'"
    assert where_to_look("./mlruns") == where_to_look(f"file://{tmp_path}/mlruns") == "mlflow ui"
    assert where_to_look("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
