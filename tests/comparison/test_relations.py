"""Each row of the table of special cases, by training both methods on the same gradients."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_lossopt import losses, optimizers
from lit_lossopt.comparison.inclusion.relations import RELATIONS, Relation

RATE = 0.05
EXACT = [row for row in RELATIONS if not row.limit and row.choice == "optimizer"]
LIMITS = [row for row in RELATIONS if row.limit]
LOSSES = [row for row in RELATIONS if row.choice == "criterion"]
# torch refuses Nesterov's momentum of exactly 0. This one is 0 in all that is computed.
NO_MOMENTUM = 1e-300
DECAYING = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "SGD", "SGDW"]


def named(row: Relation) -> str:
    return f"{row.general or 'any'} {row.special or 'same'} {row.case}"


def optimizer(name: str, weight: Tensor, **arguments: Any) -> torch.optim.Optimizer:
    kind = getattr(optimizers, name, None) or getattr(torch.optim, name)
    made: torch.optim.Optimizer = kind([weight], **arguments)
    return made


def gradient(weight: Tensor, step: int) -> Tensor:
    """Return a gradient that depends on the weights, so that both paths part if they ever differ."""
    return weight.detach() * torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64) + torch.sin(
        torch.arange(3, dtype=torch.float64) + step
    )


def path(name: str, steps: int = 30, **arguments: Any) -> Tensor:
    """Return the weights after each step ``[steps, 3]``."""
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    made = optimizer(name, weight, lr=RATE, **arguments)
    weights = []
    for step in range(steps):
        weight.grad = gradient(weight, step)
        made.step()
        weights.append(weight.detach().clone())
    return torch.stack(weights)


def by_hand(step: Callable[[Tensor, Tensor], Tensor], steps: int = 30) -> Tensor:
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    weights = []
    for place in range(steps):
        weight = step(weight, gradient(weight, place))
        weights.append(weight)
    return torch.stack(weights)


def rmsprop() -> Callable[[Tensor, Tensor], Tensor]:
    square = torch.zeros(3, dtype=torch.float64)

    def step(weight: Tensor, slope: Tensor) -> Tensor:
        square.mul_(0.99).add_(0.01 * slope**2)
        return weight - RATE * slope / (square.sqrt() + 1e-8)

    return step


# General method at its special case, and the special method. One side is written by hand where both are of one class.
CASES: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], Callable[[], Tensor]]] = {
    "AdamW Adam weight decay 0": (
        lambda: path("AdamW", weight_decay=0.0, betas=(0.8, 0.95), eps=1e-3),
        lambda: path("Adam", weight_decay=0.0, betas=(0.8, 0.95), eps=1e-3),
        lambda: path("AdamW", weight_decay=0.1, betas=(0.8, 0.95), eps=1e-3),
    ),
    "SGDW SGD weight decay 0": (
        lambda: path("SGDW", weight_decay=0.0, momentum=0.9, nesterov=True),
        lambda: path("SGD", weight_decay=0.0, momentum=0.9, nesterov=True),
        lambda: path("SGDW", weight_decay=0.1, momentum=0.9, nesterov=True),
    ),
    "SGD SGD momentum 0": (
        lambda: path("SGD", momentum=NO_MOMENTUM, nesterov=True, weight_decay=0.1),
        lambda: by_hand(lambda weight, slope: weight - RATE * (slope + 0.1 * weight)),
        lambda: path("SGD", momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "SGDW SGDW momentum 0": (
        lambda: path("SGDW", momentum=NO_MOMENTUM, nesterov=True, weight_decay=0.1),
        lambda: by_hand(lambda weight, slope: weight * (1 - RATE * 0.1) - RATE * slope),
        lambda: path("SGDW", momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "RMSprop RMSprop momentum 0": (
        lambda: path("RMSprop", momentum=0.0),
        lambda: by_hand(rmsprop()),
        lambda: path("RMSprop", momentum=0.9),
    ),
}


@pytest.mark.parametrize("row", EXACT, ids=named)
def test_every_exact_row_is_trained(row: Relation) -> None:
    if not row.general:
        assert [need.parameter for need in row.needs] == ["weight_decay"]
        return
    general, special, another = (make() for make in CASES[named(row)])
    torch.testing.assert_close(general, special, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(another, special, rtol=1e-3)


def test_dampening_has_no_effect_without_momentum() -> None:
    assert torch.equal(path("SGD", momentum=0.0, dampening=0.5), path("SGD", momentum=0.0))


@pytest.mark.parametrize("name", DECAYING)
def test_weight_decay_of_zero_is_no_decay(name: str) -> None:
    moved = {}
    for decay in (0.0, 0.1):
        weight = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        made = optimizer(name, weight, lr=RATE, weight_decay=decay, **({"lambd": 0.0} if name == "ASGD" else {}))
        for _ in range(5):
            weight.grad = torch.zeros_like(weight)
            made.step()
        moved[decay] = not torch.equal(weight.detach(), torch.tensor([1.0, -2.0], dtype=torch.float64))
    assert moved == {0.0: False, 0.1: True}


def updates(name: str, gradients: Tensor, **arguments: Any) -> Tensor:
    """Return the change of the weights at each step."""
    weight = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    made = optimizer(name, weight, **arguments)
    changes = []
    for slope in gradients:
        before = weight.detach().clone()
        weight.grad = slope.clone()
        made.step()
        changes.append(weight.detach() - before)
    return torch.stack(changes)


def arguments_of(row: Relation, epsilon: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of the general and of the special method, by the row alone."""
    special: dict[str, Any] = {name: literal_eval(value) for name, value in row.fixed.items()}
    general: dict[str, Any] = {}
    for need in row.needs:
        if need.like:
            special[need.like] = 0.9
        value = 0.9 if need.like else need.value
        general[need.parameter] = (value, 0.99) if need.parameter == "betas" else value
    general["eps"] = epsilon
    averaged = 1 - general["betas"][0] if row.averaged else 1.0
    return {**general, "lr": RATE * general[row.over] / averaged}, {**special, "lr": RATE}


