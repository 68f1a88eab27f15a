"""Steps per second with the probe loss, over those of the same training without, in windows of a run of 5,000 steps.

Run: ``python -m benchmarks.probe``. MiniCNN on random 32×32 images, batch 64, one thread, SGD with momentum; 256 images
in the probe. A window is the beginning of the run, as long as four of the strata in which a pair is measured each. Each
repetition has another seed, and so other steps. Wall time and processor time are both taken: other work on a shared
machine touches the second much less.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import DummyLogger

from benchmarks.harness import interleave, ratio, write
from benchmarks.throughput import BATCH, RandomImages
from lit_lossopt.training.callbacks.probe_loss import ProbeLoss
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.probe_schedule import number_of_pairs, probe_steps

PLANNED, WARM_UP, IMAGES = 5_000, 20, 256
WINDOW = 4 * PLANNED // number_of_pairs(PLANNED, BATCH, IMAGES)
ARMS = {"no probe": 0, "probe": IMAGES}
WANTED = 0.98


class TimedProbe(ProbeLoss):
    """Counts the probes behind the warm-up, and the processor's seconds of each."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.seconds: list[float] = []

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        before = time.process_time()
        super()._measure(trainer, module, step)
        if step > WARM_UP:
            self.seconds.append(time.process_time() - before)


class Window(pl.Callback):
    """Times the steps behind the warm-up, and ends the training with the window."""

    def __init__(self, steps: int = WINDOW) -> None:
        self.steps = steps
        self.wall = self.processor = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clocks once warm."""
        if trainer.global_step == WARM_UP:
            self.wall, self.processor = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop them."""
        if trainer.global_step == WARM_UP + self.steps:
            self.wall, self.processor = time.perf_counter() - self.wall, time.process_time() - self.processor
            trainer.should_stop = True


class Measurements:
    """Trains windows and keeps what is not the wall time."""

    def __init__(self) -> None:
        self.processor: dict[str, list[float]] = {arm: [] for arm in ARMS}
        self.shares: list[float] = []
        self.probes: list[list[float]] = []

    def train(self, arm: str) -> float:
        """Return steps a second of one window."""
        data = RandomImages(batch_size=BATCH, validate_on_test=True, seed=len(self.processor[arm]))
        data.setup("fit")
        values, probe, window = StepValues(), TimedProbe(ARMS[arm]), Window()
        probe.join(values)
        settings = {**TRAINER_DEFAULTS, "max_epochs": -1, "max_steps": PLANNED, "num_sanity_val_steps": 0}
        quiet: dict[str, Any] = {"limit_val_batches": 0, "enable_progress_bar": False, "enable_checkpointing": False}
        trainer = pl.Trainer(
            accelerator="cpu", logger=DummyLogger(), callbacks=[probe, values, window], **{**settings, **quiet}
        )
        optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9)  # noqa: E731
        trainer.fit(LossOptModule(optimizer=optimizer), datamodule=data)
        self.processor[arm].append(WINDOW / window.processor)
        if probe.seconds:
            self.shares.append(1 - sum(probe.seconds) / window.processor)
            self.probes.append(probe.seconds)
        return WINDOW / window.wall

    def whole_run(self) -> dict[str, float]:
        """Return what the measured costs make of all 5,000 steps, in processor time."""
        probes = statistics.fmean(len(list(probe_steps(seed, PLANNED, BATCH, IMAGES))) for seed in range(20))
        one = statistics.median(seconds for window in self.probes for seconds in window)
        step = 1 / statistics.median(self.processor["no probe"])
        return {"probes": probes, "steps_a_probe": one / step, "share": probes * one / (PLANNED * step)}


def main(repeats: int = 7) -> None:
    """Measure, print and write ``results/probe.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    measured = Measurements()
    wall = interleave({arm: lambda arm=arm: measured.train(arm) for arm in ARMS}, repeats)  # type: ignore[misc]  # bound now
    found = [
        ratio("with / without, wall time", wall["probe"], wall["no probe"], wanted=WANTED),
        ratio("with / without, processor time", measured.processor["probe"], measured.processor["no probe"], WANTED),
        ratio("processor time but for the probe / all of it", measured.shares, [1.0] * repeats, WANTED),
    ]
    for one in found:
        print(f"{one.name}: {one.median:.4f} [{one.low:.4f} to {one.high:.4f}], wanted at least {one.wanted}")
    more: dict[str, Any] = {
        "planned_steps": PLANNED,
        "window_steps": WINDOW,
        "probes_in_windows": [len(seconds) for seconds in measured.probes],
        "whole_run": measured.whole_run(),
        "steps_per_processor_second": measured.processor,
    }
    print(more["whole_run"])
    print(write("probe", wall, "steps per second, batch 64, one thread", found, **more))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
