"""A trained network that is ready to classify images.

``lit_lossopt.load`` returns one. Pixels, Pillow's images or files come in. Classes and their probabilities go out.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.paths import given_path
from lit_lossopt.inference.saved import Saved
from lit_lossopt.losses import LossContract, Probabilities, predicted_classes

Outputs = Literal["logits", "probabilities"]
BATCH = 256


class Predictions(NamedTuple):
    """What a network predicts for N images.

    Attributes:
        names: the name of each image's predicted class.
        labels: the number of each image's predicted class, ``[N]`` int64.
        probabilities: those of all classes, ``[N, K]``. None means that the loss implies none.

    >>> Predictions(["cat"], torch.tensor([0]), torch.tensor([[0.75, 0.25]])).names
    ['cat']
    """

    names: list[str]
    labels: Tensor
    probabilities: Tensor | None


class Classifier(nn.Module):
    """One graph from images ``[N, C, H, W]`` uint8 to outputs.

    It holds normalisation, network and, if asked for, probabilities.

    >>> from lit_lossopt.losses import softmax
    >>> from lit_lossopt.networks import MiniCNN
    >>> network = MiniCNN(in_channels=1, image_size=8, num_outputs=2).eval()
    >>> graph = Classifier(network, torch.tensor([1 / 64]), torch.tensor([-2.0]), softmax)
    >>> graph(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)).shape
    torch.Size([3, 2])

    Args:
        network: takes normalised images and gives outputs ``[N, M]``.
        scale: ``[C]``. A pixel enters the network as ``pixel * scale + shift``.
        shift: ``[C]``.
        probabilities: takes outputs and gives class probabilities ``[N, K]``. None leaves outputs as they are.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: nn.Module, scale: Tensor, shift: Tensor, probabilities: Probabilities | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.probabilities = probabilities
        # Copies, so that moving this module to a device moves nothing else.
        self.register_buffer("scale", scale.clone().view(1, -1, 1, 1))
        self.register_buffer("shift", shift.clone().view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs ``[N, M]``, or probabilities ``[N, K]``."""
        outputs: Tensor = self.network(images.to(torch.float32) * self.scale + self.shift)
        return outputs if self.probabilities is None else self.probabilities(outputs)


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained network with everything that is needed to use it.

    Call it with images.

    >>> from pathlib import Path
    >>> from lit_lossopt.losses import contract_of
    >>> from lit_lossopt.networks import MiniCNN
    >>> network = MiniCNN(in_channels=1, image_size=8, num_outputs=2).eval()
    >>> bias = network.head.bias.requires_grad_(False).copy_(torch.tensor([0.0, 100.0]))
    >>> scale = shift = torch.zeros(1)
    >>> saved = Saved(network.state_dict(), {}, ("cat", "dog"), scale, shift, 8, run="", step=0, path=Path("x.ckpt"))
    >>> model = TrainedClassifier(network, saved, contract_of(nn.CrossEntropyLoss()))
    >>> model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).names
    ['dog', 'dog']

    Attributes:
        network: in evaluation mode. It takes normalised images ``[N, C, H, W]`` float32.
        saved: what its file says, such as ``config``, ``classes``, ``scale``, ``shift``, ``image_size``, ``run`` and
            ``step``.
        contract: that of the loss that trained it. ``contract.probabilities`` turns outputs into the probabilities that
            the loss implies.
    """

    network: nn.Module
    saved: Saved
    contract: LossContract

    @property
    def config(self) -> Mapping[str, Any]:
        """The run's resolved config, as plain values."""
        return self.saved.config

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels."""
        return self.saved.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return len(self.saved.scale), self.saved.image_size, self.saved.image_size

    @property
    def device(self) -> torch.device:
        """The device that the network is on."""
        return next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))

    def __call__(self, images: Any) -> Predictions:
        """Return the classes and probabilities that the network predicts.

        Args:
            images: uint8 pixels ``[N, C, H, W]``, as a tensor or a numpy array. Or one or several of Pillow's images or
                paths of image files, which become pixels by the same rules as an image folder's.

        Raises:
            UserError: the images are of another kind or size.
        """
        outputs = self.outputs(images)
        implied = self.contract.probabilities
        labels = predicted_classes(outputs)
        names = [self.classes[label] for label in labels.tolist()]
        return Predictions(names, labels, implied(outputs) if implied else None)

    @torch.no_grad()
    def outputs(self, images: Any) -> Tensor:
        """Return the network's outputs ``[N, M]`` float32.

        Images are those that ``__call__`` takes.
        """
        pixels = self.pixels(images)
        whole = Classifier(self.network, self.saved.scale, self.saved.shift).to(self.device)
        chunks = [chunk.contiguous(memory_format=torch.channels_last) for chunk in torch.split(pixels, BATCH)]
        return torch.cat([whole(chunk.to(self.device)).float() for chunk in chunks])

    def pixels(self, images: Any) -> Tensor:
        """Return images as uint8 pixels ``[N, C, H, W]``.

        Raises:
            UserError: the images are of another kind or size.
        """
        if isinstance(images, np.ndarray):
            images = torch.tensor(np.ascontiguousarray(images))
        several = isinstance(images, Sequence) and not isinstance(images, str)
        pixels = images if isinstance(images, Tensor) else self._decoded(images if several else [images])
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or tuple(pixels.shape[1:]) != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            floats = "; for floats 0 … 1: (images * 255).round().to(torch.uint8)" if pixels.is_floating_point() else ""
            raise UserError(
                f"images: {pixels.dtype} {list(pixels.shape)}, but this network takes uint8 pixels [N, {shape}]{floats}"
            )
        return pixels

    def graph(self, outputs: Outputs = "logits") -> Classifier:
        """Return a copy on the CPU, as one module that takes uint8 images.

        It gives outputs, or the probabilities that outputs imply.

        Raises:
            UserError: the loss implies no probabilities.
        """
        implied = self.contract.probabilities
        if outputs == "probabilities" and implied is None:
            criterion = self.config["model"]["criterion"]["class_path"].rpartition(".")[2]
            raise UserError(f"--outputs probabilities: {criterion} implies none; take --outputs logits")
        network = copy.deepcopy(self.network).cpu().to(memory_format=torch.contiguous_format)
        chosen = implied if outputs == "probabilities" else None
        return Classifier(network, self.saved.scale, self.saved.shift, chosen).eval()

    def _decoded(self, images: Sequence[Any]) -> Tensor:
        """Return the pixels of images and image files.

        They are decoded by the rules of the run's image folder, or else by the usual ones.
        """
        channels, size, _ = self.image_shape
        if channels != 3:
            raise UserError(
                f"images: this network was trained on images of {channels} channels, and files are decoded to 3 only; "
                f"give uint8 pixels [N, {channels}, {size}, {size}]"
            )
        # The data modules import Lightning, which takes seconds and is not needed for pixels.
        from lit_lossopt.data.batches import as_images
        from lit_lossopt.data.decoding import DecodingRules, UnusableImage, decode_image, pixels_of

        given = self.config["data"].get("init_args") or {}
        rules = DecodingRules(size, **{name: given[name] for name in ("resize", "max_pixels") if name in given})
        if not images:
            raise UserError("images: an empty list")
        decoded = []
        for image in images:
            if not isinstance(image, str | os.PathLike | Image):
                raise UserError(
                    f"images: {type(image).__name__}: neither pixels, nor Pillow's image, nor a file's path"
                )
            try:
                pixels = pixels_of(image, rules) if isinstance(image, Image) else decode_image(given_path(image), rules)
            except (UnusableImage, OSError, ValueError) as error:
                raise UserError(f"images: {image}: {one_line(str(error), 200)}") from error
            decoded.append(pixels)
        return as_images(np.stack(decoded))
