"""From pixels to floats of zero mean and unit deviation, and back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_lossopt.data.batches import channel_statistics


class Normalisation(NamedTuple):
    """A scale and a shift ``[1, C, 1, 1]`` float32 for each channel."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """Return the normalisation of images ``[N, C, H, W]`` uint8.

        It brings each channel to mean 0 and deviation 1.

        >>> black_and_white = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
        >>> Normalisation.of(black_and_white).applied(black_and_white).flatten().round()
        tensor([-1.,  1.])
        """
        mean, std = channel_statistics(images)
        return cls((1 / std).view(1, -1, 1, 1), (-mean / std).view(1, -1, 1, 1))

    def on(self, device: torch.device) -> Normalisation:
        """Return the same on a device."""
        return Normalisation(self.scale.to(device), self.shift.to(device))

    def applied(self, images: Tensor) -> Tensor:
        """Return normalised float32 values of pixels 0 to 255."""
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)

    def undone(self, values: Tensor) -> Tensor:
        """Return pixels uint8 of normalised values."""
        return ((values - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)

    @property
    def mean(self) -> Tensor:
        """The mean pixel ``[C]``, which normalised is 0."""
        return (-self.shift / self.scale).flatten()
