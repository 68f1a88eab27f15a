from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from lit_lossopt.losses import softmax
from lit_lossopt.training.metrics import BrierScore, NegativeLogLikelihood, Yardsticks

N, K = 400, 5


@pytest.fixture(scope="module")
def outputs() -> torch.Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.randint(K, (N,), generator=torch.Generator().manual_seed(1))


def calibration_error(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Guo et al. 2017, equation 3, in the most obvious way."""
    total = 0.0
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    for low in range(bins):
        inside = (confidence > low / bins) & (confidence <= (low + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_values_are_the_formulas_whatever_the_batches(outputs: torch.Tensor, labels: torch.Tensor) -> None:
    p, y = outputs.softmax(dim=1).double().numpy(), labels.numpy()
    expected = {
        "loss": nn.functional.cross_entropy(outputs, labels).item(),
        "accuracy": float((p.argmax(axis=1) == y).mean()),
        "nll": float(-np.log(p[np.arange(N), y]).mean()),
        "brier": float(((p - np.eye(K)[y]) ** 2).sum(axis=1).mean()),
        "ece": calibration_error(p, y),
    }
    yardsticks = Yardsticks(K)
    for size in (N, 7):
        for batch, truth in zip(torch.split(outputs, size), torch.split(labels, size), strict=True):
            yardsticks.update(batch, truth)
        values, matrix = yardsticks.conclude(nn.functional.cross_entropy, softmax)
        assert values == pytest.approx(expected, rel=1e-5)
        counted = np.zeros((K, K), dtype=int)
        np.add.at(counted, (y, p.argmax(axis=1)), 1)
        np.testing.assert_array_equal(matrix.numpy(), counted)


def test_full_confidence_belongs_to_the_last_bin() -> None:
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05], [0.95, 0.05]])
    labels = torch.tensor([0, 1, 0, 0])
    yardsticks = Yardsticks(2)
    yardsticks.update(p, labels)
    values, _ = yardsticks.conclude(nn.functional.cross_entropy, lambda outputs: outputs)
    assert values["ece"] == pytest.approx(calibration_error(p.double().numpy(), labels.numpy()), abs=1e-5)
    assert values["ece"] == pytest.approx(0.225, abs=1e-5)


def test_a_loss_without_probabilities_leaves_them_empty(outputs: torch.Tensor, labels: torch.Tensor) -> None:
    yardsticks = Yardsticks(K)
    yardsticks.update(outputs, labels)
    values, _ = yardsticks.conclude(nn.functional.cross_entropy, None)
    assert set(values) == {"loss", "accuracy"}


def test_a_probability_of_zero_costs_no_more_than_the_floor() -> None:
    nll = NegativeLogLikelihood()
    nll.update(torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    assert float(nll.compute()) == pytest.approx(-math.log(1e-7))


def test_the_brier_score_reaches_from_zero_to_two() -> None:
    for truth, worst in ((1, 0.0), (0, 2.0)):
        brier = BrierScore()
        brier.update(torch.tensor([[0.0, 1.0]]), torch.tensor([truth]))
        assert float(brier.compute()) == worst
