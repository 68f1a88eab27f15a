from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from lit_lossopt.networks.mini_cnn import MiniCNN, build_network, count_parameters


def conv_relu_pool(network: MiniCNN, images: Tensor) -> Tensor:
    """MiniCNN in the textbook's order: ReLU before the pooling."""
    x = network.pool(torch.relu(network.conv1(images)))
    x = network.pool(torch.relu(network.conv2(x)))
    logits: Tensor = network.linear2(network.dropout(torch.relu(network.linear1(x.flatten(1)))))
    return logits


def test_size_for_cifar10() -> None:
    assert count_parameters(MiniCNN()) == 545_098


def test_parameter_names_are_kept() -> None:
    layers = ("conv1", "conv2", "linear1", "linear2")
    assert list(MiniCNN().state_dict()) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


def test_pooling_before_relu_changes_neither_values_nor_gradients() -> None:
    torch.manual_seed(0)
    network = MiniCNN(channels=(4, 8), hidden=16).double().eval()
    images = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    gradients = []
    for forward in (network, functools.partial(conv_relu_pool, network)):
        network.zero_grad()
        outputs = forward(images)
        outputs.square().sum().backward()
        gradients.append([outputs.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    for ours, textbook in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, textbook, rtol=0, atol=0)


@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_layout_does_not_change_the_flattening(channels_last: bool) -> None:
    network = MiniCNN().eval()
    images = torch.randn(2, 3, 32, 32)
    expected = network(images)
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images), expected)


def test_softmax_is_no_part_of_it() -> None:
    sums = MiniCNN()(torch.randn(4, 3, 32, 32)).sum(dim=1)
    assert not torch.allclose(sums, torch.ones(4), atol=1e-2)


@pytest.mark.parametrize(
    "sizes",
    [{"image_size": 3}, {"in_channels": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"channels": (0, 4)}, {"hidden": 0}],
)
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be|need images"):
        MiniCNN(**sizes)  # type: ignore[arg-type]  # a table of different types


class Named(nn.Linear):
    def __init__(self, num_classes: int, width: int = 3) -> None:
        super().__init__(width, num_classes)


def test_a_network_gets_the_sizes_that_it_names() -> None:
    sizes = {"in_channels": 1, "image_size": 8, "num_outputs": 7}
    assert build_network(functools.partial(MiniCNN, hidden=5), **sizes)(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    assert build_network(functools.partial(Named, width=4), **sizes).weight.shape == (7, 4)
    assert isinstance(build_network(functools.partial(nn.Flatten), **sizes), nn.Flatten)
