"""Each finding is provoked by a training that has what it names, and healthy trainings have none."""

from __future__ import annotations

import json

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs

DIGITS = ["--config=digits", "--threads=1", "--allow-import=tests"]
TROUBLED = "--model.network=tests.support.troubled."


@pytest.fixture(autouse=True)
def _ready(store: object) -> None:
    """Have a store."""


def found(*words: str) -> list[str]:
    """Return the findings of a training."""
    # An overlay stands behind the config that it changes.
    main(["fit", *words[:1], *DIGITS, *words[1:]])
    return [sentence for _, sentence in json.loads(read_runs()[-1].tags.get(names.TAG_FINDINGS, "[]"))]


PROVOKED = {
    "vanishing": (["--config=adam", f"{TROUBLED}DeepSigmoid"], "gradients vanish at 5 layers from 1 to 9"),
    "exploding": (["--config=sgd", f"{TROUBLED}Chaotic", "--model.optimizer.lr=1e-6"], "layers from 1 to"),
    "dead": (["--config=adam", f"{TROUBLED}BornDead"], "dead ReLUs: 100 % of the units behind 1 are zero"),
    "saturated": (["--config=adam", f"{TROUBLED}Saturated"], "of the activations behind 1 are flat"),
    "softmax": (
        ["--config=sgd_momentum", "--model.criterion=MSELoss", f"{TROUBLED}SureOfItself"],
        "a squared error behind a softmax has hardly any slope",
    ),
    "digits": (
        ["--config=sgd", "--trainer.precision=bf16-true", "--model.optimizer.lr=1e-3"],
        "half precision loses the updates",
    ),
    "overshooting": (
        [
            "--config=sgd_momentum",
            "--model.optimizer.lr=0.3",
            "--model.optimizer.momentum=0.99",
            "--diagnostics=default,alpha@every:5",
        ],
        "steps overshoot: ",
    ),
    "dying": (["--config=adam", "--model.optimizer.lr=0.1"], "ReLUs died in training"),
    "large": (["--config=rmsprop", "--model.optimizer.lr=0.1"], "times their own size"),
    "small": (["--config=sgd", "--model.optimizer.lr=1e-4"], "updates are too small for the weights"),
}


@pytest.mark.parametrize("case", PROVOKED)
def test_what_is_provoked_is_named(case: str) -> None:
    words, sentence = PROVOKED[case]
    sentences = found(*words, "--trainer.max_epochs=5")
    assert any(sentence in each for each in sentences), sentences


# The rates of the shipped configs. Three hundred times more is too high: at a hundred times plain SGD still learns.
RATES = {"sgd": 0.01, "sgd_momentum": 0.01, "adam": 1e-3, "rmsprop": 1e-3}


@pytest.mark.slow
@pytest.mark.parametrize("config", RATES)
@pytest.mark.parametrize(("factor", "cause"), [(300, "too high"), (0.01, "too low")])
def test_a_rate_far_off_is_named_as_the_cause(config: str, factor: float, cause: str) -> None:
    sentences = found(f"--config={config}", f"--model.optimizer.lr={RATES[config] * factor}")
    assert any(f"learning rate {middle} {cause}" in each for each in sentences for middle in ("that is", "may be"))


@pytest.mark.parametrize("config", ["sgd_momentum", "rmsprop"])
def test_a_healthy_run_has_none(config: str) -> None:
    assert found(f"--config={config}") == []


@pytest.mark.slow
@pytest.mark.parametrize("config", RATES)
@pytest.mark.parametrize("seed", range(5))
def test_twenty_healthy_runs_have_none(config: str, seed: int) -> None:
    assert found(f"--config={config}", f"--seed_everything={seed}") == []
