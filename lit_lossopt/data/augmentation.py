"""Augmentation of whole batches on their device.

Each image has its own draws.

Every training image has a row of uniform numbers in each epoch, a function of seed, epoch and index alone. A transform
turns a batch of images and their numbers into a batch, without a random generator of its own and without a loop over
images. So the same image looks the same whatever the batch size, the device's speed, or an interruption.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from lit_lossopt.core.errors import UserError, one_line


class BatchTransform(ABC):
    """Turns images ``[B, C, H, W]`` uint8 into such images.

    For each image, ``draws`` numbers in [0, 1) decide how.
    """

    draws: int

    @abstractmethod
    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the transformed images.

        Args:
            images: ``[B, C, H, W]`` uint8, channels last in memory.
            numbers: ``[B, draws]`` float32, uniform in [0, 1).
            mean: the mean colour ``[C]`` of the training images, float32 in 0 … 255.
        """


class PadCrop(BatchTransform):
    """Shifts each image by up to ``padding`` pixels.

    Each side is padded, and a window of the old size is cut at a uniform place.

    >>> image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> PadCrop(padding=1)(image, torch.tensor([[0.0, 0.5]]), torch.zeros(1)).squeeze()  # one pixel down
    tensor([[0, 0],
            [1, 2]], dtype=torch.uint8)

    Args:
        padding: pixels on each side.
        mode: ``constant`` pads with black, ``reflect`` mirrors the image.

    Raises:
        ValueError: the padding is negative.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", §4.2.
    """

    draws = 2

    def __init__(self, padding: int = 4, mode: Literal["constant", "reflect"] = "constant") -> None:
        if padding < 0:
            raise ValueError(f"data.augmentation: PadCrop padding={padding}: must not be negative")
        self.padding = padding
        self.mode = mode

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the shifted images."""
        height, width = images.shape[-2:]
        if self.mode == "reflect" and self.padding >= min(height, width):
            raise UserError(
                f"data.augmentation: PadCrop padding={self.padding}: mirrors more than images of {height}×{width} hold"
            )
        padded = functional.pad(images, (self.padding,) * 4, mode=self.mode).permute(0, 2, 3, 1)
        corner = (numbers * (2 * self.padding + 1)).long()
        device = images.device
        rows = corner[:, :1] + torch.arange(height, device=device)
        columns = corner[:, 1:] + torch.arange(width, device=device)
        image = torch.arange(len(images), device=device)[:, None, None]
        return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class HorizontalFlip(BatchTransform):
    """Mirrors each image left to right with a probability.

    >>> image = torch.tensor([1, 2, 3], dtype=torch.uint8).reshape(1, 1, 1, 3)
    >>> HorizontalFlip(p=0.5)(image, torch.tensor([[0.1]]), torch.zeros(1)).flatten()
    tensor([3, 2, 1], dtype=torch.uint8)

    Args:
        p: the probability.

    Raises:
        ValueError: it lies outside [0, 1].
    """

    draws = 1

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"data.augmentation: HorizontalFlip p={p}: must lie in [0, 1]")
        self.p = p

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the images, some of them mirrored."""
        return torch.where((numbers < self.p)[:, :, None, None], images.flip(-1), images)


class Cutout(BatchTransform):
    """Fills a square around a uniform pixel with the training images' mean colour.

    At a border the square is cut off.

    Args:
        size: side of the square in pixels.

    Raises:
        ValueError: the size is not positive.

    Source: DeVries, Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout".
    """

    draws = 2

    def __init__(self, size: int = 8) -> None:
        if size < 1:
            raise ValueError(f"data.augmentation: Cutout size={size}: must be at least 1")
        self.size = size

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the images with a square filled."""
        inside = box(numbers, torch.full_like(numbers, self.size), (images.shape[-2], images.shape[-1]))
        return torch.where(inside, mean.round().to(torch.uint8).view(1, -1, 1, 1), images)


class ColorJitter(BatchTransform):
    """Changes brightness, contrast, saturation and hue, in this order.

    Each image has its own uniform factors. They lie in [1 − x, 1 + x] (not below 0), the hue's angle in [−hue, hue]
    turns. Values are cut to 0 … 255 once, at the end. Hue turns colours about the axis of greys. torchvision's
    ``ColorJitter`` does that in HSV and shuffles the order (name it as ``torchvision.transforms.v2.ColorJitter``).

    Args:
        brightness: largest relative change of brightness.
        contrast: largest relative change of the distance from the image's mean grey.
        saturation: largest relative change of the distance from each pixel's own grey.
        hue: largest turn, in [0, 0.5].

    Raises:
        ValueError: a strength is negative, or the hue above 0.5.
    """

    draws = 4

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.0
    ) -> None:
        if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
            raise ValueError("data.augmentation: ColorJitter: strengths must not be negative, and hue not above 0.5")
        self.strengths = (brightness, contrast, saturation)
        self.hue = hue

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the images in other colours.

        Grey images have neither saturation nor hue.
        """
        signed = numbers * 2 - 1
        strengths = constant(self.strengths, images.device)
        brightness, contrast, saturation = (1 + signed[:, :3] * strengths).clamp_min(0).T[:, :, None, None, None]
        values = images.float() * brightness
        values = torch.lerp(_grey(values).mean(dim=(2, 3), keepdim=True), values, contrast)
        if images.shape[1] == 3:
            values = torch.lerp(_grey(values), values, saturation)
            if self.hue:
                values = torch.einsum("bij,bjhw->bihw", _hue_rotation(signed[:, 3] * self.hue), values)
        return values.round().clamp(0, 255).to(torch.uint8, memory_format=torch.channels_last)


