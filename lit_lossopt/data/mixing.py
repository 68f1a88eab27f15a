"""MixUp and CutMix, which blend training images and their labels.

Each image is blended with a partner. Partner and share are functions of seed, epoch and index, as an image's
augmentation is. The partner comes from all training images, not from the rest of the batch, so that nothing depends on
the batch size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from lit_lossopt.data.augmentation import box, constant


class Mixing(ABC):
    """Blends images with partners.

    An image keeps a share λ of its label, drawn from Beta(α, α).

    Args:
        alpha: α > 0. With a small α an image is mostly one of both. With 1 all shares are equally likely.

    Raises:
        ValueError: α is not positive.
    """

    def __init__(self, alpha: float) -> None:
        if alpha <= 0:
            raise ValueError(f"data.mixing: {type(self).__name__} alpha={alpha}: must be positive")
        self.alpha = alpha

    def numbers(self, seed: int, count: int) -> Tensor:
        """Return random numbers ``[count, 3]`` float32.

        Each image has a share λ from Beta(α, α) and two uniform numbers.
        """
        random = np.random.default_rng(seed)
        shares = random.beta(self.alpha, self.alpha, count)
        return torch.from_numpy(np.column_stack([shares, random.random((count, 2))]).astype(np.float32))

    @abstractmethod
    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return blended images ``[B, C, H, W]`` and their own shares ``[B]``."""


class MixUp(Mixing):
    """Blends λ of the image with 1 − λ of its partner.

    >>> images, partners = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    >>> MixUp()(images, partners, torch.tensor([[0.75, 0.0, 0.0]]))[0].flatten()
    tensor([0.2500, 0.2500])

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted means and λ."""
        share = numbers[:, 0]
        return torch.lerp(partners, images, share[:, None, None, None]), share


class CutMix(Mixing):
    """Replaces a rectangle of the image by the partner's.

    Its share of the image is about 1 − λ. At a border it is cut off.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers".
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def __call__(self, images: Tensor, partners: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patched images and their share of own pixels."""
        size = images.shape[-2], images.shape[-1]
        sides = (1 - numbers[:, :1]).sqrt() * constant(size, images.device)
        inside = box(numbers[:, 1:], sides, size)
        return torch.where(inside, partners, images), 1 - inside.float().mean(dim=(1, 2, 3))


def mix_labels(labels: Tensor, partners: Tensor, share: Tensor, num_classes: int) -> Tensor:
    """Return class probabilities ``[B, K]`` float32 of mixed images.

    An image has ``share`` of its own label and the rest of the partner's.

    >>> mix_labels(torch.tensor([0]), torch.tensor([2]), torch.tensor([0.75]), num_classes=3)
    tensor([[0.7500, 0.0000, 0.2500]])
    """
    # Not one_hot: it looks at the largest label, for which a device is waited for.
    classes = torch.arange(num_classes, device=labels.device)
    own, other = ((each[:, None] == classes).float() for each in (labels, partners))
    return torch.lerp(other, own, share[:, None])
