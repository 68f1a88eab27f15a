"""Killed at any moment, resumed into the same run: weights, states and logged values as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.killing.attempts import (
    EVERYTHING,
    LBFGS,
    OFTEN,
    RUN,
    Attempts,
    assert_equal,
    journaled_steps,
    last_state,
    read_at,
    same,
    wait_for_steps,
)
from benchmarks.killing.pause import MOMENT, SIGNAL
from benchmarks.killing.stored import stored_points
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.checkpoint_file import previous_of, read_best_of, read_verified

# Another file system than that of the tests, where there is one.
MEMORY = Path("/dev") / "shm"
SAVES, WRITES = 29, 12  # in such a run


@pytest.fixture(autouse=True, scope="session")
def _store(empty_store: Path) -> None:
    Attempts.store = empty_store


@pytest.fixture(scope="session")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    attempts = Attempts(zygote, tmp_path_factory.mktemp("whole"), *EVERYTHING, OFTEN)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


MOMENTS = [
    *[("batch", count) for count in range(1, 25)],
    *[("validation", count) for count in range(3, 15)],
    *[("saving", count) for count in range(1, SAVES + 1)],
    *[("writing", count) for count in range(1, WRITES + 1)],
]
# Within an epoch, and amid the writing of a file. The others are shown by their neighbours.
FEW = [("batch", 8), ("writing", 2)]


@pytest.mark.parametrize(
    ("moment", "count"), [pytest.param(*one, marks=() if one in FEW else pytest.mark.slow) for one in MOMENTS]
)
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    moment: str, count: int, zygote: Zygote, whole: Attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, OFTEN)
    elsewhere = {"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {}
    assert attempts.kill_at(moment, count, **elsewhere), attempts.output.read_text()
    saved = list((attempts.folder / "mlruns").rglob("*.ckpt"))
    for path in saved:
        read_verified(path)
    has_saved = any(path.name.startswith("last") for path in saved)
    assert attempts.finish("--ckpt_path=last" if has_saved else "--resume=auto") == 0, attempts.output.read_text()
    # Killed before its first checkpoint, there is nothing to go on with: a new run has all of it.
    assert_equal(attempts.folder, whole.folder)
    run = read_at(attempts.folder)
    assert [one.status for one in read_runs("lit_lossopt")].count("FINISHED") == 1
    assert run.tags.get("lossopt.attempt") == ("2" if has_saved else None)
    if has_saved:
        assert len(read_runs("lit_lossopt")) == 1
        assert float(run.tags["lossopt.gap_seconds"].strip("[]")) > 0
    # Half a file may be left in the folder of a run that was killed at its first save, and never gone on with.
    assert not list((attempts.folder / "mlruns").rglob(f"{run.run_id}/**/*.part"))


STOPS = ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.patience=9"]
ODD = [
    ["--config=adam", "--trainer.max_epochs=-1", "--trainer.max_steps=20"],
    ["--config=adam", "--model.frozen_epochs=1", "--model.backbone_lr_factor=0.1"],
    [
        "--config=adam", "--trainer.limit_train_batches=5", "--trainer.accumulate_grad_batches=2",
        "--trainer.val_check_interval=2", "--trainer.max_epochs=6",
    ],
    ["--config=adam", "--trainer.val_check_interval=3", "--trainer.accumulate_grad_batches=2"],
    ["--config=adam", "--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=5"],
    ["--config=adam", "--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=11"],
    ["--config=adam", "--trainer.limit_val_batches=0"],
    ["--config=adam", "--data.drop_last=false", "--trainer.limit_val_batches=1", "--trainer.num_sanity_val_steps=0"],
    ["--config=adam", "--trainer.overfit_batches=4", "--trainer.max_epochs=6"],
    ["--config=adam", "--trainer.precision=bf16-mixed", "--trainer.gradient_clip_val=0.5"],
    ["--config=adam", "--compile=true", "--data.drop_last=false"],
    ["--config=adam", "--data.resident=true", "--data.augmentation=[PadCrop]", "--data.mixing=MixUp"],
    ["--config=adam", *STOPS, "--trainer.val_check_interval=3"],
    ["--config=adam", "--trainer.callbacks={class_path: GradientAccumulationScheduler, scheduling: {0: 1, 1: 3}}"],
    ["--config=bce", "--data.mixing=CutMix", "--trainer.val_check_interval=0.3"],
    ["--config=lion", "--model.lr_scheduler=OneCycleLR", "--model.lr_scheduler.max_lr=0.001",
     "--model.lr_scheduler.total_steps=24", "--model.lr_scheduler_interval=step"],
    ["--config=schedule_free", "--trainer.accumulate_grad_batches=3", "--trainer.max_epochs=6"],
]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ["--config=plateau", "--model.optimizer.lr=0.5", "--model.lr_scheduler.patience=0"],
        ["--config=adam", "--trainer.accumulate_grad_batches=3"],
        pytest.param(["--config=schedule_free"], marks=pytest.mark.slow),
        pytest.param(["--config=muon"], marks=pytest.mark.slow),
        pytest.param(LBFGS, marks=pytest.mark.slow),
        pytest.param(["--config=rmsprop", "--trainer.check_val_every_n_epoch=2"], marks=pytest.mark.slow),
        pytest.param(
            ["--config=adam", "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"], marks=pytest.mark.slow
        ),
        *[pytest.param(words, marks=pytest.mark.slow) for words in ODD],
    ],
)
def test_every_kind_of_training_resumes(
    words: list[str], zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    undisturbed = Attempts(zygote, tmp_path / "whole", *words, OFTEN)
    assert undisturbed.finish() == 0, undisturbed.output.read_text()
    attempts = Attempts(zygote, tmp_path / "run", *words, OFTEN)
    assert attempts.kill_at("batch", 8)
    # The end of the first epoch, with its validation, and a moment within the second.
    for moment in (9, 4):
        assert attempts.kill_at("batch", moment, "--ckpt_path=last"), attempts.output.read_text()
    assert attempts.finish("--ckpt_path=last") == 0, attempts.output.read_text()
    assert_equal(attempts.folder, undisturbed.folder)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_random_kills_in_one_run(zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    words = [*EVERYTHING, "--trainer.max_epochs=200", "--checkpoints.every_n_steps=3"]
    undisturbed = Attempts(zygote, tmp_path / "whole", *words)
    assert undisturbed.finish() == 0
    attempts = Attempts(zygote, tmp_path / "run", *words)
    moments = random.Random(0)
    # All twenty together are a quarter of the training at most, or it could end before the last of them.
    longest = read_at(undisturbed.folder).metrics["time/train_seconds"] / 80
    for _ in range(20):
        done = journaled_steps(attempts.folder)
        process = attempts.start("--resume=auto")
        # At any time after a checkpoint of its own: of any three steps one is saved before a fourth is made.
        wait_for_steps(attempts, done + 4)
        time.sleep(moments.uniform(0, longest))
        os.kill(process, signal.SIGKILL)
        assert attempts.zygote.wait(process) == -signal.SIGKILL, attempts.output.read_text()
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert_equal(attempts.folder, undisturbed.folder)
    assert read_at(attempts.folder).tags["lossopt.attempt"] == "21"
    assert len(read_runs("lit_lossopt")) == 1


@pytest.fixture(scope="session")
def longer(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    attempts = Attempts(zygote, tmp_path_factory.mktemp("longer"), *EVERYTHING, *LONGER)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


# A validation of 29 batches after each step: a signal comes while validating.
LONGER = ["--trainer.max_epochs=6", "--trainer.val_check_interval=1", "--data.eval_batch_size=1"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("steps", [1, 8, 20])
def test_a_signal_while_validating_saves_first(
    number: int,
    status: int,
    steps: int,
    zygote: Zygote,
    longer: Attempts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, *LONGER)
    process = attempts.start()
    wait_for_steps(attempts, steps)
    os.kill(process, number)
    assert attempts.zygote.wait(process) == status, attempts.output.read_text()
    step = last_state(attempts.folder)["global_step"]
    assert steps <= step < 48
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert f"goes on at step {step}, attempt 2" in attempts.output.read_text()
    assert_equal(attempts.folder, longer.folder)


@pytest.mark.slow
def test_a_signal_in_the_validation_that_ends_an_epoch_does_not_end_the_run(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    words = [*EVERYTHING, "--trainer.max_epochs=2", "--trainer.val_check_interval=8", "--data.eval_batch_size=1"]
    attempts = Attempts(zygote, tmp_path / "run", *words)
    # Behind the 29 batches of the validation before the first step.
    within = {MOMENT: "validation:32", SIGNAL: str(int(signal.SIGTERM))}
    assert attempts.finish(**within) == 143, attempts.output.read_text()
    assert last_state(attempts.folder)["global_step"] == 8
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    undisturbed = Attempts(zygote, tmp_path / "whole", *words)
    assert undisturbed.finish() == 0
    assert_equal(attempts.folder, undisturbed.folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_training_saves_first(
    number: int, zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    words = [*EVERYTHING, "--trainer.max_epochs=20", "--trainer.val_check_interval=8"]
    attempts = Attempts(zygote, tmp_path / "run", *words)
    process = attempts.start()
    wait_for_steps(attempts, 8)
    os.kill(process, number)
    assert attempts.zygote.wait(process) in (143, 130)
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    undisturbed = Attempts(zygote, tmp_path / "whole", *words)
    assert undisturbed.finish() == 0
    assert_equal(attempts.folder, undisturbed.folder)


@pytest.mark.usefixtures("store")
def test_changed_settings_are_explained_and_begin_a_new_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*RUN, "--config=sgd_momentum"]
    assert main([*words, "--trainer.max_epochs=1"]) == 0
    assert main([*words, "--ckpt_path=last", "--trainer.max_epochs=2"]) == 0
    shown = capsys.readouterr().out
    assert "settings have changed (--resume force goes on with that run): trainer.max_epochs: 1 → 2" in shown
    first, second = read_runs("lit_lossopt")
    assert second.tags["lossopt.continues"] == first.run_id
    np.testing.assert_array_equal(stored_points(second.run_id, "train/loss").steps, np.arange(9, 17))
    assert main([*words, "--ckpt_path=last", "--resume=force", "--trainer.max_epochs=3"]) == 0
    assert "settings have changed since: trainer.max_epochs: 2 → 3" in capsys.readouterr().out
    assert len(read_runs("lit_lossopt")) == 2
    np.testing.assert_array_equal(stored_points(second.run_id, "train/loss").steps, np.arange(9, 25))


@pytest.mark.usefixtures("store")
def test_resume_auto_starts_where_there_is_nothing_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*RUN, "--config=sgd_momentum", "--resume=auto", "--trainer.max_epochs=1"]
    assert main(words) == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert main(words) == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert [run.tags.get("lossopt.attempt") for run in read_runs("lit_lossopt")] == [None, None]


def damaged(data: bytes, random: random.Random) -> list[bytes]:
    """Return forty truncations and forty flipped bits of a file."""
    cut = [data[: random.randrange(len(data))] for _ in range(40)]
    flipped = []
    for _ in range(40):
        altered = bytearray(data)
        altered[random.randrange(len(data))] ^= 1 << random.randrange(8)
        flipped.append(bytes(altered))
    return cut + flipped


@pytest.mark.usefixtures("store")
def test_no_damaged_checkpoint_loads_and_the_one_before_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*RUN, "--config=sgd_momentum", OFTEN]
    assert main(words) == 0
    (last,) = Path("mlruns").rglob("last.ckpt")
    data, before = last.read_bytes(), previous_of(last)
    weights = read_verified(last)["state_dict"]
    broken = damaged(data, random.Random(0))
    for one in broken:
        last.write_bytes(one)
        _, used, problem = read_best_of(last)
        assert used == before
        assert problem.startswith(str(last))
        assert "\n" not in problem
    for one in (broken[0], broken[-1]):
        last.write_bytes(one)
        capsys.readouterr()
        assert main([*words, "--ckpt_path=last"]) == 0
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("lossopt:"))
        assert str(last) in line
        assert "the checkpoint before it is used" in line
        # A damaged file does not take the place of the good one.
        assert same(read_verified(last)["state_dict"], weights)
        read_verified(before)
    before.write_bytes(b"")
    last.write_bytes(broken[0])
    assert main([*words, "--ckpt_path=last"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "the checkpoint before it cannot be used either" in line


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--ckpt_path=last"], "no run of the experiment 'lit_lossopt' has left a checkpoint"),
        (["--resume=always"], "fit takes --resume auto, or --resume force"),
        (["--resume=force"], "name what to go on with, as --ckpt_path last"),
        (["--resume=auto", "--ckpt_path=last"], "finds its checkpoint itself"),
        (["--ckpt_path=http://host/last.ckpt"], "only a local file is loaded"),
    ],
)
def test_what_cannot_be_resumed_is_one_line(typed: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, *typed]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
