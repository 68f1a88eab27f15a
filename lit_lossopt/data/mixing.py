"""MixUp and CutMix.

Each training image is blended with another, and its label with the other's label.

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
    """Blends images with partners.

    An image keeps a share λ of its label, drawn from Beta(α, α).

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
        """Return the random numbers ``[count, 3]`` float32.

        They are shares λ from Beta(α, α), and two uniform numbers.
        """
        random = np.random.default_rng(seed)
        shares = random.beta(self.alpha, self.alpha, count)
        return torch.from_numpy(np.column_stack([shares, random.random((count, 2))]).astype(np.float32))

    @abstractmethod
    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return blended images ``[B, C, H, W]`` and shares ``[B]``.

        The share is that of the image itself.
        """


class MixUp(Mixing):
    """Weighted means of two images.

    They are λ of the image and 1 − λ of its partner.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and λ."""
        share = numbers[:, 0]
        return torch.lerp(partners, images, share[:, None, None, None]), share


class CutMix(Mixing):
    """A rectangle of the partner in place of the image's own.

    It has about the share 1 − λ of the pixels. It is cut off at a border.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers".
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patched images and their own share of pixels."""
        size = images.shape[-2], images.shape[-1]
        sides = (1 - numbers[:, :1]).sqrt() * torch.tensor(size, device=images.device)
        inside = box(numbers[:, 1:], sides, size)
        return torch.where(inside, partners, images), 1 - inside.float().mean(dim=(1, 2, 3))


def mix_labels(labels: Tensor, partners: Tensor, share: Tensor, num_classes: int) -> Tensor:
    """Return class probabilities ``[B, K]`` float32.

    ``share`` is of one's own label, and the rest of the partner's.
    """
    own, other = (functional.one_hot(each, num_classes).float() for each in (labels, partners))
    return torch.lerp(other, own, share[:, None])
