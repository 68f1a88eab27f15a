"""Steps per second on a GPU: hand-written loops, the Trainer with each flag, and trials that share the GPU.

Run: ``python -m benchmarks.gpu``. Random 32×32 images, MiniCNN, SGD with momentum, batches of 64 and 512. It writes
``results/gpu.json`` with the name of the GPU. Without a GPU it ends with one line. ``--device cpu`` tries its code
paths, and what it then writes says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.harness import RESULTS, interleave, machine, ratio
from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.data.sources import Resident
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.training.callbacks.compile_step import Compile, CompiledStep
from lit_lossopt.training.callbacks.health_watch import HealthWatch
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import LossOptModule

BATCHES = (64, 512)
SHARED = (1, 2, 4)
LOADER, TUNED, TUNED_FLOAT32 = "loop with a DataLoader", "tuned loop in bf16", "tuned loop"
OURS, GRAPHS = "Trainer", "Trainer in bf16, CUDA graphs"


@dataclass(frozen=True)
class Request:
    """What is measured.

    Attributes:
        device: ``cuda`` or ``cpu``.
        steps: timed steps of each measurement.
        warm_up: steps before the clock starts, in which torch compiles.
        repeats: repetitions of each arm, interleaved.
        compiles: whether the arms that compile are measured.
        batches: batch sizes.
        shared: numbers of trials that share the device.
    """

    device: str
    steps: int
    warm_up: int
    repeats: int
    compiles: bool
    batches: tuple[int, ...]
    shared: tuple[int, ...]


class RandomImages(ImageDataModule):
    """Random images, as many as the steps need."""

    all_class_names = [str(label) for label in range(10)]  # noqa: RUF012  # a constant in place of a property
    in_channels = 3
    image_size = 32

    def __init__(self, count: int, **options: Any) -> None:
        self.count = count
        super().__init__(validate_on_test=True, **options)

    def read(self, split: Split) -> LabelledImages:
        """Return random images, the same for every split."""
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (self.count, 32, 32, 3), dtype=np.uint8)
        labels = torch.from_numpy(random.integers(0, 10, self.count))
        return LabelledImages(as_images(pixels), labels, [""] * self.count)


class Watch:
    """Wall and processor seconds of the steps after the warm-up.

    Args:
        device: waited for before either clock is read.
        steps: that are timed.
    """

    def __init__(self, device: str, steps: int) -> None:
        self.device, self.steps = device, steps
        self._begun = (0.0, 0.0)

    def start(self) -> None:
        """Start both clocks."""
        self._begun = self._now()

    def rates(self) -> tuple[float, float]:
        """Return steps a second of wall and of processor time."""
        wall, processor = self._now()
        return self.steps / (wall - self._begun[0]), self.steps / (processor - self._begun[1])

    def _now(self) -> tuple[float, float]:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


class Stopwatch(pl.Callback):
    """Times a training's steps after the warm-up.

    Args:
        watch: the clocks.
        warm_up: steps before they start.
        ready: called between the two.
    """

    def __init__(self, watch: Watch, warm_up: int, ready: Callable[[], None] | None = None) -> None:
        self.watch, self.warm_up, self.ready = watch, warm_up, ready
        self.rates = (0.0, 0.0)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start once warm."""
        if batch_idx == self.warm_up:
            if self.ready:
                self.ready()
            self.watch.start()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        self.rates = self.watch.rates()


def through_trainer(
    request: Request,
    batch: int,
    *,
    resident: Resident = "auto",
    precision: Any = "32-true",
    fused: bool | None = None,
    compiled: Compile = False,
    records: bool = False,
    ready: Callable[[], None] | None = None,
) -> tuple[float, float]:
    """Return the rates of Trainer, LossOptModule and the data module, with what a flag changes."""
    data = RandomImages(batch * (request.steps + request.warm_up), batch_size=batch, resident=resident)
    stopwatch = Stopwatch(Watch(request.device, request.steps), request.warm_up, ready)
    health = HealthWatch()
    callbacks: list[pl.Callback] = [stopwatch, *([StepValues(health.look), health] if records else [])]
    callbacks += [CompiledStep(compiled)] if compiled else []
    settings = {**TRAINER_DEFAULTS, "max_epochs": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    accelerator = "gpu" if request.device == "cuda" else "cpu"
    trainer = pl.Trainer(accelerator=accelerator, callbacks=callbacks, precision=precision, **{**settings, **quiet})
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9, fused=fused)  # noqa: E731
    trainer.fit(LossOptModule(optimizer=optimizer), datamodule=data)
    return stopwatch.rates


