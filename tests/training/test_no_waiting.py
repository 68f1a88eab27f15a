"""No step waits for the device, and none copies to it."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from lit_lossopt.config.words import prepare
from lit_lossopt.training.callbacks import step_values
from lit_lossopt.training.callbacks.step_values import COPY_EVERY
from lit_lossopt.training.cli import LossOptCLI, build
from tests.support.slow_to_answer import waited_for

pytestmark = [
    pytest.mark.usefixtures("store"),
    # Lightning counts batches on the device, which has no values.
    pytest.mark.filterwarnings("ignore:Total length of"),
]
STEPS = COPY_EVERY + 20
WORDS = [
    "--config=digits", "--threads=1", "--trainer.max_epochs=1", "--data.batch_size=16", "--data.eval_batch_size=200",
    f"--trainer.limit_train_batches={STEPS}", "--tracking=false",
]  # fmt: skip
AUGMENTED = ["--data.augmentation=[PadCrop,HorizontalFlip,Cutout,ColorJitter]", "--data.mixing=CutMix"]
TRAININGS = [
    ["--config=sgd_momentum"],
    ["--config=adam", *AUGMENTED, "--diagnostics=full", "--trainer.gradient_clip_val=1"],
    *(
        pytest.param(words, marks=pytest.mark.slow)
        for words in (
            ["--config=muon", "--config=warmup_cosine"],
            ["--config=rmsprop", "--trainer.precision=bf16-mixed", "--diagnostics=full"],
            ["--config=schedule_free"],
            ["--config=mse", "--data.mixing=MixUp"],
            ["--config=bce"],
            ["--config=hinge"],
            ["--config=focal"],
            ["--config=label_smoothing", "--model.frozen_epochs=1"],
        )
    ),
]


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    # Slow steps are copied early. A loaded machine makes slow steps.
    monkeypatch.setattr(step_values, "COPY_SECONDS", math.inf)


@pytest.mark.parametrize("words", TRAININGS)
def test_a_device_is_looked_at_only_where_values_are_copied_together(words: list[str]) -> None:
    waiting = waited_for(*words, *WORDS, "--data.resident=true")
    # All losses of fifty steps together, and whether gradients and weights are finite.
    assert {step: count for step, count in waiting.looks.items() if 1 < step <= STEPS} == {COPY_EVERY: 2}, waiting.where
    assert not [step for step in waiting.sent if 1 < step <= STEPS], waiting.where


def test_images_on_the_host_are_copied_in_each_step() -> None:
    waiting = waited_for("--config=sgd", *WORDS, "--data.resident=false")
    # So they are seen by what counts: images and labels.
    assert {waiting.sent[step] for step in range(2, STEPS)} == {2}
    assert {step for step in waiting.looks if 1 < step <= STEPS} == {COPY_EVERY}


class Strict(pl.Callback):
    """Lets whatever waits for a GPU fail, except where values are copied together."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Be strict from the end of the first step to the fiftieth's copy, and from there on again."""
        step = trainer.global_step
        torch.cuda.set_sync_debug_mode(
            "error" if step % COPY_EVERY != COPY_EVERY - 1 and step < STEPS - 1 else "default"
        )
        self.steps += 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "words",
    [
        ["--config=sgd_momentum"],
        ["--config=adam", *AUGMENTED],
        ["--config=adam", "--data.resident=false"],
        ["--config=adam", "--trainer.precision=bf16-mixed", "--trainer.gradient_clip_val=1"],
        ["--config=mse"],
    ],
)
def test_on_a_gpu_no_step_waits(words: list[str]) -> None:
    # Beside training, the probe and diagnostics wait where they measure.
    quiet = ["--probe.images=0", "--diagnostics=norm", "--config=gpu"]
    cli = build(prepare("fit", [*words, *WORDS, *quiet]), LossOptCLI)
    strict = Strict()
    cli.trainer.callbacks.append(strict)  # type: ignore[attr-defined]  # it is there
    try:
        assert cli.run() == 0
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert strict.steps == STEPS
