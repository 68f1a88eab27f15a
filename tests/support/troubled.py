"""Networks that cannot learn well, each for a reason of its own."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class _Dense(nn.Sequential):
    """Linear layers with an activation between each two."""

    def __init__(self, widths: list[int], activation: type[nn.Module], gain: float = 1.0) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise(widths):
            linear = nn.Linear(entering, leaving)
            with torch.no_grad():
                linear.weight.mul_(gain)
            layers += [linear, activation()]
        super().__init__(*layers[:-1])


class DeepSigmoid(_Dense):
    """Eight sigmoids, behind which hardly a gradient is left."""

    def __init__(self, in_channels: int = 1, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__([in_channels * image_size**2, *[64] * 8, num_outputs], nn.Sigmoid)


class BornDead(_Dense):
    """Biases that no image can overcome."""

    def __init__(self, in_channels: int = 1, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__([in_channels * image_size**2, 64, 64, num_outputs], nn.ReLU)
        with torch.no_grad():
            for layer in self:
                if isinstance(layer, nn.Linear) and layer.out_features == 64:
                    layer.bias.fill_(-50.0)


class Saturated(_Dense):
    """Weights so large that every tanh is flat."""

    def __init__(self, in_channels: int = 1, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__([in_channels * image_size**2, 64, 64, num_outputs], nn.Tanh, gain=20.0)


class Chaotic(_Dense):
    """Forty layers of tanh with large weights, through which gradients grow on their way back."""

    def __init__(self, in_channels: int = 1, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__([in_channels * image_size**2, *[64] * 40, num_outputs], nn.Tanh, gain=5.0)


class SureOfItself(_Dense):
    """Ends in a softmax that is sure of one class from the start."""

    def __init__(self, in_channels: int = 1, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__([in_channels * image_size**2, 64, num_outputs], nn.ReLU, gain=10.0)
        self.append(nn.Softmax(1))


class WithNorms(nn.Module):
    """Convolutions with batch norm and dropout, and ReLUs in place."""

    def __init__(self, in_channels: int = 1, num_outputs: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.2),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.LazyLinear(num_outputs)
        self(torch.zeros(2, in_channels, 8, 8))

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.features(images))
        return outputs
