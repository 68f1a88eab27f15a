from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lit_lossopt.diagnostics.activations import ActivationWatch
from lit_lossopt.diagnostics.gradient_flow import lost_digits, norm, update_ratio
from lit_lossopt.diagnostics.layers import layers_of
from lit_lossopt.networks.mini_cnn import MiniCNN


def test_norms_and_ratios_are_those_of_all_values_of_a_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    before = [torch.randn(4, 3, generator=generator), torch.randn(4, generator=generator)]
    after = [tensor + 0.01 * torch.randn(tensor.shape, generator=generator) for tensor in before]
    old, new = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (before, after))
    assert float(norm(before)) == pytest.approx(float((old**2).sum() ** 0.5), rel=1e-6)
    ratio = float((new - old).norm() / old.norm())
    assert float(update_ratio(before, after)) == pytest.approx(ratio, rel=1e-5)
    assert torch.isnan(update_ratio([torch.zeros(3)], [torch.ones(3)]))


def test_in_half_precision_a_norm_may_exceed_what_half_precision_holds() -> None:
    large = torch.full((1000,), 60000.0, dtype=torch.float16)
    assert float(norm([large])) == pytest.approx(60000 * 1000**0.5, rel=1e-3)


def test_an_update_below_the_last_digit_is_lost() -> None:
    weights = torch.tensor([1.0, 1.0, 1.0, 0.001], dtype=torch.bfloat16)
    gradient = torch.tensor([1e-4, 1.0, 0.0, 1e-4], dtype=torch.bfloat16)
    after = weights - gradient
    # The first stays 1, the third has no gradient, the last is small enough to move.
    assert after.tolist()[0] == 1
    assert float(lost_digits([gradient], [weights], [after])) == pytest.approx(1 / 3)
    assert torch.isnan(lost_digits([torch.zeros(2)], [torch.ones(2)], [torch.ones(2)]))


def test_layers_come_in_the_order_of_the_network_and_shared_weights_once() -> None:
    assert list(layers_of(MiniCNN())) == ["conv1", "conv2", "linear1", "linear2"]
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert [len(own) for own in layers_of(tied).values()] == [2, 1]
    tied[1].bias.requires_grad = False
    assert list(layers_of(tied)) == ["0"]
    assert list(layers_of(nn.Linear(2, 2))) == ["Linear"]


class Both(nn.Module):
    """Has every activation twice: as a module and as a function, in place and not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 5)
        self.fourth, self.fifth = nn.Linear(5, 5), nn.Linear(5, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        x = functional.relu(self.second(x))
        x = torch.tanh(self.third(x))
        x = self.fourth(x).sigmoid()
        return torch.softmax(self.fifth(x), dim=1)


def test_every_kind_of_activation_is_seen_and_named_by_the_layer_before_it() -> None:
    torch.manual_seed(0)
    network, images = Both(), 5 * torch.randn(8, 4)
    with torch.no_grad():
        network.second.bias[:2] = -100.0
        network.third.bias[0] = 50.0
        network.fourth.bias[1] = 50.0
    with ActivationWatch(layers_of(network)) as watch, torch.no_grad():
        seen = network(images)
    assert torch.equal(seen, network(images))
    shares = {name: float(share) for name, share in watch.shares.items()}
    # The same, unit by unit.
    with torch.no_grad():
        first = functional.relu(network.first(images))
        second = functional.relu(network.second(first))
        third = torch.tanh(network.third(second))
        fourth = torch.sigmoid(network.fourth(third))
    dead = [all(float(value) == 0 for value in second[:, unit]) for unit in range(6)]
    assert shares["dead", "second"] == pytest.approx(sum(dead) / 6)
    assert sum(dead) >= 2
    idle = [abs(float(value)) > 0.97 for value in third.flatten()]
    assert shares["saturated", "third"] == pytest.approx(sum(idle) / len(idle))
    idle = [not 0.03 <= float(value) <= 0.97 for value in fourth.flatten()]
    assert shares["saturated", "fourth"] == pytest.approx(sum(idle) / len(idle))
    sure = [max(map(float, row)) > 0.97 for row in seen]
    assert shares["softmax", "fifth"] == pytest.approx(sum(sure) / len(sure))
    assert set(shares) == {
        ("dead", "first"), ("dead", "second"), ("saturated", "third"), ("saturated", "fourth"), ("softmax", "fifth"),
    }  # fmt: skip


def test_a_channel_is_dead_if_it_is_zero_at_every_place_of_every_example() -> None:
    outputs = torch.zeros(2, 3, 4, 4)
    outputs[1, 1, 2, 3] = 0.1
    layer = nn.Conv2d(3, 3, 1)
    with ActivationWatch(layers_of(nn.Sequential(layer))) as watch:
        functional.conv2d(outputs, layer.weight, layer.bias)
        functional.relu(outputs)
    assert float(watch.shares["dead", "0"]) == pytest.approx(2 / 3)
