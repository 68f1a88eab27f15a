"""Steps per second of MiniCNN through the Trainer, against a hand-written loop and against the textbook's script.

Run: ``make bench`` or ``python -m benchmarks.throughput``. Random 32×32 images, batch 64, one thread, SGD with
momentum.
The plain loop does the same mathematics on the same in-memory batches; the textbook script decodes PIL images one by
one in a DataLoader, with ToTensor and Normalize, in NCHW layout, as most tutorials do.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.harness import interleave, ratio, write
from lit_lossopt.data.batches import BatchLoader, LabelledImages, Pass, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.training.cli import TRAINER_DEFAULTS
from lit_lossopt.training.library_messages import quieten
from lit_lossopt.training.module import LossOptModule

BATCH, STEPS, WARM_UP = 64, 120, 20
IMAGES = BATCH * (STEPS + WARM_UP)


class RandomImages(ImageDataModule):
    """As many random images as the steps need, and the same again for validation, which is switched off."""

    all_class_names = [str(label) for label in range(10)]  # noqa: RUF012  # a constant in place of a property
    in_channels = 3
    image_size = 32

    def read(self, split: Split) -> LabelledImages:
        """Return random images, the same for every split."""
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
        labels = torch.from_numpy(random.integers(0, 10, IMAGES))
        return LabelledImages(as_images(pixels), labels, [""] * IMAGES)


class Stopwatch(pl.Callback):
    """Times the batches after the warm-up."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._start = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock once warm."""
        if batch_idx == WARM_UP:
            self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock."""
        self.rate = STEPS / (time.perf_counter() - self._start)


def through_trainer(data: RandomImages) -> float:
    """Return steps a second of Trainer, LossOptModule and the data module, with neither logger nor bar."""
    watch = Stopwatch()
    settings = {**TRAINER_DEFAULTS, "max_epochs": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = pl.Trainer(accelerator="cpu", callbacks=[watch], **{**settings, **quiet})
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9)  # noqa: E731
    trainer.fit(LossOptModule(optimizer=optimizer), datamodule=data)
    return watch.rate


def plain_loop(data: RandomImages) -> float:
    """Return steps a second of the loop that one would write by hand around the same batches."""
    network = MiniCNN().to(memory_format=torch.channels_last)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    order = torch.randperm(IMAGES)
    mean, std = torch.full((1, 3, 1, 1), 127.5), torch.full((1, 3, 1, 1), 74.0)
    start = 0.0
    for step, (images, labels) in enumerate(BatchLoader(data.images("train"), BATCH, lambda: Pass(order))):
        if step == WARM_UP:
            start = time.perf_counter()
        loss = criterion(network((images.float() - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS / (time.perf_counter() - start)


class _PILImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, data: LabelledImages) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in data.images]
        self.labels = data.labels.tolist()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.29,) * 3)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return cast("Tensor", self.transform(self.images[index])), self.labels[index]


class TextbookCNN(nn.Module):
    """MiniCNN in the textbook's order: convolution, ReLU, pool."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(4096, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return cast("Tensor", self.features(images))


def textbook_script(dataset: Dataset[tuple[Tensor, int]]) -> float:
    """Return steps a second of the script that tutorials show."""
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    network = TextbookCNN()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    start, running = 0.0, 0.0
    for step, (images, labels) in enumerate(loader):
        if step == WARM_UP:
            start = time.perf_counter()
        optimizer.zero_grad()
        loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return STEPS / (time.perf_counter() - start)


def main(repeats: int = 7) -> None:
    """Measure, print and write ``results/throughput.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    data = RandomImages(batch_size=BATCH, validate_on_test=True)
    data.setup("fit")
    pil_images = _PILImages(data.images("train"))
    values = interleave(
        {
            "Trainer": lambda: through_trainer(data),
            "plain loop": lambda: plain_loop(data),
            "textbook script": lambda: textbook_script(pil_images),
        },
        repeats,
    )
    ratios = [
        ratio("Trainer / plain loop", values["Trainer"], values["plain loop"], wanted=0.95),
        ratio("Trainer / textbook script", values["Trainer"], values["textbook script"], wanted=1.3),
    ]
    for item in ratios:
        print(f"{item.name}: {item.median:.3f} [{item.low:.3f} to {item.high:.3f}], wanted at least {item.wanted}")
    print(write("throughput", values, "steps per second, batch 64, one thread", ratios))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
