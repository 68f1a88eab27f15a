"""What the first layout of this package has left: configs, checkpoints, journals, a store and a sweep go on."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from benchmarks.killing.stored import stored_points
from lit_lossopt import load
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.places import TESTS

ARCHIVE = TESTS / "fixtures" / "first_layout.tar.xz"
ENDED, KILLED = "7f4337255f0143efb23cbe32a7a679d7", "e5d2704e69be4833a9f9d26c660ec758"
FIT = [
    "fit", "--config=sgd_momentum", "--config=digits", "--threads=1", "--model.network=MiniCNN",
    "--model.network.channels=[4,8]", "--model.network.hidden=16", "--model.optimizer.lr=0.1",
    "--trainer.enable_progress_bar=false",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which the first layout has trained and swept; the working folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    return tmp_path


def artifact(run: str, name: str) -> Path:
    return Path("mlruns/lit_lossopt") / run / "artifacts" / name


def test_a_killed_run_of_the_first_layout_is_resumed_by_its_key(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--trainer.max_epochs=30", "--resume=auto"]) == 0
    assert f"run {KILLED} goes on at step" in capsys.readouterr().out
    (run,) = [run for run in read_runs("lit_lossopt") if run.run_id == KILLED]
    assert (run.status, run.tags["lossopt.attempt"]) == ("FINISHED", "2")
    assert stored_points(KILLED, "train/loss").steps.tolist() == list(range(1, 601))
    assert folder == Path.cwd()


@pytest.mark.usefixtures("folder")
def test_its_configs_checkpoints_and_runs_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    best = artifact(ENDED, "checkpoints/best.ckpt")
    config = artifact(ENDED, "config.yaml")
    assert "lit_lossopt.model.MiniCNN" in config.read_text(encoding="utf-8")
    (before,) = [run for run in read_runs("lit_lossopt") if run.run_id == ENDED]
    assert main(["test", "--config", str(config), f"--ckpt_path={best}"]) == 0
    assert main(["fit", "--config", str(config)]) == 0
    again = read_runs("lit_lossopt")[-1]
    # The key and the arm are those of the first layout's run.
    assert again.run_id != ENDED
    for name in ("lossopt.trial_key", "lossopt.arm"):
        assert again.tags[name] == before.tags[name]
    classifier = load(best)
    assert type(classifier.network).__name__ == "MiniCNN"
    assert classifier.saved.run == ENDED
    capsys.readouterr()
    assert main(["compare", "--experiment", "before"]) == 0
    assert "adam lr=0.01" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_its_sweep_has_all_its_trials(capsys: pytest.CaptureFixture[str]) -> None:
    before = {run.run_id for run in read_runs("before")}
    assert main(["sweep", "--config=plan.yaml", "--engine=here"]) == 0
    assert "4 of 4 trials have results" in capsys.readouterr().out
    assert {run.run_id for run in read_runs("before")} == before
