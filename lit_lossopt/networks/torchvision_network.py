"""torchvision's classifiers by name, with weights to begin from and a fresh head."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from lit_lossopt.core.errors import did_you_mean, one_line
from lit_lossopt.core.paths import given_path, is_file
from lit_lossopt.networks.pretrained_weights import are_read, fetch_weights, load_backbone, read_weights


class TorchvisionNetwork(nn.Module):
    """A classifier of torchvision whose last layer is fresh.

    Images are ``[N, C, H, W]`` float, logits ``[N, num_outputs]``. The head is the last layer and always starts from
    the seed, even if the head in the file has the same size, because equal numbers of classes need not be equal
    classes. Everything else of ``weights`` must fit. Auxiliary classifiers (GoogLeNet, Inception) are left out. Images
    of other than three channels are averaged over them, and the mean is given as red, green and blue.

    Images come normalised by the training images' own channel means and deviations, not by ImageNet's, in which
    torchvision's weights were trained. So runs with and without weights see the same images. On photographs the two
    differ little (CIFAR-10: scales by 7 to 14 %, means by less than 0.2 deviations). On other images the network gets
    the unit variance that it is used to. The first layers learn the remaining difference once they are no longer
    frozen.

    >>> TorchvisionNetwork("squeezenet1_1", num_outputs=3)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])

    Args:
        name: torchvision's name of the network, such as ``resnet18``.
        weights: torchvision's name of weights (``DEFAULT``, ``IMAGENET1K_V1``), which are fetched once. Or a file
            with a state dict or a checkpoint that holds one. None starts from the seed.
        input_size: pixels to which images are resized (bilinear) before the first layer. None leaves them as they are.
            Position embeddings of vision transformers are interpolated to the size that results.
        in_channels: channels C of the images.
        image_size: height and width of the images in pixels.
        num_outputs: size of the last layer.

    Raises:
        ValueError: torchvision has no such classifier or weights, the file does not fit, or the images are too small.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        input_size: int | None = None,
        in_channels: int = 3,
        image_size: int = 32,
        num_outputs: int = 10,
    ) -> None:
        super().__init__()
        if name not in classifiers():
            raise ValueError(
                f"model.network.name={name}: torchvision has no classifier of that name"
                f"{did_you_mean(name, classifiers())}"
            )
        if input_size is not None and input_size < 1:
            raise ValueError(f"model.network.input_size={input_size}: must be at least 1")
        self.input_size = input_size
        self.weights_sha256: str | None = None
        size = input_size or image_size
        read = weights is not None and are_read()
        try:
            self.model = _build(name, size, num_outputs, init_weights=not read)
            self._head_name = _last_layer(self.model)
            self._try_images(in_channels, image_size)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                f"model.network.name={name}: it cannot take images of {size} pixels ({one_line(str(error), 120)}); "
                "resize them with --model.network.input_size=224"
            ) from error
        if weights is not None and read:
            try:
                path = _locate(name, weights)
                load_backbone(self.model, read_weights(path), f"{self._head_name}.", size)
            except ValueError as error:
                raise ValueError(f"model.network.weights={weights}: {error}") from error
            with path.open("rb") as file:
                self.weights_sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self.model.get_submodule(self._head_name)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[N, num_outputs]`` for images ``[N, C, H, W]``."""
        if images.shape[1] != 3:
            images = images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        if self.input_size is not None and self.input_size != images.shape[-1]:
            images = nn.functional.interpolate(
                images, size=self.input_size, mode="bilinear", antialias=self.input_size < images.shape[-1]
            )
        logits: Tensor = self.model(images)
        return logits

    def _try_images(self, in_channels: int, image_size: int) -> None:
        self.eval()
        with torch.no_grad():
            self(torch.zeros(1, in_channels, image_size, image_size))
        self.train()


def classifiers() -> list[str]:
    """Return the names of torchvision's classifiers of images.

    Detectors, segmenters and the like are left out.

    >>> "resnet18" in classifiers(), "fasterrcnn_resnet50_fpn" in classifiers()
    (True, False)
    """
    names: list[str] = models.list_models(module=models)
    return names


def _build(name: str, size: int, num_outputs: int, *, init_weights: bool) -> nn.Module:
    """Return the network, made with those options that its class takes."""
    builder = models.get_model_builder(name)
    options: dict[str, Any] = {
        "num_classes": num_outputs,
        "image_size": size,
        "input_size": (size, size),
        "aux_logits": False,
        # From normalised images to what weights ported from TensorFlow expect.
        "transform_input": True,
        "init_weights": init_weights,
    }
    accepted = inspect.signature(inspect.signature(builder).return_annotation).parameters
    network: nn.Module = builder(weights=None, **{key: value for key, value in options.items() if key in accepted})
    return network


def _last_layer(network: nn.Module) -> str:
    layers: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return layers[-1]


def _locate(name: str, weights: str) -> Path:
    """Return the file that ``weights`` means, fetched if torchvision has it and this machine does not."""
    known = models.get_model_weights(name)
    chosen = known.__members__.get(weights.removeprefix(f"{known.__name__}."))
    if chosen is not None:
        return fetch_weights(chosen.url)
    path = given_path(weights)
    if "://" in weights or not is_file(path):
        raise ValueError(
            f"neither a local file nor weights of {name}"
            f"{did_you_mean(weights, known.__members__)}; there are: {', '.join(known.__members__)}"
        )
    return path
