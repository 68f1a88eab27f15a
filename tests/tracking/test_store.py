"""A local database is whole or not there, and where it is, is said."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.killing.attempts import RUN
from benchmarks.killing.zygote import Zygote, alive
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.addresses import where_to_look
from lit_lossopt.tracking.next_steps import next_steps
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.tracking.store import Store

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


def test_the_next_commands_name_a_store_that_is_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next_steps("lit_lossopt", "3", f"sqlite:///{tmp_path}/mlflow.db") == [
        "compare its runs: lossopt compare",
        "look at them: mlflow ui, then open",
        "  http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning",
    ]
    server = "http://tracking.example:5000/"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert next_steps("my runs", "", server) == [
        f"compare its runs: MLFLOW_TRACKING_URI={server} lossopt compare --experiment 'my runs'",
        "look at them:",
        "  http://tracking.example:5000/#/experiments",
    ]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("before", "after"), [(None, "custom_model_development"), ("genai_development",) * 2])
def test_an_experiment_is_marked_as_one_of_trainings(before: str | None, after: str, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    made = Store(uri).experiment_id("fresh", str(tmp_path))
    assert client.get_experiment(made).tags["mlflow.experimentKind"] == "custom_model_development"
    # Made by an earlier version, or by a person who has chosen.
    earlier = client.create_experiment("earlier")
    if before:
        client.set_experiment_tag(earlier, "mlflow.experimentKind", before)
    assert Store(uri).experiment_id("earlier", str(tmp_path)) == earlier
    assert client.get_experiment(earlier).tags["mlflow.experimentKind"] == after
