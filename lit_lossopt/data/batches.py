"""Images as one uint8 array, and batches of it.

The array is in memory. A batch is one gather, without Python for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError


class Share(NamedTuple):
    """Which part of each batch belongs to a rank.

    It is the ``rank``-th of ``ranks`` contiguous parts.
    """

    rank: int = 0
    ranks: int = 1

    def of(self, index: Tensor) -> Tensor:
        """Return the rank's part of ``index`` ``[B]``.

        Sizes differ by one at most. The first parts are the larger ones.
        """
        return index if self.ranks == 1 else index.tensor_split(self.ranks)[self.rank]


WHOLE = Share()


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels and names.

    Images are ``[N, C, H, W]`` uint8, channels last in memory. Labels are ``[N]`` int64, with −1 for unknown.
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


@dataclass(frozen=True)
class Pass:
    """One pass over ``N`` images.

    It is a function of (seed, epoch), whatever was served before.

    Attributes:
        order: the images' order ``[N]`` int64.
        numbers: float32 random numbers ``[N, D]`` of each image, by its index, with their bits as int32; None: images
            stay as they are.
        partners: index ``[N]`` of the image that each is mixed with; None: images are not mixed.
    """

    order: Tensor
    numbers: Tensor | None = None
    partners: Tensor | None = None


class BatchLoader:
    """Serves batches of an array in memory.

    A batch is ``(images [B, C, H, W] uint8, labels [B])``.

    A pass with random numbers adds those of the images, ``[B, D]``; one with partners serves ``2 B`` rows, the images
    and then their partners.

    Args:
        data: the images.
        batch_size: images a batch, those of all shares together.
        new_pass: called at the start of each pass; None serves the images in order.
        drop_last: leave out a last batch that would be smaller.
        start: leave out so many batches of the first pass, which were served before an interruption.
        share: the part of each batch that is served; in a last batch it may be empty.
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
    ) -> None:
        self.share = share
        self.start = start
        self.data = data
        self.batch_size = batch_size
        self.new_pass = new_pass
        self.drop_last = drop_last
        self._rows = data.images.permute(0, 2, 3, 1).contiguous()

    def __len__(self) -> int:
        whole, rest = divmod(len(self.data), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing.

        Where to go on follows from the trainer's own count. Lightning must not skip batches too.
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing over."""

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start, self.start = self.start, 0
        now = self.new_pass() if self.new_pass else Pass(torch.arange(len(self.data)))
        for whole in torch.split(now.order, self.batch_size)[start : len(self)]:
            index = self.share.of(whole)
            rows = index if now.partners is None else torch.cat([index, now.partners[index]])
            batch = self._rows.index_select(0, rows).permute(0, 3, 1, 2), self.data.labels.index_select(0, rows)
            yield batch if now.numbers is None else (*batch, now.numbers.index_select(0, rows))


def batch_length(batch: Sequence[Tensor]) -> int:
    """Return the number of images in a batch.

    Lightning's ``ThroughputMonitor`` asks for it.
    """
    return len(batch[0])


def check_all_have_some(kind: str, count: int, batch_size: int, ranks: int) -> None:
    """Refuse an evaluation in which a rank has nothing to do.

    Args:
        kind: of the images, for the message.
        count: number of images.
        batch_size: images a batch, on all ranks together.
        ranks: number of ranks.

    Raises:
        UserError: there are fewer images, or a batch has fewer, than ranks.
    """
    if min(count, batch_size) < ranks:
        raise UserError(
            f"data.eval_batch_size={batch_size}, and {count} {kind} images: {ranks} devices need at least one each; "
            "take a larger batch or fewer devices"
        )


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation ``[C]`` float32.

    Images are ``[N, C, H, W]`` uint8. The result is exact to rounding.
    """
    # Counting is exact and does without floats of every pixel: a tenth of the time.
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
    """Return an array ``[N, H, W, C]`` as a tensor.

    It is ``[N, C, H, W]`` uint8, channels last in memory, without a copy.
    """
    return torch.from_numpy(array).permute(0, 3, 1, 2)
