"""Hand-written training loops around the same images, and the machine's rate of matrix products.

Each function trains for a while and returns the window that was timed. All of them do the same mathematics, but for the
order of pooling and ReLU, which commute.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from typing import cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.speed_data import Images8, Images32
from lit_lossopt.core.heap import keep_freed_memory
from lit_lossopt.networks.mini_cnn import MiniCNN

WARM_UP = 20
Batches = Iterator[tuple[Tensor, Tensor]]
# Side of the square matrices by whose product the machine is measured.
_SIDE = 1024


@dataclass(frozen=True)
class Point:
    """What is measured: size of the images, size of a batch, threads, and steps of a window."""

    image_size: int
    batch: int
    threads: int
    steps: int

    @property
    def name(self) -> str:
        """Return it in words."""
        return f"{self.image_size}×{self.image_size}, batch {self.batch}, threads {self.threads}"


@dataclass(frozen=True)
class Window:
    """Steps that were timed.

    Attributes:
        steps: their number.
        wall: seconds.
        processor: seconds of this process.
        beside: seconds of the processes that it has started.
        faults: pages that the system has handed out meanwhile.
    """

    steps: int
    wall: float
    processor: float
    beside: float = 0.0
    faults: int = 0


class Clock:
    """Takes the time from its making on."""

    def __init__(self, beside: Callable[[], float] = lambda: 0.0) -> None:
        self.beside = beside
        self._from = self._now()

    def _now(self) -> tuple[float, float, float, int]:
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        return time.perf_counter(), time.process_time(), self.beside(), faults

    def window(self, steps: int) -> Window:
        """Return what has passed."""
        wall, processor, beside, faults = (now - then for now, then in zip(self._now(), self._from, strict=True))
        return Window(steps, wall, processor, beside, int(faults))


@cache
def images_of(size: int) -> tuple[Tensor, Tensor]:
    """Return images ``[N, C, H, W]`` uint8, channels last in memory, and labels ``[N]``."""
    data = (Images32 if size == 32 else Images8)().read("train")
    return data.images, data.labels


class TextbookCNN(nn.Module):
    """MiniCNN in the textbook's order: convolution, ReLU, pool."""

    def __init__(self, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(4 * image_size * image_size, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return cast("Tensor", self.features(images))


def textbook_script(point: Point) -> Window:
    """Train as tutorials show: a DataLoader over PIL images, ToTensor, Normalize, ``loss.item()`` at each step."""
    loader = DataLoader(_pil_images(point.image_size), batch_size=point.batch, shuffle=True)
    return _train(_textbook_network(point), lambda: cast("Batches", iter(loader)), point, by_item=True)


def plain_loop(point: Point) -> Window:
    """Train on float images ``[N, C, H, W]`` in memory, indexed by a permutation."""
    images, labels = images_of(point.image_size)
    values = (images[: 400 * point.batch].contiguous().float() - 127.5) / 74.0

    def batches() -> Batches:
        order = torch.randperm(len(values))
        return ((values[index], labels[index]) for index in torch.split(order, point.batch))

    return _train(_textbook_network(point), batches, point)


def hand_tuned_loop(point: Point, *, fused: bool = False) -> Window:
    """Train as fast as one knows how to: channels last, pooled first, normalised in place, memory kept."""
    keep_freed_memory()
    network = MiniCNN(images_of(point.image_size)[0].shape[1], point.image_size)
    return _train(network.to(memory_format=torch.channels_last), lambda: tuned_batches(point), point, fused=fused)


def tuned_batches(point: Point) -> Batches:
    """Yield normalised batches of one pass, channels last, without a copy that is not needed."""
    images, labels = images_of(point.image_size)
    rows = images.permute(0, 2, 3, 1)
    for index in torch.split(torch.randperm(len(rows)), point.batch):
        values = rows.index_select(0, index).permute(0, 3, 1, 2).float().sub_(127.5).div_(74.0)
        yield values, labels.index_select(0, index)


def preallocated_batches(point: Point) -> Batches:
    """Yield the same batches, always in the same memory."""
    images, labels = images_of(point.image_size)
    rows = images.permute(0, 2, 3, 1)
    gathered = torch.empty((point.batch, *rows.shape[1:]), dtype=torch.uint8)
    values = torch.empty_like(gathered, dtype=torch.float32).permute(0, 3, 1, 2)
    for index in torch.split(torch.randperm(len(rows)), point.batch):
        if len(index) == point.batch:
            torch.index_select(rows, 0, index, out=gathered)
            values.copy_(gathered.permute(0, 3, 1, 2)).sub_(127.5).div_(74.0)
            yield values, labels.index_select(0, index)


def matrix_products(point: Point) -> Window:
    """Multiply square float32 matrices; a step is one product of 2 · 1024³ operations."""
    one, other = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    products = 20 * point.threads
    for _ in range(3):
        one @ other
    clock = Clock()
    for _ in range(products):
        one @ other
    return clock.window(products)


OPERATIONS_OF_PRODUCT = 2 * _SIDE**3


def _train(
    network: nn.Module,
    one_pass: Callable[[], Batches],
    point: Point,
    *,
    by_item: bool = False,
    fused: bool = False,
) -> Window:
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=fused)
    running, clock = 0.0, Clock()
    batches = chain.from_iterable(one_pass() for _ in count())
    for step in range(WARM_UP + point.steps):
        if step == WARM_UP:
            clock = Clock()
        images, labels = next(batches)
        optimizer.zero_grad()
        loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item() if by_item else 0.0
    return clock.window(point.steps)


def _textbook_network(point: Point) -> nn.Module:
    return TextbookCNN(images_of(point.image_size)[0].shape[1], point.image_size)


class _PILImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, size: int) -> None:
        images, labels = images_of(size)
        squeezed = [image.permute(1, 2, 0).squeeze(-1).numpy() for image in images[:20_000]]
        self.images, self.labels = [Image.fromarray(image) for image in squeezed], labels.tolist()
        channels = images.shape[1]
        normalise = transforms.Normalize((0.5,) * channels, (0.29,) * channels)
        self.transform = transforms.Compose([transforms.ToTensor(), normalise])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return cast("Tensor", self.transform(self.images[index])), self.labels[index]


@cache
def _pil_images(size: int) -> _PILImages:
    return _PILImages(size)
