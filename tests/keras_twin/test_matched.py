"""Keras' own optimizers with torch's settings, and torch's rules, beside torch: settings, clipping, decay, dropout."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

from lit_lossopt.config.twin import TWIN_CHOICES, TWIN_DEFAULTS
from lit_lossopt.keras_twin.clip import Clip
from lit_lossopt.keras_twin.engine import TwinEngine, settings_of
from lit_lossopt.keras_twin.settings import TwinSettings
from lit_lossopt.losses import contract_of, loss_of
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import SGDW, build_optimizer

STEPS = 12
# So small that it does not matter where it stands.
TINY = {"eps": 1e-14}
SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
L2: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.1}
# Optimizer, its settings, clipping, whether biases decay, and how far Keras' own may be apart. Its numbers come through
# 32 bits.
CASES: list[tuple[Any, dict[str, Any], Clip | None, bool, float]] = [
    (SGD, L2, None, True, 1e-6),
    (SGD, L2, None, False, 1e-6),
    (SGD, L2, Clip(0.1), True, 1e-4),
    (SGD, L2, Clip(0.01, "value"), True, 1e-6),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}, Clip(0.1), True, 1e-4),
    (SGDW, {"lr": 0.1, "weight_decay": 0.3, "momentum": 0.9}, None, False, 1e-6),
    (Adam, {**TINY, "weight_decay": 0.1}, None, True, 1e-3),
    (Adam, {**TINY, "betas": (0.5, 0.6), "amsgrad": True}, None, True, 1e-5),
    (AdamW, {**TINY, "weight_decay": 0.5}, None, False, 1e-3),
    (torch.optim.RMSprop, {**TINY, "lr": 1e-3, "alpha": 0.9, "momentum": 0.9, "centered": True}, None, True, 1e-3),
]  # fmt: skip


def apart(make: Any, given: dict[str, Any], clip: Clip | None, decay_biases: bool, rule: Any) -> float:
    """Return how far the weights are apart after some steps, relative to the way of torch's."""
    torch.manual_seed(0)
    network = MiniCNN(1, 8, 10, channels=(4, 6), hidden=12, dropout=0.0).double()
    criterion: nn.Module = nn.CrossEntropyLoss()
    optimizer = build_optimizer(partial(make, **given), network, decay_biases=decay_biases)
    engine = TwinEngine(
        network, criterion, contract_of(criterion), optimizer, 8, TwinSettings(rule=rule),
        decay_biases=decay_biases, clip=clip, dtype="float64",
    )  # fmt: skip
    begun = flat(network.state_dict())
    for _ in range(STEPS):
        images, labels = torch.randn(16, 1, 8, 8, dtype=torch.float64), torch.randint(10, (16,))
        optimizer.zero_grad()
        loss = loss_of(criterion, contract_of(criterion), network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients])))
        if clip is not None:
            limits: Callable[..., Any] = nn.utils.clip_grad_norm_ if clip.by == "norm" else nn.utils.clip_grad_value_
            limits(network.parameters(), clip.limit)
        optimizer.step()
        # What is logged is of the loss alone, whatever is clipped and decays.
        logged = engine.step(images, labels)
        assert np.allclose(logged, (loss.item(), norm), rtol=1e-2)
    wanted = flat(network.state_dict())
    return float(np.linalg.norm(flat(engine.steps.weights()) - wanted) / np.linalg.norm(wanted - begun))


def flat(state: Any) -> np.ndarray:
    names = [f"{layer}.{part}" for layer in ("conv1", "conv2", "linear1", "linear2") for part in ("weight", "bias")]
    return np.concatenate([np.asarray(state[name].detach() if torch.is_tensor(state[name]) else state[name]).ravel()
                           for name in names])  # fmt: skip


@pytest.mark.parametrize(("make", "given", "clip", "decay_biases", "limit"), CASES)
def test_keras_own_goes_as_near_as_its_settings_allow(
    make: Any, given: dict[str, Any], clip: Clip | None, decay_biases: bool, limit: float
) -> None:
    assert apart(make, given, clip, decay_biases, "keras") < limit


@pytest.mark.parametrize(
    ("make", "given", "clip", "decay_biases"),
    [case[:4] for case in CASES]
    + [
        (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}, None, True),
        (torch.optim.NAdam, {"momentum_decay": 0.5}, None, True),
        (SGD, {"lr": 1e-3, "maximize": True}, None, True),
    ],
)
def test_by_torchs_rule_it_goes_the_same_way(
    make: Any, given: dict[str, Any], clip: Clip | None, decay_biases: bool
) -> None:
    assert apart(make, given, clip, decay_biases, "torch") < 1e-10


def test_what_can_be_chosen_stands_once() -> None:
    chosen = {name: get_args(kind) for name, kind in get_type_hints(TwinSettings).items()}
    assert (chosen, vars(TwinSettings())) == (TWIN_CHOICES, TWIN_DEFAULTS)


def test_the_settings_are_those_of_the_group_that_decays() -> None:
    network = MiniCNN(1, 8, 10, channels=(4, 6), hidden=12)
    optimizer = build_optimizer(partial(SGD, **L2), network, decay_biases=False)
    assert [group["weight_decay"] for group in reversed(optimizer.param_groups)] == [0.0, 0.1]
    assert settings_of(optimizer)["weight_decay"] == 0.1


def test_dropout_is_drawn_by_seed_and_number_and_keeps_the_mean() -> None:
    import tensorflow as tf

    network = MiniCNN(1, 8, 10, channels=(4, 6), hidden=50, dropout=0.2)
    criterion = nn.CrossEntropyLoss()
    steps = TwinEngine(network, criterion, contract_of(criterion), SGD(network.parameters()), 8).steps
    first, again, other = (steps.mask(400, tf.constant([0, number], tf.int64)).numpy() for number in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(np.unique(first).round(4)) == {0.0, 1.25}
    assert abs(first.mean() - 1) < 0.02
