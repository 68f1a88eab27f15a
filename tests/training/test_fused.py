"""On a GPU, torch's own optimizers update all weights by one kernel."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.fused import fused

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
Make = Callable[[Any], Optimizer]
FUSED: list[Make] = [
    lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.01),
    lambda weights: torch.optim.Adam(weights, lr=0.01, amsgrad=True),
    lambda weights: torch.optim.AdamW(weights, lr=0.01),
]


class OwnSGD(torch.optim.SGD):
    """A class that may have a rule of its own."""


UNTOUCHED: list[Make] = [
    torch.optim.RMSprop,
    torch.optim.Adagrad,
    OwnSGD,
    lambda weights: torch.optim.Adam(weights, fused=False),
    lambda weights: torch.optim.SGD(weights, foreach=True),
    lambda weights: torch.optim.SGD(weights, differentiable=True),
]


def steps(network: nn.Module, optimizer: Optimizer, count: int, begin: int = 0) -> list[float]:
    losses = []
    for step in range(begin, begin + count):
        images = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(network(images), torch.arange(16) % 4)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


@pytest.mark.parametrize("make", FUSED)
def test_the_fused_kernel_trains_the_same_and_goes_on_to_the_bit(make: Make) -> None:
    plain, quick = network(), network()
    expected = steps(plain, make(plain.parameters()), 12)
    # The kernels of the CPU, which torch has too.
    optimizer = fused(make(quick.parameters()), CUDA)
    assert [group["fused"] for group in optimizer.param_groups] == [True]
    found = steps(quick, optimizer, 6)
    saved = copy.deepcopy((quick.state_dict(), optimizer.state_dict()))
    found += steps(quick, optimizer, 6, begin=6)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    again = network()
    resumed = fused(make(again.parameters()), CUDA)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert steps(again, resumed, 6, begin=6) == found[6:]


@pytest.mark.parametrize("make", UNTOUCHED)
def test_what_was_asked_for_and_what_has_no_kernel_stays(make: Make) -> None:
    before = make(network().parameters())
    after = fused(make(network().parameters()), CUDA)
    assert [{**group, "params": 0} for group in after.param_groups] == [
        {**group, "params": 0} for group in before.param_groups
    ]
    assert after.defaults == before.defaults


@pytest.mark.parametrize("make", FUSED)
def test_on_a_cpu_nothing_is_fused(make: Make) -> None:
    optimizer = fused(make(network().parameters()), CPU)
    assert [group["fused"] for group in optimizer.param_groups] == [None]


WORDS = ["fit", "--config=adam", "--data=DigitsDataModule", "--threads=1", "--trainer.max_epochs=2"]


@pytest.mark.usefixtures("store")
def test_a_run_that_asks_for_it_is_recorded_so_on_a_cpu_too() -> None:
    words = [*WORDS, "--trainer.limit_train_batches=5"]
    assert main(words) == 0
    assert main([*words, "--model.optimizer.fused=true"]) == 0
    plain, quick = read_runs("lit_lossopt")
    assert ("optimizer.fused" in plain.params, quick.params["optimizer.fused"]) == (False, "True")
    one, two = (stored_points(run.run_id, "train/loss").values for run in (plain, quick))
    np.testing.assert_allclose(two, one, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.usefixtures("store")
def test_on_a_gpu_a_run_is_fused_recorded_so_and_repeats_to_the_bit() -> None:
    words = [*WORDS, "--trainer.accelerator=gpu", "--trainer.deterministic=true"]
    assert main(words) == 0
    assert main(words) == 0
    assert main([*words, "--model.optimizer.fused=false"]) == 0
    first, second, plain = read_runs("lit_lossopt")
    assert (first.params["optimizer.fused"], plain.params["optimizer.fused"]) == ("True", "False")
    one, two, three = (stored_points(run.run_id, "train/loss").values for run in (first, second, plain))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(three, one, rtol=1e-2)
