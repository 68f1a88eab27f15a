"""What is trained on both sides, and which known differences touch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lit_lossopt.keras_twin.clip import Clip
from lit_lossopt.keras_twin.explaining.differences import (
    CLIP,
    DIFFERENCES,
    FORM,
    LOSS,
    NETWORK,
    SETTING,
    Difference,
)
from lit_lossopt.networks.mini_cnn import MiniCNN

# Differences that exclude each other: a person writes one or the other.
_DECOUPLED, _HALF = "coupled-decay", "half"
# Not there by default: Keras finds the logits behind a last softmax.
_PROBABILITIES = "probabilities"
_FROM_LOGITS = ("CrossEntropyLoss", "BCEWithLogitsLoss")


@dataclass(frozen=True)
class Experiment:
    """A training, the same on both sides but for what is switched.

    Attributes:
        network: with its initial weights, in double precision and without dropout.
        criterion: the loss.
        optimizer: name of the class in torch.
        settings: of its parameter group.
        given: settings that the config names. What it leaves open has each framework's default.
        decay_biases: whether weight decay acts on biases.
        clip: of torch's Trainer.
        batches: images ``[N, C, H, W]`` float64 and labels of each step.
        rates: torch's learning rate at each step.
    """

    network: MiniCNN
    criterion: nn.Module
    optimizer: str
    settings: Mapping[str, Any]
    given: frozenset[str]
    decay_biases: bool
    clip: Clip | None
    batches: Sequence[tuple[Tensor, Tensor]]
    rates: Sequence[float]

    @property
    def decay(self) -> float:
        """The weight decay."""
        return float(self.settings.get("weight_decay") or 0.0)


def touching(experiment: Experiment) -> list[Difference]:
    """Return the known differences that touch an experiment, as the frameworks are by default."""
    return [one for one in possible(experiment) if one.name not in (_HALF, _PROBABILITIES)]


def possible(experiment: Experiment) -> list[Difference]:
    """Return all known differences that can be switched in an experiment."""
    return [one for one in DIFFERENCES if _touches(one, experiment)]


def _touches(one: Difference, experiment: Experiment) -> bool:
    name = experiment.optimizer
    if one.kind == SETTING:
        setting = one.values.get(name, ("", None, None))[0]
        return bool(setting) and setting not in experiment.given
    if one.kind == FORM:
        return name in one.optimizers and _form_matters(one.name, experiment)
    if one.kind == LOSS:
        smoothed = bool(getattr(experiment.criterion, "label_smoothing", 0.0))
        return type(experiment.criterion).__name__ in _FROM_LOGITS and not smoothed
    return one.kind == NETWORK or (one.kind == CLIP and experiment.clip is not None and experiment.clip.by == "norm")


def _form_matters(form: str, experiment: Experiment) -> bool:
    if form in (_DECOUPLED, _HALF):
        return experiment.decay > 0 and not experiment.settings.get("decoupled_weight_decay", False)
    if form == "place-of-rate":
        return bool(experiment.settings.get("momentum")) and len(set(experiment.rates)) > 1
    return True
