"""Killed at any moment, resumed into the same run: weights, states and logged values as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_lossopt.__main__ import main
from lit_lossopt.checkpoint_file import previous_of
from lit_lossopt.tracking.journal import read_entries
from lit_lossopt.tracking.runs import Run, read_runs
from tests.pause import MARK
from tests.stored import stored_points
from tests.zygote import Zygote, alive

# Three epochs of eight steps; validations of two batches after every fourth step.
RUN = [
    "fit", "--data=DigitsDataModule", "--threads=1", "--trainer.max_epochs=3", "--data.batch_size=160",
    "--data.eval_batch_size=90", "--trainer.val_check_interval=4", "--allow-import=tests", "--tracking.patience=20",
]  # fmt: skip
EVERYTHING = [
    "--config=sgd_momentum", "--data.augmentation=[PadCrop,HorizontalFlip,{class_path: RandomRotation, degrees: 10}]",
    "--data.mixing=MixUp", "--model.lr_scheduler=CosineAnnealingLR", "--model.lr_scheduler.T_max=24",
    "--model.lr_scheduler_interval=step", "--model.lr_warmup=3",
]  # fmt: skip
OFTEN = "--checkpoints.every_n_steps=2"
TIMES = ("time/train_seconds",)


class Attempts:
    """One run in a folder, of several processes."""

    def __init__(self, zygote: Zygote, folder: Path, *words: str) -> None:
        self.zygote = zygote
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.words = [*RUN, *words]
        self.output = folder / "output.txt"

    def start(self, *more: str) -> int:
        environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db"}
        return self.zygote.start([*self.words, *more], self.folder, self.output, environment)

    def finish(self, *more: str) -> int:
        return self.zygote.wait(self.start(*more))

    def kill_at(self, moment: str, count: int, *more: str) -> bool:
        """Kill at a moment; return whether it came, or the run ended before it."""
        mark = self.folder / MARK
        mark.unlink(missing_ok=True)
        pause = ["--trainer.callbacks+=tests.pause.PauseAt", f"--trainer.callbacks.moment={moment}"]
        process = self.start(*more, *pause, f"--trainer.callbacks.count={count}")
        until = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < until:
            if not alive(process):
                break
            time.sleep(0.01)
        if alive(process):
            os.kill(process, signal.SIGKILL)
        return self.zygote.wait(process) == -signal.SIGKILL

    def state(self) -> dict[str, Any]:
        (path,) = self.folder.rglob("last.ckpt")
        found: dict[str, Any] = torch.load(path, weights_only=True)
        return found


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def assert_equal(attempts: Attempts, whole: Attempts) -> None:
    """Compare weights, optimizer and schedule states, and the history of every metric."""
    mine, theirs = attempts.state(), whole.state()
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "lossopt_state"):
        assert same(mine[part], theirs[part]), part
    assert histories(attempts) == histories(whole)


def read_at(attempts: Attempts) -> Run:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{attempts.folder}/mlflow.db"
    (run,) = read_runs("lit_lossopt")
    return run


def histories(attempts: Attempts) -> dict[str, Any]:
    run = read_at(attempts)
    assert run.status == "FINISHED"
    found: dict[str, Any] = {"verdict": run.tags["lossopt.verdict"], "evidence": run.tags.get("lossopt.evidence")}
    for name in run.metrics:
        history = stored_points(run.run_id, name)
        assert len(set(history.steps)) == len(history.steps), name
        found[name] = (history.steps.tolist(), [] if name in TIMES else history.values.tolist())
    return found


@pytest.fixture(scope="session")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    attempts = Attempts(zygote, tmp_path_factory.mktemp("whole"), *EVERYTHING, OFTEN)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


MOMENTS = [
    *[("batch", count) for count in range(1, 25)],
    *[("validation", count) for count in range(3, 15)],
    *[("saving", count) for count in range(1, 31)],
]
FEW = [("batch", 7), ("batch", 8), ("validation", 5), ("validation", 6), ("saving", 9)]


@pytest.mark.parametrize(
    ("moment", "count"), [pytest.param(*one, marks=() if one in FEW else pytest.mark.slow) for one in MOMENTS]
)
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    moment: str, count: int, zygote: Zygote, whole: Attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, OFTEN)
    if not attempts.kill_at(moment, count):
        pytest.skip("the run ended before")
    has_saved = any((attempts.folder / "mlruns").rglob("last*.ckpt"))
    assert attempts.finish(*(["--ckpt_path=last"] if has_saved else [])) == 0, attempts.output.read_text()
    if not has_saved:
        pytest.skip("killed before the first checkpoint")
    assert_equal(attempts, whole)
    run = read_at(attempts)
    assert run.tags["lossopt.attempt"] == "2"
    assert float(run.tags["lossopt.gap_seconds"].strip("[]")) > 0


@pytest.mark.parametrize(
    "words",
    [
        ["--config=plateau", "--model.optimizer.lr=0.5", "--model.lr_scheduler.patience=0"],
        ["--config=adam", "--trainer.accumulate_grad_batches=3"],
        pytest.param(["--config=schedule_free"], marks=pytest.mark.slow),
        pytest.param(["--config=muon"], marks=pytest.mark.slow),
        pytest.param(["--model.optimizer=LBFGS", "--model.optimizer.lr=0.1"], marks=pytest.mark.slow),
        pytest.param(["--config=rmsprop", "--trainer.check_val_every_n_epoch=2"], marks=pytest.mark.slow),
        pytest.param(
            ["--config=adam", "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"], marks=pytest.mark.slow
        ),
        pytest.param(["--config=adam", "--trainer.max_epochs=-1", "--trainer.max_steps=20"], marks=pytest.mark.slow),
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
        attempts.kill_at("batch", moment, "--ckpt_path=last")
    assert attempts.finish("--ckpt_path=last") == 0, attempts.output.read_text()
    assert_equal(attempts, undisturbed)


@pytest.mark.slow
def test_twenty_random_kills_in_one_run(zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    words = [*EVERYTHING, "--trainer.max_epochs=60", "--checkpoints.every_n_steps=3"]
    undisturbed = Attempts(zygote, tmp_path / "whole", *words)
    assert undisturbed.finish() == 0
    attempts = Attempts(zygote, tmp_path / "run", *words)
    moments, kills = random.Random(0), 0
    while kills < 20:
        process = attempts.start("--resume=auto")
        time.sleep(moments.uniform(0.8, 2.0))
        if alive(process):
            os.kill(process, signal.SIGKILL)
        if attempts.zygote.wait(process) == 0:
            break
        kills += 1
    if kills == 20:
        assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert_equal(attempts, undisturbed)
    assert kills >= 5


@pytest.fixture(scope="session")
def longer(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    attempts = Attempts(zygote, tmp_path_factory.mktemp("longer"), *EVERYTHING, *LONGER)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


# A validation of a hundred batches after each step: a signal comes while validating.
LONGER = ["--trainer.max_epochs=6", "--trainer.val_check_interval=1", "--data.eval_batch_size=1"]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "steps", [1, pytest.param(8, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.slow)]
)
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
    step = attempts.state()["global_step"]
    assert steps <= step < 48
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert f"goes on at step {step}, attempt 2" in attempts.output.read_text()
    assert_equal(attempts, longer)


def test_a_signal_in_the_validation_that_ends_an_epoch_does_not_end_the_run(
    zygote: Zygote, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    # The first step is sent when an evaluation begins, and the only one is that of 144 batches after the eighth.
    words = [*EVERYTHING, "--trainer.max_epochs=2", "--trainer.val_check_interval=8", "--data.eval_batch_size=1"]
    for name in ("run", "whole"):
        (tmp_path / name).mkdir()
        shutil.copy(empty_store, tmp_path / name / "mlflow.db")
    attempts = Attempts(zygote, tmp_path / "run", *words)
    process = attempts.start()
    wait_for_steps(attempts, 8)
    os.kill(process, signal.SIGTERM)
    assert attempts.zygote.wait(process) == 143
    assert attempts.state()["global_step"] == 8
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    undisturbed = Attempts(zygote, tmp_path / "whole", *words)
    assert undisturbed.finish() == 0
    assert_equal(attempts, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
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
    assert_equal(attempts, undisturbed)


def wait_for_steps(attempts: Attempts, steps: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        journals = [read_entries(folder) for folder in (attempts.folder / "mlruns/journal").glob("*")]
        points = [point for entries in journals for e in entries if e["kind"] == "points" for point in e["points"]]
        if sum(point[0] == "train/loss" for point in points) >= steps:
            return
        time.sleep(0.02)
    raise AssertionError(attempts.output.read_text())


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


@pytest.mark.usefixtures("store")
def test_a_damaged_checkpoint_falls_back_to_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*RUN, "--config=sgd_momentum"]
    assert main([*words, OFTEN]) == 0
    (last,) = Path("mlruns").rglob("last.ckpt")
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    capsys.readouterr()
    assert main([*words, "--ckpt_path=last", OFTEN]) == 0
    assert "its checksum does not hold; it was cut off or altered; the one before it is used" in capsys.readouterr().err
    previous_of(last).write_bytes(b"")
    last.write_bytes(data)
    assert main([*words, "--ckpt_path=last"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "nor can the one before it" in line


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
