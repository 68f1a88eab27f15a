"""A trained network that is ready to classify images.

``lit_lossopt.load`` returns one.
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
    """What a network says of N images.

    Attributes:
        names: the predicted class of each.
        labels: its number ``[N]`` int64.
        probabilities: of all classes ``[N, K]``; None where the loss that trained the network implies none.
    """

    names: list[str]
    labels: Tensor
    probabilities: Tensor | None


class Classifier(nn.Module):
    """One graph from uint8 images to outputs.

    Images are ``[N, C, H, W]``. The graph has normalisation, network and, if asked for, probabilities.

    Args:
        network: from normalised images to outputs ``[N, M]``.
        scale: ``[C]``; a pixel enters the network as ``pixel * scale + shift``.
        shift: ``[C]``.
        probabilities: outputs to class probabilities ``[N, K]``; None leaves outputs as they are.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: nn.Module, scale: Tensor, shift: Tensor, probabilities: Probabilities | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.probabilities = probabilities
        # Copies: what is done to this module is done to nothing else.
        self.register_buffer("scale", scale.clone().view(1, -1, 1, 1))
        self.register_buffer("shift", shift.clone().view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs ``[N, M]``, or probabilities ``[N, K]``."""
        outputs: Tensor = self.network(images.to(torch.float32) * self.scale + self.shift)
        return outputs if self.probabilities is None else self.probabilities(outputs)


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained network with everything that its use needs.

    It is called with images.

    Attributes:
        network: in evaluation mode; takes normalised images ``[N, C, H, W]`` float32.
        saved: what its file says: ``config``, ``classes``, ``scale`` and ``shift``, ``image_size``, ``run``, ``step``.
        contract: of the loss that trained it; ``contract.probabilities`` turns outputs into those that it implies.
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
        """Where the network is."""
        return next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))

    def __call__(self, images: Any) -> Predictions:
        """Return what the network says of images.

        Args:
            images: uint8 pixels ``[N, C, H, W]`` (tensor or numpy array); or one or several of Pillow's images or
                paths of image files, which become pixels as an image folder's do.

        Raises:
            UserError: they are of another kind or size.
        """
        outputs = self.outputs(images)
        implied = self.contract.probabilities
        labels = predicted_classes(outputs)
        found = [self.classes[label] for label in labels.tolist()]
        return Predictions(found, labels, implied(outputs) if implied else None)

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
            UserError: they are of another kind or size.
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
        """Return a copy on the CPU as one module.

        It takes uint8 images. It gives outputs, or the probabilities that they imply.

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

        The rules are those of the run's image folder, or else the usual ones.
        """
        channels, size, _ = self.image_shape
        if channels != 3:
            raise UserError(
                f"images: this network was trained on images of {channels} channels, for which there are no rules of "
                f"decoding; give uint8 pixels [N, {channels}, {size}, {size}]"
            )
        # Lightning comes with the data modules; pixels do without.
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
