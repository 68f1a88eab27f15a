"""Each case about which torch is silent is refused on the first batch, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lit_lossopt.losses import (
    LossContract,
    class_indices,
    contract_of,
    log_softmax,
    losses,
    one_hot,
    one_per_class,
    registered_losses,
    unchanged,
)
from lit_lossopt.losses.checks import CHECKS, check_first_batch

K = 3
LABELS = torch.tensor([0, 2, 1, 2])
OUTPUTS = torch.randn(4, K, generator=torch.Generator().manual_seed(0))


def wrong(
    encode_targets: Callable[[Tensor, Tensor], Tensor], encode_outputs: Callable[[Tensor], Tensor] = unchanged
) -> LossContract:
    return LossContract(encode_targets, one_per_class, None, encode_outputs)


def first_column(outputs: Tensor) -> Tensor:
    return outputs[:, :1]


def floats(labels: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    return labels.float()


def nothing(labels: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    return torch.full_like(labels, -1)


SILENT: dict[str, tuple[nn.Module, LossContract, str]] = {
    "BCE with targets outside 0 and 1": (
        nn.BCEWithLogitsLoss(), wrong(lambda y, z: one_hot(y, z) * 2 - 1), "targets reach from -1 to 1",
    ),
    "MSE broadcasting (N, 1) with (N,)": (
        nn.MSELoss(), wrong(floats, first_column), r"\[4, 1\] and targets \[4\] differ in shape",
    ),
    "NLL of raw logits": (nn.NLLLoss(), wrong(class_indices), "inputs are not log-probabilities"),
    "KL divergence of raw logits": (nn.KLDivLoss(), wrong(one_hot), "inputs are not log-probabilities"),
    "cross-entropy on floats that do not sum to one": (
        nn.CrossEntropyLoss(), wrong(lambda y, z: one_hot(y, z) * 2), "rows of the targets do not sum to one",
    ),
    "all labels ignored": (
        nn.CrossEntropyLoss(ignore_index=-1), wrong(nothing), "all labels equal ignore_index=-1",
    ),
    "hinge with targets 0 and 1": (nn.SoftMarginLoss(), wrong(one_hot), "not all .1"),
    "KL divergence with log_target": (
        nn.KLDivLoss(log_target=True), wrong(one_hot, log_softmax), "log_target=true wants logarithms",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("criterion", "contract", "message"), SILENT.values(), ids=SILENT)
def test_silent_cases_are_refused(criterion: nn.Module, contract: LossContract, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_first_batch(criterion, contract, OUTPUTS, LABELS, K)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 3, 1, 2]), "label 3 is not among the 3 classes"),
        (torch.tensor([0, -1, 1, 2]), "label -1 is not among the 3 classes"),
        (LABELS.float(), "int64 of one dimension"),
        (LABELS[:, None], "int64 of one dimension"),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_first_batch(nn.CrossEntropyLoss(), contract_of(nn.CrossEntropyLoss()), OUTPUTS, labels, K)


@pytest.mark.parametrize("outputs", [OUTPUTS[:, :2], OUTPUTS[:3], OUTPUTS[:, :, None]])
def test_outputs_of_another_size_are_refused(outputs: Tensor) -> None:
    with pytest.raises(ValueError, match="give the network a head of that size"):
        check_first_batch(nn.CrossEntropyLoss(), contract_of(nn.CrossEntropyLoss()), outputs, LABELS, K)


def test_outputs_that_are_no_scores_of_classes_are_refused() -> None:
    embedding = LossContract(class_indices, lambda _: 64, None)
    with pytest.raises(ValueError, match="asks for 64 outputs on 3 classes"):
        check_first_batch(nn.CrossEntropyLoss(), embedding, torch.zeros(4, 64), LABELS, K)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_sum_over_the_batch_is_refused_wherever_it_stands(reduction: str) -> None:
    criterion = _Wrapped(nn.CrossEntropyLoss(reduction=reduction, weight=torch.tensor([1.0, 2.0, 3.0])))
    contract = contract_of(nn.CrossEntropyLoss())
    if reduction == "mean":
        check_first_batch(criterion, contract, OUTPUTS, LABELS, K)
        return
    with pytest.raises(ValueError, match="it adds up over the batch"):
        check_first_batch(criterion, contract, OUTPUTS, LABELS, K)


class _Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self.inner(outputs, targets)
        return loss


def test_a_loss_that_is_not_a_finite_number_is_refused() -> None:
    contract = contract_of(nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="a loss is one number"):
        check_first_batch(nn.CrossEntropyLoss(reduction="none"), contract, OUTPUTS, LABELS, K)
    with pytest.raises(ValueError, match="nan on the first batch"):
        check_first_batch(nn.CrossEntropyLoss(), contract, OUTPUTS * float("nan"), LABELS, K)


@pytest.mark.parametrize("classes", [2, K])
@pytest.mark.parametrize("loss_class", CHECKS, ids=lambda loss_class: loss_class.__name__)
def test_what_fits_passes(loss_class: type[nn.Module], classes: int) -> None:
    criterion = loss_class()
    contract = contract_of(criterion)
    check_first_batch(criterion, contract, torch.randn(4, contract.num_outputs(classes)), LABELS % classes, classes)


def test_every_known_loss_has_its_checks() -> None:
    known = {name for name in registered_losses() if hasattr(nn, name) or hasattr(losses, name)}
    assert known == {loss_class.__name__ for loss_class in CHECKS}
