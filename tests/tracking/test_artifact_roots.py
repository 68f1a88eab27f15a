"""Places for artifacts that cannot be used, and stores of files: one line before training says what helps."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.request import pathname2url

import pytest
from mlflow.tracking import MlflowClient

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.artifact_roots import check_artifact_root
from lit_lossopt.tracking.reading.runs import read_runs

FIT = [
    "fit",
    "--config=sgd",
    "--config=digits",
    "--threads=1",
    "--trainer.max_steps=2",
    "--trainer.limit_val_batches=1",
]
NO_BOTO = importlib.util.find_spec("boto3") is None

UNUSABLE = [
    ("mlflow-artifacts:/1", "which needs a server; set MLFLOW_TRACKING_URI"),
    ("C:/mlruns/1", "a folder of Windows"),
    ("some/folder", "a relative folder"),
    ("./mlruns/1", "a relative folder"),
    pytest.param("s3://bucket/1", "pip install boto3", marks=pytest.mark.skipif(not NO_BOTO, reason="boto3 is there")),
    ("nonsense://x", "MLflow knows no nonsense:"),
    ("/proc/nowhere/1", "cannot be written there"),
    ("file:///proc/nowhere/1", "cannot be written there"),
]


@pytest.mark.parametrize(("address", "message"), UNUSABLE)
def test_a_place_that_cannot_be_used_is_found_before_a_run_exists(
    address: str, message: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MlflowClient().create_experiment("mine")
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'mine'", [address])
    assert main([*FIT, "--tracking.experiment=mine"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "tracking.experiment=mine" in line
    assert not read_runs("mine")
    assert not list(Path().rglob("log.jsonl"))
    # Another experiment of the same store is not concerned.
    assert main([*FIT, "--tracking.experiment=other"]) == 0


@pytest.mark.parametrize(
    ("address", "store"),
    [("mlflow-artifacts:/1", "http://127.0.0.1:5000"), ("dbfs:/x", "databricks"), ("ftp://host/x", "sqlite:///x.db")],
)
def test_a_place_that_can_be_used_is_left_alone(address: str, store: str) -> None:
    check_artifact_root(address, store, "mine", Path.cwd())


def test_a_folder_that_became_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    check_artifact_root(str(tmp_path / "b"), "sqlite:///x.db", "mine", tmp_path)
    with pytest.raises(UserError, match="cannot be written there"):
        check_artifact_root(str(tmp_path / "a" / "b"), "sqlite:///x.db", "mine", tmp_path)


META = """\
artifact_location: file://{folder}/mlruns/{id}
creation_time: 1700000000000
experiment_id: '{id}'
last_update_time: 1700000000000
lifecycle_stage: active
name: {name}
"""


@pytest.mark.parametrize("named", [False, True])
def test_what_helps_with_a_store_of_files_before_and_after_it_is_migrated(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "my runs"
    for number, name in (("0", "Default"), ("1", "mine")):
        folder = home / "mlruns" / number
        folder.mkdir(parents=True)
        (folder / "meta.yaml").write_text(META.format(folder=home, id=number, name=name))
    monkeypatch.chdir(home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    export = f"export MLFLOW_TRACKING_URI=sqlite:///{pathname2url(str(home))}/mlflow.db"
    source = "mlruns" if named else f"'{home}/mlruns'"
    migrate = f"mlflow migrate-filestore --source {source} --target 'sqlite:///{home}/mlflow.db'"
    for command in (FIT, ["compare"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"; {migrate}; " in line
        assert line.endswith(export)
    assert not list(tmp_path.rglob("log.jsonl"))
    subprocess.run([sys.executable, "-m", *shlex.split(migrate)], check=True, capture_output=True)
    for command in (FIT, ["compare"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "mlflow.db is there, but MLflow takes the old one" in line
        assert "migrate-filestore" not in line
        assert line.endswith(export)
    key, _, value = export.removeprefix("export ").partition("=")
    monkeypatch.setenv(key, value)
    assert main([*FIT, "--tracking.experiment=more"]) == 0
    assert len(read_runs("more")) == 1
    assert {one.name for one in MlflowClient(os.environ[key]).search_experiments()} >= {"mine", "more"}
