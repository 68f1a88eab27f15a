from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import build_optimizer, parameter_groups

SMALL = functools.partial(MiniCNN, in_channels=1, image_size=8, channels=(2, 3), hidden=4)


def test_one_group_when_everything_decays() -> None:
    network = SMALL()
    (group,) = parameter_groups(network, decay_biases=True)
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


def test_biases_and_norms_apart_when_they_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    weights, others = parameter_groups(network, decay_biases=False)
    assert [p.ndim for p in weights["params"]] == [4, 2]
    assert [p.ndim for p in others["params"]] == [1, 1, 1, 1]
    assert others["weight_decay"] == 0


def test_frozen_parameters_are_left_out() -> None:
    network = SMALL()
    network.conv1.requires_grad_(requires_grad=False)
    (group,) = parameter_groups(network, decay_biases=True)
    assert len(group["params"]) == 6
    network.requires_grad_(requires_grad=False)
    with pytest.raises(ValueError, match="no trainable parameters"):
        parameter_groups(network, decay_biases=True)


@pytest.mark.parametrize("decay_biases", [True, False])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_decay_pulls_exactly_what_it_should(optimizer: type[torch.optim.Optimizer], decay_biases: bool) -> None:
    network = SMALL()
    before = [p.detach().clone() for p in network.parameters()]
    factory = functools.partial(optimizer, lr=0.1, weight_decay=0.5)  # type: ignore[call-arg]  # every one takes these
    built = build_optimizer(factory, network, decay_biases=decay_biases)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    for old, new in zip(before, network.parameters(), strict=True):
        decays = decay_biases or old.ndim > 1
        torch.testing.assert_close(new.detach(), old * (0.95 if decays else 1.0))
