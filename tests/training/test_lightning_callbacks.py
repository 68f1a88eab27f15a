"""Each callback that Lightning exports works, killed and resumed too, or one line says why not and what to do."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import callbacks

from benchmarks.killing.attempts import RUN, Attempts, assert_equal, last_state
from benchmarks.killing.pause import MARK, MOMENT, SIGNAL
from benchmarks.killing.stored import stored_points
from benchmarks.killing.zygote import Zygote
from benchmarks.lightning_callbacks import NEEDED, try_callback, words_of
from lit_lossopt import load
from lit_lossopt.__main__ import main
from lit_lossopt.config.lightning_callbacks import BASES, REFUSED, check_built
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.tracking.reading.runs import Run, read_runs

pytestmark = pytest.mark.usefixtures("store")
ADAM = [*RUN, "--config=adam", "--trainer.max_epochs=2", "--trainer.enable_progress_bar=false"]


def folder_of(run: Run) -> Path:
    return Path("mlruns/lit_lossopt") / run.run_id / "artifacts"


def test_each_of_lightnings_callbacks_is_known() -> None:
    assert set(NEEDED) == set(callbacks.__all__)
    assert not REFUSED.keys() & BASES.keys()


@pytest.mark.parametrize("name", [*REFUSED, *BASES])
def test_one_that_a_run_cannot_have_is_refused_before_there_is_a_run(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"lightning.pytorch.callbacks.{name}"
    Path("a.yaml").write_text(f"trainer: {{callbacks: [Timer, {{class_path: {path}}}]}}")
    typed = [
        words_of(name),
        [f"--trainer.callbacks={{class_path: {name}}}"],
        [f"--trainer.callbacks.class_path={path}"],
    ]
    for words, source in [*((words, "the command line") for words in typed), (["--config=a.yaml"], "a.yaml")]:
        assert main([*RUN, *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"lossopt: trainer.callbacks={name} from {source}: {(REFUSED | BASES)[name]}"
    assert not Path("mlruns").exists()


class _Mine(callbacks.BatchSizeFinder):
    pass


def test_a_class_that_is_made_of_one_is_refused_too() -> None:
    check_built([callbacks.Timer(), pl.Callback()])
    with pytest.raises(UserError, match=r"=_Mine: it is derived from BatchSizeFinder: .* Set --data.batch_size=N"):
        check_built([callbacks.Timer(), _Mine()])


@pytest.mark.skipif(importlib.util.find_spec("psutil") is not None, reason="there it works")
def test_what_a_monitor_of_devices_lacks_is_said_with_the_line_that_installs_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*ADAM, "--trainer.accelerator=cpu", "--trainer.callbacks+=DeviceStatsMonitor"]) == 2
    assert capsys.readouterr().err.endswith("is not installed; pip install psutil\n")
    assert not Path("mlruns").exists()


TOGETHER = """trainer:
  callbacks:
  - Timer
  - {class_path: EarlyStopping, monitor: val/loss}
  - {class_path: GradientAccumulationScheduler, init_args: {scheduling: {0: 1, 1: 2}}}
  - LambdaCallback
  - LearningRateMonitor
  - {class_path: ModelCheckpoint, init_args: {dirpath: mine}}
  - ModelSummary
  - RichModelSummary
  - {class_path: ThroughputMonitor, init_args: {batch_size_fn: lit_lossopt.data.batches.batch_length}}
  - EMAWeightAveraging
"""


def test_a_list_of_bare_names_trains_and_its_kept_config_trains_the_same() -> None:
    Path("together.yaml").write_text(TOGETHER)
    assert main([*ADAM, "--config=together.yaml"]) == 0
    (first,) = read_runs("lit_lossopt")
    assert first.tags["lossopt.verdict"] == "completed"
    assert list(Path("mine").glob("*.ckpt"))
    assert {"lr-Adam/all", "train/batches"} <= first.metrics.keys()
    # Eight steps, and then four of two batches each.
    assert stored_points(first.run_id, "train/loss").steps.tolist() == list(range(1, 13))
    # Lightning warns of a folder that another run has filled.
    shutil.rmtree("mine")
    assert main(["fit", "--config", str(folder_of(first) / "config.yaml")]) == 0
    second = read_runs("lit_lossopt")[-1]
    assert second.tags["lossopt.trial_key"] == first.tags["lossopt.trial_key"]
    losses = [stored_points(run.run_id, "train/loss").values.tolist() for run in (first, second)]
    assert losses[0] == losses[1]


def test_a_training_without_a_step_is_not_completed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ADAM, "--trainer.callbacks+=Timer", "--trainer.callbacks.duration=00:00:00:00"]) == 2
    assert "nothing was trained" in capsys.readouterr().err.splitlines()[-1]
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("FAILED", "failed")


AVERAGE = ["--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay=0.5"]


def test_averaged_weights_are_those_that_are_evaluated_kept_and_loaded() -> None:
    assert main([*ADAM, *AVERAGE]) == 0
    (run,) = read_runs("lit_lossopt")
    kept = last_state(folder_of(run))
    pair = [kept[part]["network.linear2.weight"] for part in ("state_dict", "current_model_state")]
    assert not torch.equal(*pair)
    data = DigitsDataModule()
    data.setup("fit")
    images = data.images("val")
    for which, metric in (("last", "val/accuracy"), ("best", "best/val_accuracy")):
        found = load(folder_of(run), which)(images.images)  # type: ignore[arg-type]  # a table of names
        share = (found.labels == images.labels).double().mean().item()
        assert share == pytest.approx(run.metrics[metric], abs=1e-6)


def test_a_signal_amid_a_validation_leaves_average_and_weights_where_they_belong(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*ADAM, *AVERAGE, "--trainer.callbacks+=benchmarks.killing.pause.PauseAt"]
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        if folder.name == "stopped":
            # Between the two batches of the second validation within training.
            monkeypatch.setenv(MOMENT, "validation:5")
            monkeypatch.setenv(SIGNAL, str(int(signal.SIGTERM)))
            assert main(words) == 143
            assert (folder / MARK).exists()
            monkeypatch.delenv(MOMENT)
        assert main([*words, "--resume=auto"]) == 0
    assert_equal(folders[1], folders[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NEEDED if name not in REFUSED | BASES])
def test_one_that_works_is_killed_and_resumed_to_the_bit(
    name: str, zygote: Zygote, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    Attempts.store = empty_store
    found = try_callback(name, zygote, tmp_path)
    if found["status"] == 2 and "pip install psutil" in found["said"]:
        pytest.skip(found["said"])
    assert (found["status"], found["ended"], found["kills"], found["same"]) == (0, 0, 2, True), found
