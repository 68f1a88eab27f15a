from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_lossopt.config.signatures import class_paths
from lit_lossopt.losses import (
    FocalLoss,
    HingeLoss,
    LossContract,
    SquaredHingeLoss,
    SquentropyLoss,
    class_indices,
    contract_of,
    one_hot,
    one_per_class,
    predicted_classes,
    register_loss,
    registered_losses,
)

N = 6


Formula = Callable[[list[float], int], float]


def cross_entropy(z: list[float], y: int) -> float:
    return -z[y] + math.log(sum(math.exp(v) for v in z))


def targets_of(z: list[float], y: int) -> list[float]:
    return [float(y)] if len(z) == 1 else [float(i == y) for i in range(len(z))]


def focal(gamma: float) -> Formula:
    def loss(z: list[float], y: int) -> float:
        p = math.exp(z[y]) / sum(math.exp(v) for v in z)
        return float(-((1 - p) ** gamma) * math.log(p))

    return loss


def squentropy(z: list[float], y: int) -> float:
    return cross_entropy(z, y) + sum(v**2 for i, v in enumerate(z) if i != y) / (len(z) - 1)


def smoothed_cross_entropy(z: list[float], y: int) -> float:
    log_sum = math.log(sum(math.exp(v) for v in z))
    return sum((0.9 * (i == y) + 0.1 / len(z)) * (log_sum - v) for i, v in enumerate(z))


def multi_margin(z: list[float], y: int) -> float:
    return sum(max(0.0, 1 - z[y] + v) for i, v in enumerate(z) if i != y) / len(z)


def mean_over_outputs(term: Callable[[float, float], float]) -> Formula:
    """The mean of a term of output and target 0 or 1."""
    return lambda z, y: sum(term(v, t) for v, t in zip(z, targets_of(z, y), strict=True)) / len(z)


def huber(d: float, delta: float) -> float:
    return d**2 / 2 if abs(d) < delta else delta * (abs(d) - delta / 2)


# Loss, its value for one example from outputs z and label y, and the outputs it needs for K = 2 and K = 10.
TABLE: list[tuple[nn.Module, Formula, tuple[int, int]]] = [
    (nn.CrossEntropyLoss(), cross_entropy, (2, 10)),
    (nn.CrossEntropyLoss(label_smoothing=0.1), smoothed_cross_entropy, (2, 10)),
    (nn.NLLLoss(), cross_entropy, (2, 10)),
    (nn.KLDivLoss(reduction="batchmean"), cross_entropy, (2, 10)),
    (nn.KLDivLoss(), lambda z, y: cross_entropy(z, y) / len(z), (2, 10)),
    (FocalLoss(gamma=0), cross_entropy, (2, 10)),
    (FocalLoss(gamma=2), focal(2), (2, 10)),
    (FocalLoss(gamma=0.5), focal(0.5), (2, 10)),
    (SquentropyLoss(), squentropy, (2, 10)),
    (nn.BCEWithLogitsLoss(), mean_over_outputs(lambda v, t: math.log1p(math.exp(-v)) + (1 - t) * v), (1, 10)),
    (
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0], dtype=torch.float64)),
        mean_over_outputs(lambda v, t: 3 * t * math.log1p(math.exp(-v)) + (1 - t) * math.log1p(math.exp(v))),
        (1, 10),
    ),
    (nn.SoftMarginLoss(), mean_over_outputs(lambda v, t: math.log1p(math.exp(-(2 * t - 1) * v))), (1, 10)),
    (HingeLoss(), mean_over_outputs(lambda v, t: max(0.0, 1 - (2 * t - 1) * v)), (1, 10)),
    (SquaredHingeLoss(), mean_over_outputs(lambda v, t: max(0.0, 1 - (2 * t - 1) * v) ** 2), (1, 10)),
    (nn.MSELoss(), mean_over_outputs(lambda v, t: (v - t) ** 2), (2, 10)),
    (nn.L1Loss(), mean_over_outputs(lambda v, t: abs(v - t)), (2, 10)),
    (nn.SmoothL1Loss(beta=0.5), mean_over_outputs(lambda v, t: huber(v - t, 0.5) / 0.5), (2, 10)),
    (nn.HuberLoss(delta=0.5), mean_over_outputs(lambda v, t: huber(v - t, 0.5)), (2, 10)),
    (nn.MultiMarginLoss(), multi_margin, (2, 10)),
]
IDS = [f"{index} {criterion}" for index, (criterion, _, _) in enumerate(TABLE)]


