"""Losses of torch and their counterparts in Keras have one value and one gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import tensorflow as tf

from lit_lossopt.core.errors import UserError
from lit_lossopt.keras_twin.losses import COUNTERPARTS, KerasLoss, counterpart_of
from lit_lossopt.losses import FocalLoss, HingeLoss, SquaredHingeLoss, SquentropyLoss, contract_of, loss_of

# Keras takes the focal loss from probabilities, which it clips, and so loses digits.
LOSSES: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "cross-entropy": (nn.CrossEntropyLoss, 1e-14),
    "smoothed": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), 1e-8),
    "binary": (nn.BCEWithLogitsLoss, 1e-14),
    "squares": (nn.MSELoss, 1e-14),
    "absolute": (nn.L1Loss, 1e-14),
    "huber": (lambda: nn.HuberLoss(delta=0.7), 1e-8),
    "focal": (lambda: FocalLoss(gamma=2.0), 1e-6),
    "hinge": (HingeLoss, 1e-14),
    "squared hinge": (SquaredHingeLoss, 1e-14),
}


def cases() -> list[tuple[str, int]]:
    found = [
        (name, contract_of(make()).num_outputs(classes)) for name, (make, _) in LOSSES.items() for classes in (2, 10)
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("name", "outputs"), cases())
def test_values_and_gradients_are_torchs(name: str, outputs: int) -> None:
    make, tolerance = LOSSES[name]
    criterion = make()
    contract = contract_of(criterion)
    classes = max(2, outputs)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, outputs, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = torch.randint(classes, (6,), generator=generator)
    wanted = loss_of(criterion, contract, logits, labels)
    wanted.backward()  # type: ignore[no-untyped-call]  # torch
    twin = KerasLoss(criterion, contract, "float64")
    variable = tf.Variable(logits.detach().numpy())
    with tf.GradientTape() as tape:
        value = twin(twin.targets(labels, outputs), variable)
    assert abs(float(value) - wanted.item()) < tolerance * max(1.0, wanted.item())
    assert logits.grad is not None
    gradient = tf.convert_to_tensor(tape.gradient(value, variable)).numpy()
    assert np.abs(gradient - logits.grad.numpy()).max() < tolerance


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.MSELoss])
def test_labels_of_mixed_images_are_taken(make: Callable[[], nn.Module]) -> None:
    criterion = make()
    contract = contract_of(criterion)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    labels = torch.rand(6, 4, dtype=torch.float64, generator=generator).softmax(1)
    twin = KerasLoss(criterion, contract, "float64", soft=True)
    wanted = loss_of(criterion, contract, logits, labels)
    assert abs(float(twin(twin.targets(labels, 4), logits.numpy())) - wanted.item()) < 1e-14


def test_every_counterpart_is_tried() -> None:
    tried = {counterpart_of(make()).name for make, _ in LOSSES.values()}
    assert tried == {row.name for _, row in COUNTERPARTS}


@pytest.mark.parametrize(
    ("criterion", "says"),
    [
        (SquentropyLoss(), "model.criterion=SquentropyLoss: no counterpart in Keras; there are those of"),
        (
            nn.CrossEntropyLoss(weight=torch.ones(10)),
            "model.criterion.weight: Keras' CategoricalCrossentropy has nothing",
        ),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), "model.criterion.pos_weight: Keras' BinaryCrossentropy"),
        (nn.CrossEntropyLoss(ignore_index=3), "leave it at -100"),
    ],
)
def test_what_keras_has_nothing_like_is_refused(criterion: nn.Module, says: str) -> None:
    with pytest.raises(UserError, match=says):
        counterpart_of(criterion)
