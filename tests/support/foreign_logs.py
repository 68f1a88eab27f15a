"""Logs of the same trainings, as other programs write them: two optimizers, three seeds, each faster with adam."""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

EPOCHS, PER_EPOCH = 8, 10
ARMS, SEEDS = ("sgd", "adam"), (0, 1, 2)
RUNS = [(optimizer, seed) for optimizer in ARMS for seed in SEEDS]
# A table with values that are rare, and with cells that are none.
ODD = """step,loss,note,mixed,none
0,0.1,a,1,
1,nan,b,2,
2,inf,c,three,
3,-inf,d,4,
3,1e-320,e,5,
4,0.30000000000000004,f,6,
,0.5,g,7,
x,0.6,h,8,
"""
# W&B's export has seconds since 1970 and since the run's start.
BEGAN, SECONDS = 1_700_000_000, 2.5


def accuracy(optimizer: str, seed: int, epoch: int) -> float:
    """Return the accuracy after an epoch, counted from 0."""
    noise = random.Random(f"{optimizer} {seed} {epoch}").random()
    return 0.1 + 0.85 * (1 - math.exp(-(epoch + 1) / (4 if optimizer == "sgd" else 2))) + 0.001 * noise


def loss(optimizer: str, seed: int, step: int) -> float:
    """Return the training loss of a step, counted from 0."""
    noise = random.Random(f"{optimizer} {seed} {step} loss").random()
    return math.exp(-step / (40 if optimizer == "sgd" else 20)) + 0.01 * noise


def train_with_lightning(folder: Path, seed: int, optimizer: str) -> dict[str, list[tuple[int, float]]]:
    """Train a line by Lightning's Trainer with both of its loggers; return what was logged, by metric.

    The loggers are those that people use: ``csv/version_N`` and ``tensorboard/version_N`` are written by them alone.
    """
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

    logged: dict[str, list[tuple[int, float]]] = {}

    class Line(pl.LightningModule):
        def __init__(self, optimizer: str, seed: int, lr: float, net: dict[str, int]) -> None:
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(seed)
            self.layer = torch.nn.Linear(4, 2)

        def keep(self, name: str, value: torch.Tensor) -> None:
            self.log(name, value)
            logged.setdefault(name, []).append((self.global_step, float(value)))

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            value = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
            self.keep("train_loss", value)
            return value

        def validation_step(self, batch: Any, _: int) -> None:
            right = (self.layer(batch[0]).argmax(1) == batch[1]).float().mean()
            self.log("val_acc", right)
            logged.setdefault("val_acc", []).append((self.global_step - 1, float(right)))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            if optimizer == "sgd":
                return torch.optim.SGD(self.parameters(), lr=0.02)
            return torch.optim.Adam(self.parameters(), lr=0.02)

    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(80, 4, generator=draw)
    data = TensorDataset(images, (images.sum(1) > 0).long())
    trainer = pl.Trainer(
        max_epochs=4, logger=[CSVLogger(folder, "csv"), TensorBoardLogger(folder, "tensorboard")], log_every_n_steps=1,
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Line(optimizer, seed, 0.02, {"width": 2}), DataLoader(data, 8), DataLoader(data, 80))
    return logged


def write_keras_tables(folder: Path) -> None:
    """Write tables of the form that Keras' CSVLogger has; the real one is run by ``tests.support.keras_logs``."""
    for optimizer, seed in RUNS:
        with (folder / f"{optimizer}_{seed}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", "accuracy", "loss", "val_accuracy", "val_loss"])
            for epoch in range(EPOCHS):
                rows.writerow([epoch, 0.5, loss(optimizer, seed, epoch), accuracy(optimizer, seed, epoch), 0.3])


def write_histories(folder: Path) -> None:
    """Write ``history.history`` of each run as JSON."""
    for optimizer, seed in RUNS:
        history = {
            "loss": [loss(optimizer, seed, epoch) for epoch in range(EPOCHS)],
            "val_accuracy": [accuracy(optimizer, seed, epoch) for epoch in range(EPOCHS)],
        }
        (folder / f"{optimizer}_{seed}").mkdir()
        (folder / f"{optimizer}_{seed}" / "history.json").write_text(json.dumps(history), encoding="utf-8")


def write_wandb_charts(folder: Path) -> None:
    """Write the exports of two charts of W&B, one a metric."""
    steps = range(EPOCHS * PER_EPOCH)
    ends = [step for step in steps if step % PER_EPOCH == PER_EPOCH - 1]
    _write_chart(folder / "losses.csv", "train/loss", steps, loss)
    _write_chart(
        folder / "accuracies.csv", "val/acc", ends, lambda arm, seed, step: accuracy(arm, seed, step // PER_EPOCH)
    )


def _write_chart(path: Path, metric: str, steps: Sequence[int], value: Callable[[str, int, int], float]) -> None:
    names = [f"{arm}-{seed} - {metric}{end}" for arm, seed in RUNS for end in ("", "__MIN", "__MAX")]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerow(["Step", *names])
        for step in steps:
            rows.writerow([step, *(value(arm, seed, step) for arm, seed in RUNS for _ in range(3))])


def write_wandb_histories(folder: Path) -> None:
    """Write the history of each run of W&B, as pandas writes it."""
    for optimizer, seed in RUNS:
        with (folder / f"{optimizer}-{seed}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["", "_step", "_runtime", "_timestamp", "train/loss", "val/acc", "note", "unused"])
            for step in range(EPOCHS * PER_EPOCH):
                end = accuracy(optimizer, seed, step // PER_EPOCH) if step % PER_EPOCH == PER_EPOCH - 1 else ""
                seconds = SECONDS * (step + 1)
                rows.writerow([step, step, seconds, BEGAN + seconds, loss(optimizer, seed, step), end, "a word", ""])


def write_wide(folder: Path) -> None:
    """Write a table of all runs with a column for each metric, and semicolons."""
    with (folder / "wide.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["iteration", "opt", "Random Seed", "train loss", "acc"])
        for optimizer, seed in RUNS:
            for step in range(EPOCHS * PER_EPOCH):
                end = accuracy(optimizer, seed, step // PER_EPOCH) if step % PER_EPOCH == PER_EPOCH - 1 else ""
                rows.writerow([step, optimizer, seed, loss(optimizer, seed, step), end])


def write_long(folder: Path) -> None:
    """Write a table of all runs with a row for each value."""
    with (folder / "long.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "optimizer", "seed", "step", "metric", "value"])
        for optimizer, seed in RUNS:
            for step in range(EPOCHS * PER_EPOCH):
                name = f"{optimizer} {seed}"
                rows.writerow([name, optimizer, seed, step, "train_loss", loss(optimizer, seed, step)])
                if step % PER_EPOCH == PER_EPOCH - 1:
                    value = accuracy(optimizer, seed, step // PER_EPOCH)
                    rows.writerow([name, optimizer, seed, step, "val_acc", value])


def write_lightning_table(folder: Path, rows: int, seed: int = 0) -> list[float]:
    """Write a large ``metrics.csv``, and return its losses."""
    draw = random.Random(seed)
    values = [draw.random() for _ in range(rows)]
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["epoch,step,train_loss", *(f"{step // 50},{step},{value}" for step, value in enumerate(values))]
    (folder / "metrics.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "hparams.yaml").write_text(f"optimizer: sgd\nseed: {seed}\n", encoding="utf-8")
    return values


def import_elsewhere(*words: str) -> subprocess.Popen[bytes]:
    """Start ``lossopt import`` in a process of its own, in the working folder and store of this one."""
    command = [sys.executable, "-m", "lit_lossopt", "import", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
