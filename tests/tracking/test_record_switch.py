"""The record stays beside other loggers unless it is switched off by name; no checkpoint is written over."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.config.words import prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.callbacks.checkpoint_folders import check_apart, new_folder
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from tests.conftest import FinishedRun

FIT = ["fit", "--config=sgd", "--config=digits", "--threads=1", "--trainer.max_steps=30", "--trainer.max_epochs=-1"]
FIT += ["--probe.images=64", "--diagnostics=off"]
OFF = ("--tracking=false", "--tracking false", "--trainer.logger=false", "--config=untracked", "--config=no_logger")


@pytest.fixture(autouse=True)
def _configs() -> None:
    Path("untracked.yaml").write_text("tracking: false\n")
    Path("no_logger.yaml").write_text("trainer: {logger: false}\n")
    Path("tracked.yaml").write_text("tracking: {experiment: mine}\n")


def checkpoints() -> list[Path]:
    return sorted(Path().rglob("best.ckpt"))


@pytest.mark.parametrize(
    ("typed", "off"),
    [
        *((word, True) for word in OFF),
        ("", False),
        ("--tracking=true", False),
        ("--trainer.logger=true", False),
        ("--config=untracked --tracking=true", False),
        ("--tracking=true --trainer.logger=false", False),
        ("--trainer.logger=false --trainer.logger=true", False),
        ("--config=tracked --tracking=false", True),
        ("--config=untracked --config=tracked --tracking=true", False),
        ("--tracking.experiment=mine", False),
    ],
)
def test_what_is_said_last_decides(typed: str, off: bool) -> None:
    prepared = prepare("fit", typed.split())
    assert bool(prepared.unrecorded) == off
    assert all(key != "tracking" for key, _ in prepared.rest)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--tracking=false --tracking.experiment=x", "tracking.experiment: means nothing without a record"),
        ("--tracking.run_name=x --trainer.logger=false", "trainer.logger=false from the command line switches it off"),
        ("--config=untracked --tracking.experiment=x", "tracking=false from untracked.yaml"),
        ("--config=untracked --config=tracked", "tracking=false from untracked.yaml"),
        *((f"{word} --resume auto", "--resume auto: goes on with a recorded run") for word in OFF),
        ("--tracking=false --ckpt_path last", "--ckpt_path last: goes on with a recorded run"),
        ("--tracking=3", "tracking from the command line: give its parts"),
    ],
)
def test_what_needs_a_record_is_refused_without(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *typed.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    "words", ["--tracking=false", "--trainer.logger=false", "--config untracked", "--config no_logger"]
)
def test_a_sweep_needs_records(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--config", "sweep_quick", "--dry-run", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "=false" in line
    assert "a sweep reads results" in line


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "config",
    [
        "trainer: {logger: {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: csv}}}",
        "trainer: {logger: [{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: csv}}]}",
        "",
    ],
)
def test_loggers_of_a_person_stand_beside_the_record(config: str) -> None:
    Path("mine.yaml").write_text(config or "{}")
    typed = [] if config else ["--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=csv"]
    for seed in (0, 1):
        assert main([*FIT, "--config=mine.yaml", f"--seed_everything={seed}", *typed]) == 0
    runs = read_runs("lit_lossopt")
    assert [run.status for run in runs] == ["FINISHED"] * 2
    assert {str(path) for path in checkpoints()} == {
        f"mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/best.ckpt" for run in runs
    }
    stored = {tuple(stored_points(run.run_id, "train/loss").values.tolist()) for run in runs}
    assert stored == {tuple(losses_in(path)) for path in Path("csv").rglob("metrics.csv")}


def losses_in(table: Path) -> list[float]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row["train/loss"] for row in csv.DictReader(file)]
    return [float(value) for value in rows if value]


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_second_record_in_mlflow_is_said() -> None:
    # In a process of its own: MLFlowLogger sets the address of the store for all that follows.
    mlflow = ["--trainer.logger=MLFlowLogger", "--trainer.logger.experiment_name=other"]
    uri = f"--trainer.logger.tracking_uri={os.environ['MLFLOW_TRACKING_URI']}"
    command = [sys.executable, "-m", "lit_lossopt", *FIT, *mlflow, uri]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "MLFlowLogger makes a second run in MLflow" in done.stderr
    for experiment in ("lit_lossopt", "other"):
        (run,) = read_runs(experiment)
        assert len(stored_points(run.run_id, "train/loss").values) == 30


@pytest.mark.parametrize("off", ["--tracking=false", "--config=no_logger"])
def test_unrecorded_runs_keep_their_checkpoints_apart_and_say_where(
    off: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        assert main([*FIT, off, f"--seed_everything={seed}"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not recorded (")]
    folders = [line.rpartition(" ")[2] for line in lines]
    assert [str(path.parent.absolute()) for path in checkpoints()] == sorted(folders)
    first, second = (torch.load(path, weights_only=True) for path in checkpoints())
    assert any(not torch.equal(value, second["state_dict"][name]) for name, value in first["state_dict"].items())
    assert first["lossopt_run"] == ""
    assert not Path("mlflow.db").exists()
    assert not Path("mlruns").exists()


def test_another_loggers_version_is_no_run_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=csv", "--tracking=false"]
    assert main([*FIT, *words]) == 0
    (best,) = checkpoints()
    assert torch.load(best, weights_only=True)["lossopt_run"] == ""
    assert main([*FIT, "--trainer.max_steps=40", f"--ckpt_path={best}"]) == 0
    assert "a new run begins from the checkpoint, which names none" in capsys.readouterr().out
    assert len(read_runs("lit_lossopt")) == 1


@pytest.mark.usefixtures("in_its_store")
def test_a_test_without_a_record_adds_nothing_to_its_run(digits_run: FinishedRun) -> None:
    before = read_runs("lit_lossopt")
    words = ["--config=adam", "--config=digits", "--threads=1", f"--ckpt_path={digits_run.checkpoints / 'best.ckpt'}"]
    assert main(["test", *words, "--tracking=false"]) == 0
    assert read_runs("lit_lossopt") == before


def test_folders_are_new_however_fast_they_are_asked_for(tmp_path: Path) -> None:
    assert len({new_folder(str(tmp_path)) for _ in range(20)}) == 20


@pytest.mark.parametrize("root", ["/proc/nowhere", "s3://bucket/x"])
def test_a_folder_that_cannot_be_had_is_one_line(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--tracking=false", f"--trainer.default_root_dir={root}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "trainer.default_root_dir" in line


@pytest.mark.usefixtures("store")
def test_checkpoints_of_a_person_stand_beside_ours() -> None:
    words = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath=theirs"]
    assert main([*FIT, *words, "--trainer.callbacks.filename=best", "--model.optimizer.lr=1e18"]) == 3
    (run,) = read_runs("lit_lossopt")
    ours = Path("mlruns/lit_lossopt") / run.run_id / "artifacts/checkpoints"
    assert (ours / "last_good.ckpt").exists()
    assert not Path("theirs/last_good.ckpt").exists()


def test_a_persons_checkpoints_do_not_go_into_our_folder(tmp_path: Path) -> None:
    ours = RunCheckpoints()
    ours.dirpath = str(tmp_path / "x")
    check_apart([ModelCheckpoint(dirpath=tmp_path), ours], ours)
    with pytest.raises(UserError, match="keeps its own checkpoints there"):
        check_apart([ModelCheckpoint(dirpath=tmp_path / "y" / ".." / "x"), ours], ours)
