"""What holds on a GPU as on the CPU. Rows of the GPU were written where there was none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_runs
from tests.support.plans import write_plan

ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
pytestmark = pytest.mark.usefixtures("store")
WORDS = ["fit", "--config=adam", "--data=DigitsDataModule", "--threads=1", "--trainer.limit_train_batches=12"]
AUGMENTED = ["--data.augmentation=[PadCrop]", "--data.mixing=MixUp"]


def run_of(experiment: str, *words: str) -> Run:
    assert main([*WORDS, f"--tracking.experiment={experiment}", *words]) == 0
    return read_runs(experiment)[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["--data.resident=true", *AUGMENTED],
        pytest.param(["--model.optimizer.fused=true", "--trainer.precision=bf16-mixed"], marks=pytest.mark.slow),
        pytest.param(["--compile=true"], marks=pytest.mark.slow),
        pytest.param(["--compile=reduce-overhead"], marks=ON_GPU),
        pytest.param(["--data.resident=false", *AUGMENTED], marks=ON_GPU),
    ],
)
@pytest.mark.parametrize("accelerator", ["cpu", pytest.param("gpu", marks=ON_GPU)])
def test_what_goes_on_is_as_if_it_had_not_stopped(accelerator: str, words: list[str]) -> None:
    words = [*words, f"--trainer.accelerator={accelerator}", "--trainer.deterministic=true"]
    whole = run_of("whole", *words, "--trainer.max_epochs=2")
    run_of("part", *words, "--trainer.max_epochs=1")
    on = run_of("part", *words, "--trainer.max_epochs=2", "--ckpt_path=last", "--resume=force")
    assert len(read_runs("part")) == 1
    for metric in ("train/loss", "train/probe_loss", "val/loss"):
        one, two = (stored_points(run.run_id, metric) for run in (whole, on))
        kept = np.isin(two.steps, one.steps)
        np.testing.assert_array_equal(two.values[kept], one.values[np.isin(one.steps, two.steps)])
    np.testing.assert_array_equal(stored_points(on.run_id, "train/loss").steps, np.arange(1, 25))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_two_trials_at_once_share_a_gpu_and_train_what_one_alone_trains() -> None:
    base = {"data": "DigitsDataModule", "trainer.max_epochs": 1, "trainer.deterministic": True}
    write_plan(base=base, seeds=1, learning_rates={"from": 0.01, "to": 0.01, "points": 1})
    for experiment, share in (("shared", "0.5"), ("alone", "1")):
        assert main(["sweep", "--config=plan.yaml", f"--gpus={share}", f"--tracking.experiment={experiment}"]) == 0
    trials = ([run for run in read_runs(name) if names.TAG_PHASE in run.tags] for name in ("shared", "alone"))
    one, two = (sorted(runs, key=lambda run: run.name) for runs in trials)
    assert [run.name for run in one] == [run.name for run in two]
    for shared, alone in zip(one, two, strict=True):
        losses = [stored_points(run.run_id, "train/loss").values for run in (shared, alone)]
        np.testing.assert_array_equal(losses[0], losses[1])
        folder = Path("mlruns") / "shared" / shared.run_id / "artifacts"
        (device,) = json.loads((folder / "provenance.json").read_text())["machine"]["accelerators"]
        assert device == torch.cuda.get_device_name()