def loader_loop(request: Request, batch: int) -> tuple[float, float]:
    """Return the rates of a loop around a DataLoader with page-locked memory."""
    data = RandomImages(batch * (request.steps + request.warm_up)).read("train")
    dataset = TensorDataset(data.images.contiguous(), data.labels)
    on_gpu = request.device == "cuda"
    loader = DataLoader(dataset, batch_size=batch, shuffle=True, pin_memory=on_gpu)
    network = MiniCNN().to(request.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    watch = Watch(request.device, request.steps)
    for step, (images, labels) in enumerate(loader):
        if step == request.warm_up:
            watch.start()
        moved = images.to(request.device, non_blocking=True).float().sub(127.5).div(74.0)
        _step(network, optimizer, moved, labels.to(request.device, non_blocking=True))
    return watch.rates()


def tuned_loop(request: Request, batch: int, *, bf16: bool) -> tuple[float, float]:
    """Return the rates of a loop with everything on the device, channels last and a fused optimizer."""
    data = RandomImages(batch * (request.steps + request.warm_up)).read("train")
    device = torch.device(request.device)
    rows, labels = data.images.permute(0, 2, 3, 1).contiguous().to(device), data.labels.to(device)
    network = MiniCNN().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch knows both
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    watch = Watch(request.device, request.steps)
    for step, index in enumerate(torch.randperm(len(labels)).to(device).split(batch)):  # type: ignore[no-untyped-call]
        if step == request.warm_up:
            watch.start()
        images = rows.index_select(0, index).permute(0, 3, 1, 2).float().sub_(127.5).div_(74.0)
        with torch.autocast(request.device, torch.bfloat16, enabled=bf16):
            _step(network, optimizer, images, labels.index_select(0, index))
    return watch.rates()


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> None:
    loss = nn.functional.cross_entropy(network(images), labels)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    optimizer.step()


def arms(request: Request, batch: int) -> dict[str, Callable[[], tuple[float, float]]]:
    """Return what is measured for one batch size, by name."""
    ours = partial(partial, through_trainer, request, batch)
    compiled: dict[str, Any] = {
        "Trainer, compiled": ours(compiled="default"),
        "Trainer in bf16, compiled": ours(precision="bf16-mixed", compiled="default"),
        GRAPHS: ours(precision="bf16-mixed", compiled="reduce-overhead"),
    }
    return {
        LOADER: partial(loader_loop, request, batch),
        TUNED_FLOAT32: partial(tuned_loop, request, batch, bf16=False),
        TUNED: partial(tuned_loop, request, batch, bf16=True),
        OURS: ours(),
        "Trainer with the record of steps": ours(records=True),
        "Trainer, images on the host": ours(resident=False),
        "Trainer, not fused": ours(fused=False),
        "Trainer in bf16": ours(precision="bf16-mixed"),
        **(compiled if request.compiles else {}),
    }


def measured(request: Request, batch: int) -> dict[str, Any]:
    """Return the rates of all arms for one batch size, and ratios of them."""
    processor: dict[str, list[float]] = {}

    def wall_of(name: str, arm: Callable[[], tuple[float, float]]) -> float:
        wall, own = arm()
        processor.setdefault(name, []).append(own)
        return wall

    timed = {name: partial(wall_of, name, arm) for name, arm in arms(request, batch).items()}
    wall = interleave(timed, request.repeats)
    ratios = [
        *(ratio(f"{name} / {LOADER}", wall[name], wall[LOADER]) for name in wall if name != LOADER),
        *(
            ratio(f"{name} / {loop}", wall[name], wall[loop])
            for name in wall
            if name.startswith(OURS)
            for loop in (TUNED if "bf16" in name else TUNED_FLOAT32,)
        ),
    ]
    return {"batch": batch, "wall": wall, "processor": processor, "ratios": [asdict(one) for one in ratios]}


def shared(request: Request, batch: int, trials: int) -> float:
    """Return steps a second of all trials together, each in a process of its own on the one device."""
    words = ["--device", request.device, "--steps", f"{request.steps}", "--warm-up", f"{request.warm_up}"]
    command = [sys.executable, "-m", "benchmarks.gpu", "--trial", f"{batch}", *words]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(trials)]
    try:
        for process in processes:
            if not any(line.strip() == "ready" for line in process.stdout or ()):
                raise RuntimeError("a trial has ended before it was warm")
        for process in processes:
            print("go", file=process.stdin, flush=True)
        return sum(float(process.communicate()[0].split()[-1]) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _trial(request: Request, batch: int) -> None:
    """Train once, wait between warm-up and clock for a word, and print the rate."""

    def ready() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    print(through_trainer(request, batch, ready=ready)[0])


def gpu() -> Mapping[str, Any]:
    """Return what tells one GPU from another."""
    if not torch.cuda.is_available():
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    memory = round(properties.total_memory / 2**30, 1)
    return {"gpu": properties.name, "gpu_memory_gib": memory, "cuda": torch.version.cuda}


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, write, and return the exit status."""
    given = _parsed(words)
    request = Request(
        given.device, given.steps, given.warm_up, given.repeats, not given.no_compile, given.batches,
        given.shared,
    )  # fmt: skip
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    if request.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks.gpu: torch finds no GPU here, so nothing was measured; --device cpu tries the code paths")
        return 0
    if given.trial:
        _trial(request, given.trial)
        return 0
    results = [measured(request, batch) for batch in request.batches]
    together = {
        str(trials): [shared(request, request.batches[0], trials) for _ in range(request.repeats)]
        for trials in request.shared
    }
    content = {
        "machine": {**machine(), **gpu()}, "request": asdict(request), "unit": "steps per second",
        "results": results, "shared": {"batch": request.batches[0], "wall": together},
    }  # fmt: skip
    path = Path(given.out or RESULTS / "gpu.json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(path)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def _parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batches", type=_numbers, default=BATCHES)
    parser.add_argument("--shared", type=_numbers, default=SHARED, help="numbers of trials at once; empty: none")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", help="file to write (benchmarks/results/gpu.json)")
    parser.add_argument("--trial", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
