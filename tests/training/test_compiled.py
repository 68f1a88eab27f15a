"""A compiled step trains what the plain one trains, and nothing else sees that it is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.checkpoint_file import read_verified
from lit_lossopt.training.compilation import BatchLoss, CompileClock, compiled, forget

pytestmark = pytest.mark.usefixtures("store")
WORDS = ["fit", "--data=DigitsDataModule", "--threads=1", "--trainer.limit_train_batches=12", "--trainer.max_epochs=2"]


@pytest.fixture(scope="session")
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def _own_cache(_compiled_once: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(_compiled_once))
    # Without a pool of processes, which would outlive the test.
    with torch._inductor.config.patch("compile_threads", 1):
        yield
    torch._dynamo.reset()


def both(*words: str) -> tuple[Run, Run]:
    assert main([*WORDS, *words]) == 0
    assert main([*WORDS, *words, "--compile=true"]) == 0
    plain, quick = read_runs("lit_lossopt")[-2:]
    return plain, quick


def weights(run: Run) -> dict[str, torch.Tensor]:
    path = Path("mlruns") / "lit_lossopt" / run.run_id / "artifacts" / "checkpoints" / "last.ckpt"
    state: dict[str, torch.Tensor] = read_verified(path)["state_dict"]
    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--config=sgd_momentum", "--diagnostics=full"],
        # Another shape at the end of an epoch.
        ["--config=adam", "--data.drop_last=false", "--data.batch_size=120"],
        ["--config=mse", "--data.mixing=CutMix", "--data.augmentation=[HorizontalFlip]"],
        ["--config=sgd", "--model.frozen_epochs=1", "--trainer.accumulate_grad_batches=2"],
        ["--config=sgd", "--model.optimizer=LBFGS", "--model.optimizer.lr=0.1", "--model.optimizer.max_iter=3"],
    ],
)
def test_a_compiled_run_is_the_plain_one_but_for_rounding(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    plain, quick = both(*words)
    # With dropout, which draws the same.
    for metric in ("train/loss", "train/probe_loss", "train/grad_norm", "val/loss"):
        one, two = (stored_points(run.run_id, metric) for run in (plain, quick))
        np.testing.assert_array_equal(one.steps, two.steps)
        np.testing.assert_allclose(two.values, one.values, rtol=2e-3)
    assert weights(plain).keys() == weights(quick).keys()
    shapes = 2 if "--data.drop_last=false" in words else 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("compiled the training step in")]
    assert len(lines) >= shapes
    assert float(quick.tags["lossopt.compile_seconds"]) > 0
    assert "lossopt.compile_seconds" not in plain.tags
    assert quick.params["compile"] == "default"
    assert "compile" not in plain.params
    assert quick.tags["lossopt.arm"] == f"{plain.tags['lossopt.arm']} compile=default"
    assert quick.tags["lossopt.trial_key"] != plain.tags["lossopt.trial_key"]


@pytest.mark.slow
def test_in_bf16_a_compiled_run_learns_and_its_record_says_so() -> None:
    _, quick = both("--config=sgd_momentum", "--trainer.precision=bf16-mixed")
    losses = stored_points(quick.run_id, "train/loss").values
    assert losses[-1] < losses[0]
    assert quick.params["trainer.precision"] == "bf16-mixed"


@pytest.mark.slow
def test_the_tenth_training_of_a_process_is_compiled_too() -> None:
    def made(network: nn.Module) -> BatchLoss:
        return lambda images, labels: nn.functional.cross_entropy(network(images), labels)

    clock = CompileClock()
    with clock.running():
        for number in range(10):
            before, loss = clock.seconds, made(nn.Linear(3 + number, 2))
            compiled(loss, "default")(torch.randn(4, 3 + number), torch.zeros(4, dtype=torch.int64))
            assert clock.seconds > before, number
            forget(loss)


@pytest.mark.slow
def test_where_torch_cannot_compile_one_line_says_so_before_a_run_exists(tmp_path: Path) -> None:
    # The program, and no compiler.
    environment = {**os.environ, "PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    environment.pop("CXX", None)
    command = [sys.executable, "-m", "lit_lossopt", *WORDS, "--config=sgd", "--compile=true"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("lossopt: compile=default: torch cannot compile here (")
    assert "g++" in line
    assert not Path("mlruns").exists()


def test_graphs_that_would_spoil_accumulated_gradients_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (
        ["--trainer.accumulate_grad_batches=2"],
        ["--trainer.callbacks={class_path: GradientAccumulationScheduler, scheduling: {0: 1, 1: 3}}"],
    ):
        assert main([*WORDS, "--config=sgd", "--compile=reduce-overhead", *more]) == 2
        assert "compile=reduce-overhead: its CUDA graphs" in capsys.readouterr().err
    assert not Path("mlruns").exists()


def test_an_unknown_mode_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--config=sgd", "--compile=fastest"]) == 2
    assert "compile" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_on_a_gpu_a_compiled_run_is_the_plain_one_but_for_rounding(mode: str) -> None:
    words = [*WORDS, "--config=sgd_momentum", "--trainer.accelerator=gpu", "--trainer.deterministic=true"]
    assert main(words) == 0
    assert main([*words, f"--compile={mode}"]) == 0
    one, two = (stored_points(run.run_id, "train/loss").values for run in read_runs("lit_lossopt"))
    np.testing.assert_allclose(two, one, rtol=5e-3)
    assert main([*words, f"--compile={mode}"]) == 0
    again = stored_points(read_runs("lit_lossopt")[-1].run_id, "train/loss").values
    np.testing.assert_array_equal(again, two)
