"""``lossopt explain``: the difference that was injected is the one that is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import keras

from lit_lossopt.__main__ import main
from lit_lossopt.keras_twin.explaining.attribution import attribute, gap_of
from lit_lossopt.keras_twin.explaining.differences import BY_NAME, DIFFERENCES, LAYER, SCHEDULE
from lit_lossopt.keras_twin.explaining.experiment import Experiment, possible, touching
from lit_lossopt.keras_twin.explaining.sides import keras_losses, torch_losses
from tests.support.experiments import experiment, losses_of_keras
from tests.support.normed_pair import NAMES, keras_side, torch_side

SGD, Adam, RMSprop = torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop
# Difference → experiments that it touches.
CASES: dict[str, Callable[[], Experiment]] = {
    "learning-rate": lambda: experiment(SGD, {}),
    "epsilon": lambda: experiment(Adam, {}),
    "rho": lambda: experiment(RMSprop, {"lr": 1e-3}),
    "accumulator": lambda: experiment(torch.optim.Adagrad, {}),
    "decay-of-adamw": lambda: experiment(torch.optim.AdamW, {}),
    "place-of-epsilon": lambda: experiment(Adam, {}),
    "momentum-schedule": lambda: experiment(torch.optim.NAdam, {}),
    "place-of-rate": lambda: experiment(SGD, {"lr": 0.1, "momentum": 0.9}, falling=True),
    "coupled-decay": lambda: experiment(Adam, {"weight_decay": 0.1}),
    "half": lambda: experiment(SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "precision": lambda: experiment(Adam, {}),
    "initialisation": lambda: experiment(SGD, {"lr": 0.1}),
    "flatten-order": lambda: experiment(SGD, {"lr": 0.1}),
    # Logits so large that some probability is below 1e-7.
    "probabilities": lambda: experiment(SGD, {"lr": 1e-5}, scale=100.0),
    "clip-by-variable": lambda: experiment(SGD, {"lr": 0.1}, clip=0.1),
}
FEW = ("place-of-rate", "flatten-order")
_ROWS = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in CASES]


def optimizer_of(one: Experiment) -> Callable[[nn.Module], torch.optim.Optimizer]:
    settings = dict(one.settings)
    kind = getattr(torch.optim, one.optimizer)
    if one.optimizer == "AdamW":
        settings.pop("decoupled_weight_decay", None)
    return lambda network: kind(network.parameters(), **settings)


@pytest.mark.parametrize("name", _ROWS)
def test_what_is_injected_alone_is_named_first(name: str) -> None:
    one = CASES[name]()
    known = [row.name for row in possible(one)]
    assert name in known

    @cache
    def run(names: frozenset[str]) -> np.ndarray:
        return keras_losses(one, names)

    # Otherwise both sides agree.
    assert gap_of(run(frozenset()), torch_losses(one, optimizer_of(one))) < 1e-11
    # From the matched side, which switch makes the losses of the other?
    found = attribute(run, run(frozenset({name})), (), known)
    by_share = sorted(found.shares, key=lambda share: -share.explains)
    assert (by_share[0].name, by_share[0].explains) == (name, 1.0)
    # Another one may do much of the same, as a low rate and a large accumulator do.
    assert by_share[1].explains < 1 - 1e-3
    # From the other side, it alone is to be settled.
    found = attribute(run, run(frozenset()), (name,), known)
    assert max(found.shares, key=lambda share: share.explains).name == name
    assert found.remainder == 0


# A training that is written in Keras by hand → the difference it has.
BY_HAND: list[tuple[str, Callable[[], Experiment], Callable[[], Any], dict[str, Any]]] = [
    ("place-of-epsilon", lambda: experiment(Adam, {"eps": 1e-4}),
     lambda: keras.optimizers.Adam(1e-3, epsilon=1e-4), {}),
    ("place-of-epsilon", lambda: experiment(RMSprop, {"lr": 1e-3}),
     lambda: keras.optimizers.RMSprop(1e-3, rho=0.99, epsilon=1e-8), {}),
    ("momentum-schedule", lambda: experiment(torch.optim.NAdam, {}),
     lambda: keras.optimizers.Nadam(2e-3, epsilon=1e-8), {}),
    ("place-of-rate", lambda: experiment(SGD, {"lr": 0.1, "momentum": 0.9}, falling=True),
     lambda: keras.optimizers.SGD(0.1, momentum=0.9), {}),
    ("coupled-decay", lambda: experiment(Adam, {"weight_decay": 0.1, "eps": 1e-10}),
     lambda: keras.optimizers.Adam(1e-3, weight_decay=0.1, epsilon=1e-10), {}),
    ("half", lambda: experiment(SGD, {"lr": 0.1, "weight_decay": 0.1}), lambda: keras.optimizers.SGD(0.1), {"l2": 0.1}),
    ("initialisation", lambda: experiment(SGD, {"lr": 0.1}), lambda: keras.optimizers.SGD(0.1), {"carried": False}),
    ("flatten-order", lambda: experiment(SGD, {"lr": 0.1}), lambda: keras.optimizers.SGD(0.1), {"reordered": False}),
    ("probabilities", lambda: experiment(SGD, {"lr": 1e-5}, scale=100.0), lambda: keras.optimizers.SGD(1e-5),
     {"probabilities": True}),
    ("clip-by-variable", lambda: experiment(SGD, {"lr": 0.1}, clip=0.1),
     lambda: keras.optimizers.SGD(0.1, clipnorm=0.1), {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make", "optimizer", "how"), BY_HAND)
def test_what_a_training_in_keras_differs_in_is_found(
    name: str, make: Callable[[], Experiment], optimizer: Callable[[], Any], how: dict[str, Any]
) -> None:
    one = make()
    target = losses_of_keras(one, optimizer, **how)
    found = attribute(
        lambda names: keras_losses(one, names),
        target,
        (),
        [row.name for row in possible(one) if row.name != "precision"],
    )
    by_share = sorted(found.shares, key=lambda share: -share.explains)
    assert by_share[0].name == name
    assert by_share[0].explains >= 0.9
    assert by_share[1].explains < by_share[0].explains


def test_keras_by_hand_is_the_matched_side_where_nothing_differs() -> None:
    one = experiment(SGD, {"lr": 0.1})
    by_hand = losses_of_keras(one, lambda: keras.optimizers.SGD(0.1))
    assert gap_of(by_hand, keras_losses(one)) < 1e-12


# The loss falls to a few thousandths, and the rate with it.
RATE = 3.0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_so_is_one_of_layers_and_schedules(name: str) -> None:
    @cache
    def run(names: frozenset[str]) -> np.ndarray:
        return keras_side(RATE, names)

    assert gap_of(run(frozenset()), torch_side(RATE)) < 1e-10
    found = attribute(run, run(frozenset({name})), (), NAMES)
    by_share = sorted(found.shares, key=lambda share: -share.explains)
    assert (by_share[0].name, by_share[0].explains) == (name, 1.0)
    # Another one may do much of the same, as a low rate and a large accumulator do.
    assert by_share[1].explains < 1 - 1e-3


def test_shares_are_those_of_their_definition() -> None:
    losses = {
        frozenset(): [0.0, 1.0],
        frozenset("a"): [0.0, 3.0],
        frozenset("b"): [0.0, 2.0],
        frozenset("ab"): [0.0, 5.0],
    }
    found = attribute(lambda names: np.array(losses[names]), np.array([0.0, 1.5]), "ab", ("b", "a"))
    assert (found.gap, found.remainder) == (1.75, 0.5 / 3.5)
    assert [share.name for share in found.shares] == ["a", "b"]
    # Without a there is b, 0.25 from the target; a alone is 1 from where nothing differs.
    assert (found.shares[0].explains, found.shares[0].alone) == (1.5 / 1.75, 1 / 1.75)
    assert (found.shares[1].explains, found.shares[1].alone) == (1 / 1.75, 0.5 / 1.75)


def test_a_schedule_is_followed_and_another_seed_is_the_control(tmp_path: Path) -> None:
    words = ["--config=warmup_cosine", "--config=digits", "--steps=3", "--threads=1", "--json=e.json"]
    assert main(["explain", *words, "--only=place-of-rate,initialisation"]) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert len(set(found["rates"])) == 3
    assert 0.01 < found["reseeded"] < 100


def test_every_row_is_injected() -> None:
    assert {*CASES, *NAMES} == set(BY_NAME)
    assert set(NAMES) == {one.name for one in DIFFERENCES if one.kind in (LAYER, SCHEDULE)}


def test_what_a_config_names_is_no_difference() -> None:
    names = [one.name for one in touching(experiment(RMSprop, {"lr": 1e-3}, given=("lr", "alpha")))]
    assert "learning-rate" not in names
    assert "rho" not in names
    assert "epsilon" in names


def test_the_command_says_what_makes_the_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=rmsprop", "--config=digits", "--steps=4", "--only=rho,epsilon", "--threads=1"]
    assert main(["explain", *words, "--html=e.html", "--markdown=e.md", "--json=e.json"]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "e.json").read_text())
    assert [share["name"] for share in found["shares"]] == ["rho", "epsilon"]
    assert "rho makes" in said
    assert found["reseeded"] is None
    assert "write in Keras: keras.optimizers.RMSprop(rho=0.99)" in said
    assert "write in Keras: keras.optimizers.RMSprop(epsilon=1e-08)" in said
    assert "keras.optimizers.RMSprop(rho=0.99)" in (tmp_path / "e.md").read_text()
    assert "torch.optim.RMSprop(parameters, alpha=0.9)" in (tmp_path / "e.html").read_text()
    # Nothing was trained that stays.
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only=rhoo"], "explain --only rhoo (did you mean 'rho'?); there are: learning-rate"),
        (["--only=rho"], "explain --only rho: it does not touch this training; these do: epsilon"),
        (["--without=padding"], "explain --without padding: it does not touch this training; these do: epsilon"),
        (["--steps=0"], "explain --steps 0: must be at least 1"),
        (["--steps=100"], "explain: --steps 100: an epoch has 20 steps; take fewer"),
        (["--model.optimizer=Muon"], "model.optimizer=Muon: no counterpart in Keras"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--config=adam", "--config=digits", "--threads=1", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert len(said.splitlines()) == 1
