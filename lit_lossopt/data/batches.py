"""Images as one uint8 array in memory, and batches of it.

A batch is one gather of rows, without Python code for each image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError


class Share(NamedTuple):
    """The part of each batch that one rank works on.

    A batch has ``ranks`` contiguous parts.
    """

    rank: int = 0
    ranks: int = 1

    def of(self, index: Tensor) -> Tensor:
        """Return the rank's part of ``index`` ``[B]``.

        Sizes differ by one at most, and the first parts are the larger ones.

        >>> Share(rank=1, ranks=2).of(torch.arange(5))
        tensor([3, 4])
        """
        return index if self.ranks == 1 else index.tensor_split(self.ranks)[self.rank]


WHOLE = Share()


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels and names.

    Attributes:
        images: ``[N, C, H, W]`` uint8, channels last in memory.
        labels: ``[N]`` int64. −1 means unknown.
        sources: the name of each image, such as its file.
    """

    images: Tensor
    labels: Tensor
    sources: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> LabelledImages:
        """Return the images at ``index`` ``[M]`` int64."""
        channels_last = self.images.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
        return LabelledImages(channels_last, self.labels[index], [self.sources[i] for i in index.tolist()])

    def sha256(self) -> str:
        """Return the SHA-256 of labels and pixels, independent of the layout in memory."""
        digest = hashlib.sha256(self.labels.numpy().tobytes())
        digest.update(self.images.permute(0, 2, 3, 1).contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Pass:
    """One pass over ``N`` images, a function of seed and epoch alone.

    Attributes:
        order: the images' order ``[N]`` int64.
        numbers: random numbers ``[N, D]`` of each image, by its index. They are float32 with their bits as int32. None
            leaves images as they are.
        partners: index ``[N]`` of the image that each is mixed with. None mixes no images.
    """

    order: Tensor
    numbers: Tensor | None = None
    partners: Tensor | None = None

    def on(self, device: torch.device) -> Pass:
        """Return the same on a device, or this one if it is there."""
        moved = (None if one is None else one.to(device) for one in (self.numbers, self.partners))
        return Pass(self.order.to(device), *moved)


class Source(NamedTuple):
    """What batches are gathered from.

    Attributes:
        rows: images ``[N, H, W, C]`` uint8, on any device.
        labels: ``[N]`` int64, on the same device.
        pinned: whether batches are gathered in page-locked memory, from which a GPU copies beside its work.
    """

    rows: Tensor
    labels: Tensor
    pinned: bool = False

    @classmethod
    def of(cls, data: LabelledImages) -> Source:
        """Return images as they lie in memory."""
        return cls(data.images.permute(0, 2, 3, 1).contiguous(), data.labels)

    @property
    def nbytes(self) -> int:
        """Bytes of images and labels."""
        return self.rows.nbytes + self.labels.nbytes

    def on(self, device: torch.device) -> Source:
        """Return a copy on a device."""
        return Source(self.rows.to(device), self.labels.to(device))

    def gathered(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return images ``[B, C, H, W]``, channels last in memory, and labels at ``index`` ``[B]``."""
        return self.chosen(self.rows, index).permute(0, 3, 1, 2), self.chosen(self.labels, index)

    def chosen(self, rows: Tensor, index: Tensor) -> Tensor:
        """Return some rows of a tensor, in the memory from which batches are copied."""
        if not self.pinned:
            return rows.index_select(0, index)
        into = torch.empty((len(index), *rows.shape[1:]), dtype=rows.dtype, pin_memory=True)
        return torch.index_select(rows, 0, index, out=into)


class BatchLoader:
    """Serves batches of an array in memory.

    A batch is ``(images [B, C, H, W] uint8, labels [B])``. A pass with random numbers adds those of the images,
    ``[B, D]``. A pass with partners serves ``2 B`` rows, first the images and then their partners.

    Args:
        data: the images.
        batch_size: images in a batch, those of all shares together.
        new_pass: called at the start of each pass. None serves the images in order.
        drop_last: leave out a last batch that would be smaller.
        start: number of batches to leave out of the first pass, because they were served before an interruption.
        share: the part of each batch that is served. It may be empty in a last batch.
        source: what the images are gathered from. Default: ``data``, where they are. Batches lie where it does.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        new_pass: Callable[[], Pass] | None = None,
        *,
        drop_last: bool = False,
        start: int = 0,
        share: Share = WHOLE,
        source: Source | None = None,
    ) -> None:
        self.share = share
        self.start = start
        self.data = data
        self.batch_size = batch_size
        self.new_pass = new_pass
        self.drop_last = drop_last
        self.source = source or Source.of(data)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.data), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing, so that Lightning skips no batches.

        Where to go on follows from the trainer's own count.
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing over."""

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start, self.start = self.start, 0
        source = self.source
        now = self.new_pass() if self.new_pass else Pass(torch.arange(len(self.data)))
        # All of it at once, so that no batch has to copy its part.
        now = now.on(source.rows.device)
        for whole in torch.split(now.order, self.batch_size)[start : len(self)]:
            index = self.share.of(whole)
            rows = index if now.partners is None else torch.cat([index, now.partners[index]])
            batch = source.gathered(rows)
            yield batch if now.numbers is None else (*batch, source.chosen(now.numbers, rows))


def batch_length(batch: Sequence[Tensor]) -> int:
    """Return the number of images in a batch.

    Lightning's ``ThroughputMonitor`` asks for it.
    """
    return len(batch[0])


def check_all_have_some(kind: str, count: int, batch_size: int, ranks: int) -> None:
    """Raise UserError if a rank would have nothing to evaluate.

    Args:
        kind: kind of the images, for the message.
        count: number of images.
        batch_size: images in a batch, on all ranks together.
        ranks: number of ranks.

    Raises:
        UserError: there are fewer images, or a batch has fewer, than ranks.
    """
    if min(count, batch_size) < ranks:
        raise UserError(
            f"data.eval_batch_size={batch_size}, and {count} {kind} images: {ranks} devices need at least one each; "
            "take a larger batch or fewer devices"
        )


def check_fills_a_batch(training: LabelledImages, batch_size: int, *, drop_last: bool) -> None:
    """Raise UserError if there are too few training images for a batch."""
    if len(training) < (batch_size if drop_last else 1):
        raise UserError(
            f"data.batch_size={batch_size}: there are only {len(training)} training images, not one whole batch; take "
            "a smaller batch"
        )


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of each channel.

    Images are ``[N, C, H, W]`` uint8, the results ``[C]`` float32. They are exact to rounding.
    """
    # Counting is exact and needs no floats of every pixel, so it takes a tenth of the time.
    counts = np.zeros((images.shape[1], 256), dtype=np.int64)
    for chunk in torch.split(images, 64):
        for channel, pixels in enumerate(chunk.unbind(dim=1)):
            counts[channel] += np.bincount(pixels.numpy().ravel(), minlength=256)
    values, occurrences = torch.arange(256, dtype=torch.float64), torch.from_numpy(counts).double()
    total, squares = occurrences @ values, occurrences @ values.square()
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return mean.float(), std.float()


def as_images(array: Any) -> Tensor:
    """Return an array of images as a tensor ``[N, C, H, W]``.

    The array is ``[N, H, W, C]`` uint8. It stays channels last in memory and is not copied.
    """
    return torch.from_numpy(array).permute(0, 3, 1, 2)
