"""A local database is whole or not there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
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
