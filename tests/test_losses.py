from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_lossopt.losses import (
    LossContract,
    class_indices,
    contract_of,
    one_hot,
    one_per_class,
    predicted_classes,
    register_loss,
)

N = 6


def cross_entropy(z: list[float], y: int, k: int) -> float:  # noqa: ARG001  # one signature for all
    return -z[y] + math.log(sum(math.exp(v) for v in z))


def binary_cross_entropy(z: list[float], y: int, k: int) -> float:
    targets = [float(y)] if len(z) == 1 else [float(i == y) for i in range(k)]
    terms = [math.log1p(math.exp(-v)) + (1 - t) * v for v, t in zip(z, targets, strict=True)]
    return sum(terms) / len(terms)


def squared_error(z: list[float], y: int, k: int) -> float:
    return sum((v - float(i == y)) ** 2 for i, v in enumerate(z)) / k


# Loss, its value for one example from outputs z, label y and K classes, and the outputs it needs for K = 2 and K = 10.
TABLE: list[tuple[nn.Module, Callable[[list[float], int, int], float], tuple[int, int]]] = [
    (nn.CrossEntropyLoss(), cross_entropy, (2, 10)),
    (nn.BCEWithLogitsLoss(), binary_cross_entropy, (1, 10)),
    (nn.MSELoss(), squared_error, (2, 10)),
]
IDS = [type(criterion).__name__ for criterion, _, _ in TABLE]


def example(criterion: nn.Module, classes: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    outputs = torch.randn(N, contract_of(criterion).num_outputs(classes), dtype=torch.float64)
    return outputs, torch.randint(classes, (N,))


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(("criterion", "formula", "sizes"), TABLE, ids=IDS)
def test_value_is_the_formula(
    criterion: nn.Module, formula: Callable[[list[float], int, int], float], sizes: tuple[int, int], classes: int
) -> None:
    outputs, labels = example(criterion, classes)
    assert outputs.shape[1] == dict(zip((2, 10), sizes, strict=True))[classes]
    loss = criterion(outputs, contract_of(criterion).encode_targets(labels, outputs))
    expected = sum(formula(z, y, classes) for z, y in zip(outputs.tolist(), labels.tolist(), strict=True)) / N
    assert float(loss) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("criterion", [criterion for criterion, _, _ in TABLE], ids=IDS)
def test_probabilities_are_probabilities_and_largest_for_the_prediction(criterion: nn.Module, classes: int) -> None:
    outputs, _ = example(criterion, classes)
    implied = contract_of(criterion).probabilities
    assert implied is not None
    probabilities = implied(outputs)
    assert probabilities.shape == (N, classes)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(N, dtype=torch.float64))
    predicted = probabilities.gather(1, predicted_classes(outputs)[:, None])
    torch.testing.assert_close(predicted[:, 0], probabilities.amax(dim=1))


def test_probabilities_by_formula() -> None:
    outputs = torch.tensor([[2.0, -1.0, 0.5], [-3.0, -3.0, -3.0]], dtype=torch.float64)
    softmax, sigmoid, clipped = (contract_of(criterion).probabilities for criterion, _, _ in TABLE)
    assert softmax and sigmoid and clipped  # noqa: PT018  # for the type checker
    exponentials = [math.exp(v) for v in (2.0, -1.0, 0.5)]
    assert softmax(outputs)[0].tolist() == pytest.approx([e / sum(exponentials) for e in exponentials])
    sigmoids = [1 / (1 + math.exp(-v)) for v in (2.0, -1.0, 0.5)]
    assert sigmoid(outputs)[0].tolist() == pytest.approx([s / sum(sigmoids) for s in sigmoids])
    assert clipped(outputs)[0].tolist() == pytest.approx([1 / 1.5, 0.0, 0.5 / 1.5])
    assert clipped(outputs)[1].tolist() == pytest.approx([1 / 3] * 3)
    p = 1 / (1 + math.exp(-2.0))
    assert sigmoid(torch.tensor([[2.0]], dtype=torch.float64))[0].tolist() == pytest.approx([1 - p, p])


class Unknown(nn.Module):
    pass


class Mine(nn.L1Loss):
    pass


class MineToo(Mine):
    pass


def test_an_unregistered_loss_is_refused_with_how_to_register_it() -> None:
    with pytest.raises(ValueError, match=r"Unknown: no contract .*register_loss\(Unknown"):
        contract_of(Unknown())


def test_one_registration_makes_a_loss_and_its_subclasses_known() -> None:
    contract = LossContract(one_hot, one_per_class, probabilities=None)
    register_loss(Mine, contract)
    assert contract_of(MineToo()) is contract


def test_targets_keep_the_outputs_dtype() -> None:
    outputs = torch.zeros(2, 3, dtype=torch.float64)
    assert one_hot(torch.tensor([0, 2]), outputs).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert one_hot(torch.tensor([0, 2]), outputs).dtype == torch.float64
    assert class_indices(torch.tensor([0, 2]), outputs).dtype == torch.int64
