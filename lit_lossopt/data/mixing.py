"""MixUp and CutMix: each training image is blended with another, and its label with the other's label.

An image's partner and share are functions of (seed, epoch, index), as its augmentation is: the partner comes from all
training images, not from the rest of the batch, so that nothing depends on the batch size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lit_lossopt.data.augmentation import box


class Mixing(ABC):
    """Blends images with partners; an image keeps a share λ of its label, drawn from Beta(α, α).

    Args:
        alpha: α > 0; small: mostly one of both, 1: any share is as likely.

    Raises:
        ValueError: α is not positive.
    """

    def __init__(self, alpha: float) -> None:
        if alpha <= 0:
            raise ValueError(f"data.mixing: {type(self).__name__} alpha={alpha}: must be positive")
        self.alpha = alpha

    def numbers(self, seed: int, count: int) -> Tensor:
        """Return ``[count, 3]`` float32: shares λ from Beta(α, α), and two uniform numbers."""
        random = np.random.default_rng(seed)
        shares = random.beta(self.alpha, self.alpha, count)
        return torch.from_numpy(np.column_stack([shares, random.random((count, 2))]).astype(np.float32))

    @abstractmethod
    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return blended images ``[B, C, H, W]`` and the share ``[B]`` of each that is its own."""


class MixUp(Mixing):
    """Weighted means: λ of the image and 1 − λ of its partner.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and λ."""
        share = numbers[:, 0]
        return torch.lerp(partners, images, share[:, None, None, None]), share


class CutMix(Mixing):
    """A rectangle of the partner, of about the share 1 − λ, in place of the image's own; at a border it is cut off.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers".
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patched images and the share of pixels that are the image's own."""
        size = images.shape[-2], images.shape[-1]
        sides = (1 - numbers[:, :1]).sqrt() * torch.tensor(size, device=images.device)
        inside = box(numbers[:, 1:], sides, size)
        return torch.where(inside, partners, images), 1 - inside.float().mean(dim=(1, 2, 3))


def mix_labels(labels: Tensor, partners: Tensor, share: Tensor, num_classes: int) -> Tensor:
    """Return class probabilities ``[B, K]`` float32: ``share`` of one's own label, the rest of the partner's."""
    own, other = (functional.one_hot(each, num_classes).float() for each in (labels, partners))
    return torch.lerp(other, own, share[:, None])