class _ImageByImage(BatchTransform):
    """Any transform of torchvision v2, applied to one image after the other.

    Such a transform draws once for each call, so a call with a whole batch would treat all images alike. The generator
    is seeded for each image. It takes tenths of a millisecond for each image, which is slow.
    """

    draws = 1

    def __init__(self, transform: v2.Transform) -> None:
        if isinstance(transform, v2.MixUp | v2.CutMix):
            name = type(transform).__name__
            raise UserError(f"data.augmentation: {name} mixes images with each other; it is --data.mixing={name}")
        self.transform = transform

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return the transformed images.

        Raises:
            UserError: the transform fails on uint8 images, or changes their size or type.
        """
        name = type(self.transform).__name__
        seeds = (numbers[:, 0] * 2**24).long().tolist()
        on_gpu = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_gpu):
            changed = [self._one(image, seed) for image, seed in zip(images, seeds, strict=True)]
        wrong = next(
            (image for image in changed if image.shape != images.shape[1:] or image.dtype != torch.uint8), None
        )
        if wrong is not None:
            raise UserError(
                f"data.augmentation: {name} makes {wrong.dtype} {list(wrong.shape)} of uint8 {list(images.shape[1:])}; "
                "a transform here keeps size and type (images are normalised afterwards)"
            )
        return torch.stack(changed).contiguous(memory_format=torch.channels_last)

    def _one(self, image: Tensor, seed: int) -> Tensor:
        torch.default_generator.manual_seed(seed)
        if image.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        name = type(self.transform).__name__
        try:
            changed = self.transform(image)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"data.augmentation: {name} fails on a uint8 image: {one_line(str(error), 200)}") from error
        if not isinstance(changed, Tensor):
            raise UserError(f"data.augmentation: {name} makes no tensor of a uint8 image")
        return changed


class Augmentation:
    """Several transforms in order.

    It has the numbers that they need together.

    Args:
        transforms: those of this module or of torchvision v2.
    """

    def __init__(self, transforms: Sequence[BatchTransform | v2.Transform]) -> None:
        self.transforms = [
            transform if isinstance(transform, BatchTransform) else _ImageByImage(transform) for transform in transforms
        ]
        self.draws = sum(transform.draws for transform in self.transforms)

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        """Return images ``[B, C, H, W]`` uint8, augmented by their numbers ``[B, draws]``."""
        columns = torch.split(numbers, [transform.draws for transform in self.transforms], dim=1)
        for transform, mine in zip(self.transforms, columns, strict=True):
            images = transform(images, mine, mean)
        return images


def box(centre: Tensor, sides: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks ``[B, 1, H, W]`` of rectangles about uniform pixels.

    They are cut off at the borders.

    >>> box(torch.tensor([[0.0, 0.5]]), torch.tensor([[2.0, 2.0]]), (2, 4)).long().squeeze()
    tensor([[0, 1, 1, 0],
            [0, 0, 0, 0]])

    Args:
        centre: ``[B, 2]`` in [0, 1), row and column.
        sides: ``[B, 2]`` height and width in pixels, rounded down.
        size: height H and width W of the images.
    """
    inside = []
    for axis, length in enumerate(size):
        side = sides[:, axis : axis + 1].floor()
        start = (centre[:, axis : axis + 1] * length).floor() - (side / 2).floor()
        pixels = torch.arange(length, device=centre.device)
        inside.append((pixels >= start) & (pixels < start + side))
    return (inside[0][:, :, None] & inside[1][:, None, :]).unsqueeze(1)


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers ``[N]`` on a device, which copies them there once and not in each step."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _grey(values: Tensor) -> Tensor:
    """Return luma ``[B, 1, H, W]``.

    Source: ITU-R BT.601.
    """
    if values.shape[1] != 3:
        return values.mean(dim=1, keepdim=True)
    weights = constant((0.299, 0.587, 0.114), values.device).view(1, 3, 1, 1)
    return (values * weights).sum(dim=1, keepdim=True)


def _hue_rotation(turns: Tensor) -> Tensor:
    """Return matrices ``[B, 3, 3]`` that rotate colours.

    The axis is (1, 1, 1). Source: Rodrigues' formula.
    """
    angle = (turns * 2 * torch.pi)[:, None, None]
    device = turns.device
    cross = constant((0.0, -1.0, 1.0, 1.0, 0.0, -1.0, -1.0, 1.0, 0.0), device).view(3, 3) / 3**0.5
    third = torch.full((3, 3), 1 / 3, device=device)
    return angle.cos() * torch.eye(3, device=device) + angle.sin() * cross + (1 - angle.cos()) * third
