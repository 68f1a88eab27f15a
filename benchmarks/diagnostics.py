"""What diagnostics cost, as multiples of a plain training step on the CPU.

Run: ``python -m benchmarks.diagnostics``. MiniCNN on random 32×32 images, batch 64, one thread, SGD with momentum. Each
quantity is measured alone at every second step, and its processor time is taken around everything that is done for it:
the copies before the step and the passes behind it. Then the beginning of a run of 5,000 steps is trained with the
default diagnostics and the probe loss, and without both. From what its parts cost follows what the whole run costs: a
window has not exactly its share of the moments at which something is measured.
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
from benchmarks.probe import IMAGES, PLANNED, WANTED, WARM_UP, WINDOW, TimedProbe, Window
from benchmarks.throughput import BATCH, RandomImages
from lit_lossopt.diagnostics.request import QUANTITIES, Request, parse_request
from lit_lossopt.diagnostics.schedule import plan
from lit_lossopt.training.callbacks.diagnostics import Diagnostics
from lit_lossopt.training.callbacks.health_watch import HealthWatch
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.probe_schedule import probe_steps

# What Cockpit's authors published for the network 3c3d on a CPU, as multiples of a plain step (Schneider et al. 2021).
COCKPIT = {"alpha": 2.5, "sharpness": 72.0, "economy every 64 steps": 1.08}
ALONE = 40


def _clock_cost() -> float:
    """Return the seconds that one look at the clock takes, which is more than a millisecond on some machines."""
    before = time.process_time()
    for _ in range(999):
        time.process_time()
    return (time.process_time() - before) / 1000


CLOCK = _clock_cost()


class TimedDiagnostics(Diagnostics):
    """Takes the processor's seconds of everything that is done for the diagnostics behind the warm-up."""

    seconds = 0.0
    measured = 0
    # Of the seconds, those of steps whose batch is looked at again, and how many steps these were.
    looking = 0.0
    looks = 0

    def on_train_batch_start(self, trainer: Any, *arguments: Any) -> None:
        """Note what is due."""
        before = time.process_time()
        super().on_train_batch_start(trainer, *arguments)
        self._count(trainer, before, looks=False)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Keep what the step will change."""
        before = time.process_time()
        super().on_before_optimizer_step(trainer, pl_module, optimizer)
        self._count(trainer, before, looks=bool(self._before))

    def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
        """Measure."""
        before, looks, norm = time.process_time(), bool(self._before), "norm" in self._due
        super().on_train_batch_end(trainer, *arguments)
        self._count(trainer, before, looks=looks)
        if trainer.global_step > WARM_UP:
            self.measured += looks or norm
            self.looks += looks

    def _count(self, trainer: Any, before: float, *, looks: bool) -> None:
        if trainer.global_step > WARM_UP:
            seconds = time.process_time() - before - CLOCK
            self.seconds += seconds
            self.looking += seconds if looks else 0.0


def train(request: Request, probe_images: int, steps: int, seed: int) -> tuple[TimedDiagnostics, TimedProbe, Window]:
    """Train the beginning of a run, and return what was timed."""
    data = RandomImages(batch_size=BATCH, validate_on_test=True, seed=seed)
    data.setup("fit")
    values, probe, window = StepValues(), TimedProbe(probe_images), Window(steps)
    probe.join(values)
    timed = TimedDiagnostics(request, values, HealthWatch())
    settings = {**TRAINER_DEFAULTS, "max_epochs": -1, "max_steps": PLANNED, "num_sanity_val_steps": 0}
    quiet: dict[str, Any] = {"limit_val_batches": 0, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = pl.Trainer(
        accelerator="cpu", logger=DummyLogger(), callbacks=[probe, values, timed, window], **{**settings, **quiet}
    )
    module = LossOptModule(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9))
    trainer.fit(module, datamodule=data)
    return timed, probe, window


def alone(quantity: str, repeats: int) -> list[float]:
    """Return what one measurement of a quantity costs, in plain steps, once for each repetition."""
    # An eigenvalue takes as long as a hundred steps.
    every = "norm" if quantity == "norm" else f"{quantity}@every:{20 if 'sharpness' in quantity else 2}"
    found = []
    for seed in range(repeats):
        timed, _, window = train(parse_request(every), 0, ALONE, seed)
        plain = (window.processor - timed.seconds) / ALONE
        found.append(timed.seconds / max(1, timed.measured) / plain)
    return found


class Together:
    """Windows with the default diagnostics and the probe, and without.

    Attributes:
        shares: of a window's processor time, what goes into neither.
        whole_shares: the same of all planned steps, by what the parts cost in the window.
    """

    def __init__(self) -> None:
        self.processor: dict[str, list[float]] = {"nothing": [], "default and probe": []}
        self.shares: list[float] = []
        self.whole_shares: list[float] = []

    def train(self, arm: str) -> float:
        """Return steps a second of one window."""
        seed = len(self.processor[arm])
        measures = arm != "nothing"
        request = parse_request("default" if measures else "off")
        timed, probe, window = train(request, IMAGES if measures else 0, WINDOW, seed)
        self.processor[arm].append(WINDOW / window.processor)
        if measures:
            self.shares.append(1 - (timed.seconds + sum(probe.seconds)) / window.processor)
            self.whole_shares.append(whole_run(timed, probe, window))
        return WINDOW / window.wall


def whole_run(timed: TimedDiagnostics, probe: TimedProbe, window: Window) -> float:
    """Return the share of a whole run's processor time that goes into neither the diagnostics nor the probe."""
    looked_at = plan(parse_request("default")["flow"], PLANNED)
    looks = sum(looked_at(step) for step in range(1, PLANNED + 1))
    probes = statistics.fmean(len(list(probe_steps(seed, PLANNED, BATCH, IMAGES))) for seed in range(20))
    each_step = (timed.seconds - timed.looking) / WINDOW
    both = PLANNED * each_step + looks * timed.looking / timed.looks + probes * statistics.fmean(probe.seconds)
    plain = PLANNED * (window.processor - timed.seconds - sum(probe.seconds)) / WINDOW
    return plain / (plain + both)


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/diagnostics.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    costs = {}
    for quantity in QUANTITIES:
        costs[quantity] = alone(quantity, min(repeats, 3))
        print(f"{quantity}: {statistics.median(costs[quantity]):.2f} steps a measurement", flush=True)
    together = Together()
    wall = interleave({arm: lambda arm=arm: together.train(arm) for arm in together.processor}, repeats)  # type: ignore[misc]  # bound now
    processor = together.processor
    found = [
        ratio("with / without, wall time", wall["default and probe"], wall["nothing"], wanted=WANTED),
        ratio("with / without, processor time", processor["default and probe"], processor["nothing"], WANTED),
        ratio("processor time but for both / all of it", together.shares, [1.0] * repeats, WANTED),
        ratio("the same of the whole run", together.whole_shares, [1.0] * repeats, WANTED),
    ]
    for one in found:
        print(f"{one.name}: {one.median:.4f} [{one.low:.4f} to {one.high:.4f}], wanted at least {one.wanted}")
    more = {"planned_steps": PLANNED, "window_steps": WINDOW, "steps_a_measurement": costs, "cockpit": COCKPIT}
    print(write("diagnostics", wall, "steps per second, batch 64, one thread", found, **more))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
