"""Whether an exported network computes the same as the trained one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError, one_line

# Batch sizes to try. An exporter may have taken a size of 1 or an even size for a constant.
BATCHES = (1, 2, 17)
# Other runtimes add in another order. float32 agrees to some 1e-6 of the largest output, deep networks to 1e-5.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How far outputs differ from those of the trained network.

    They are compared on random images, in batches of several sizes.

    Attributes:
        difference: the largest difference, or NaN if any output is NaN.
        allowed: the largest difference that rounding explains. It is 1e-4 of the largest output, and at least 1e-4.

    >>> Agreement(difference=1e-6, allowed=1e-4).holds, Agreement(float("nan"), 1e-4).holds
    (True, False)
    """

    difference: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether outputs are the same but for rounding.

        NaN is never the same.
        """
        return self.difference <= self.allowed


@torch.no_grad()
def agreement(exported: Callable[[Tensor], Tensor], trained: Callable[[Tensor], Tensor], shape: Any) -> Agreement:
    """Return how far two functions of images differ.

    Images are uint8 ``[N, *shape]``.

    >>> mean = lambda images: images.float().mean(dim=(1, 2, 3))
    >>> round(agreement(mean, lambda images: mean(images) + 1, (3, 8, 8)).difference, 2)
    1.0

    Raises:
        UserError: the exported one refuses a batch, or answers in another shape.
    """
    generator = torch.Generator().manual_seed(0)
    differences, largest = [], 1.0
    for size in BATCHES:
        images = torch.randint(0, 256, (size, *shape), dtype=torch.uint8, generator=generator)
        expected = trained(images)
        try:
            answer = exported(images)
        except Exception as error:  # other runtimes raise anything
            raise UserError(f"it refuses a batch of {size} ({one_line(str(error), 150)})") from error
        if answer.shape != expected.shape:
            raise UserError(f"it answers {list(answer.shape)} to a batch of {size}, not {list(expected.shape)}")
        differences.append((answer.double() - expected.double()).abs().max())
        largest = max(largest, float(expected.abs().max()))
    # Unlike Python's, this maximum keeps NaN.
    return Agreement(float(torch.stack(differences).max()), TOLERANCE * largest)