def example(criterion: nn.Module, classes: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    outputs = torch.randn(N, contract_of(criterion).num_outputs(classes), dtype=torch.float64)
    return outputs, torch.randint(classes, (N,))


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(("criterion", "formula", "sizes"), TABLE, ids=IDS)
def test_value_is_the_formula(criterion: nn.Module, formula: Formula, sizes: tuple[int, int], classes: int) -> None:
    outputs, labels = example(criterion, classes)
    assert outputs.shape[1] == dict(zip((2, 10), sizes, strict=True))[classes]
    contract = contract_of(criterion)
    loss = criterion(contract.encode_outputs(outputs), contract.encode_targets(labels, outputs))
    expected = sum(formula(z, y) for z, y in zip(outputs.tolist(), labels.tolist(), strict=True)) / N
    assert float(loss) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("criterion", [criterion for criterion, _, _ in TABLE], ids=IDS)
def test_probabilities_are_probabilities_and_largest_for_the_prediction(criterion: nn.Module, classes: int) -> None:
    outputs, _ = example(criterion, classes)
    implied = contract_of(criterion).probabilities
    if implied is None:
        assert type(criterion).__name__ in NO_PROBABILITIES
        return
    probabilities = implied(outputs)
    assert probabilities.shape == (N, classes)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(N, dtype=torch.float64))
    predicted = probabilities.gather(1, predicted_classes(outputs)[:, None])
    torch.testing.assert_close(predicted[:, 0], probabilities.amax(dim=1))


def test_probabilities_by_formula() -> None:
    outputs = torch.tensor([[2.0, -1.0, 0.5], [-3.0, -3.0, -3.0]], dtype=torch.float64)
    three = (nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.MSELoss())
    softmax, sigmoid, clipped = (contract_of(criterion).probabilities for criterion in three)
    assert softmax and sigmoid and clipped  # noqa: PT018  # for the type checker
    exponentials = [math.exp(v) for v in (2.0, -1.0, 0.5)]
    assert softmax(outputs)[0].tolist() == pytest.approx([e / sum(exponentials) for e in exponentials])
    sigmoids = [1 / (1 + math.exp(-v)) for v in (2.0, -1.0, 0.5)]
    assert sigmoid(outputs)[0].tolist() == pytest.approx([s / sum(sigmoids) for s in sigmoids])
    assert clipped(outputs)[0].tolist() == pytest.approx([1 / 1.5, 0.0, 0.5 / 1.5])
    assert clipped(outputs)[1].tolist() == pytest.approx([1 / 3] * 3)
    p = 1 / (1 + math.exp(-2.0))
    assert sigmoid(torch.tensor([[2.0]], dtype=torch.float64))[0].tolist() == pytest.approx([1 - p, p])


OF_TORCH_AND_OURS = {name for name in registered_losses() if name in class_paths("model.criterion")}
NO_PROBABILITIES = {"L1Loss", "SmoothL1Loss", "HuberLoss", "MultiMarginLoss", "HingeLoss", "SquaredHingeLoss"}


def test_the_table_holds_every_known_loss() -> None:
    assert {type(criterion).__name__ for criterion, _, _ in TABLE} == set(OF_TORCH_AND_OURS)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("criterion", [criterion for criterion, _, _ in TABLE], ids=IDS)
def test_every_loss_has_a_finite_gradient_that_lowers_it(criterion: nn.Module, classes: int) -> None:
    outputs, labels = example(criterion, classes)
    contract = contract_of(criterion)

    def value(z: Tensor) -> Tensor:
        loss: Tensor = criterion(contract.encode_outputs(z), contract.encode_targets(labels, z))
        return loss

    outputs.requires_grad_()
    before = value(outputs)
    (gradient,) = torch.autograd.grad(before, outputs)
    assert torch.isfinite(gradient).all()
    assert value(outputs.detach() - 0.1 * gradient) < before


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_stays_finite_where_everything_is_right(gamma: float) -> None:
    outputs = torch.tensor([[200.0, 0.0]], requires_grad=True)
    FocalLoss(gamma)(outputs, torch.tensor([0])).backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_class_weights_act() -> None:
    outputs, labels = example(nn.CrossEntropyLoss(), 10)
    weight = torch.arange(1.0, 11.0, dtype=torch.float64)
    terms = [cross_entropy(z, y) * (y + 1) for z, y in zip(outputs.tolist(), labels.tolist(), strict=True)]
    expected = sum(terms) / sum(y + 1 for y in labels.tolist())
    assert float(nn.CrossEntropyLoss(weight=weight)(outputs, labels)) == pytest.approx(expected)


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