@pytest.mark.parametrize("row", LIMITS, ids=named)
def test_the_steps_of_a_limit_become_those_of_the_special_method(row: Relation) -> None:
    gradients = torch.randn(900, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    apart = []
    for epsilon in (1e-2, 1e2, 1e8):
        general, special = arguments_of(row, epsilon)
        # The correction of the first steps' averages is over by then.
        last = updates(row.general, gradients, **general)[800:], updates(row.special, gradients, **special)[800:]
        apart.append(float((last[0] - last[1]).abs().max() / last[1].abs().max()))
    assert apart[0] > 0.1
    assert apart[1] < 0.1
    assert apart[2] < 1e-6


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()


LOSS_CASES: dict[str, tuple[nn.Module, Callable[[Tensor, Tensor], Tensor], nn.Module]] = {
    "FocalLoss CrossEntropyLoss γ = 0": (
        losses.FocalLoss(gamma=0.0), nn.CrossEntropyLoss(), losses.FocalLoss(gamma=2.0),
    ),
    "any same label smoothing 0": (
        nn.CrossEntropyLoss(label_smoothing=0.0), cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "SmoothL1Loss L1Loss beta 0": (nn.SmoothL1Loss(beta=0.0), nn.L1Loss(), nn.SmoothL1Loss(beta=1.0)),
}  # fmt: skip


@pytest.mark.parametrize("row", LOSSES, ids=named)
def test_every_row_of_losses_has_equal_values_and_gradients(row: Relation) -> None:
    general, special, another = LOSS_CASES[named(row)]
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(8, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    is_l1 = row.special == "L1Loss"
    labels = torch.randn(8, 5, dtype=torch.float64) if is_l1 else torch.randint(5, (8,), generator=generator)
    found = []
    for loss in (general, special, another):
        value = loss(outputs, labels)
        (slope,) = torch.autograd.grad(value, outputs)
        found.append(torch.cat([value.detach().reshape(1), slope.reshape(-1)]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(found[2], found[1], rtol=1e-3)
