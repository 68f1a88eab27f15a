"""What is shared by all that looks at a training without touching it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lit_lossopt.core.seeds import derive_seed


class Examples(Protocol):
    """Images ``[N, C, H, W]`` uint8 and labels ``[N]`` int64."""

    @property
    def images(self) -> Tensor:
        """The images."""

    @property
    def labels(self) -> Tensor:
        """The labels."""

    def __len__(self) -> int:
        """Return N."""

    def take(self, index: Tensor) -> Examples:
        """Return those at ``index``."""


@runtime_checkable
class HasTrainingImages(Protocol):
    """Data whose training images can be taken as they are."""

    batch_size: int
    seed: int

    def images(self, split: Literal["train"]) -> Examples:
        """Return the images of a split."""

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Return normalised images and labels."""


@contextmanager
def apart(seed: int, device: torch.device) -> Iterator[None]:
    """Leave no trace in random streams, and take none from them.

    A network that draws draws the same at each step.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if on_cuda else [], device_type="cuda"):
        # Not torch.manual_seed: without a GPU it queues a stack trace for each backend, at each call, for ever.
        torch.default_generator.manual_seed(derive_seed(seed, "probe draws"))
        if on_cuda:
            torch.cuda.manual_seed(derive_seed(seed, "probe draws"))
        # torch's fork asks every backend as it asks CUDA, by device; this one knows none.
        of_mps = torch.mps.get_rng_state() if device.type == "mps" else None
        try:
            yield
        finally:
            if of_mps is not None:
                torch.mps.set_rng_state(of_mps)


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Give every buffer its value back, such as the running statistics of norms.

    Some modules write into their buffers, and some put another tensor in their place.
    """
    kept = [
        (part, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for part, name, buffer, value in kept:
            buffer.copy_(value)
            setattr(part, name, buffer)


def draw_examples(data: HasTrainingImages, count: int) -> Examples:
    """Return ``count`` training images, or all if fewer.

    They are a function of the seed alone.
    """
    train = data.images("train")
    generator = torch.Generator().manual_seed(derive_seed(data.seed, "probe"))
    return train.take(torch.randperm(len(train), generator=generator)[:count].sort().values)


def settled_time(device: torch.device) -> float:
    """Return the time, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
