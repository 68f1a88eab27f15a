"""Keras' own optimizers, with the settings of one in torch.

To add one, write a row of ``COUNTERPARTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lit_lossopt.core.errors import UserError
from lit_lossopt.keras_twin.clip import Clip

Settings = Mapping[str, Any]
# Of a torch optimizer: how its weight decay acts.
COUPLED, DECOUPLED = "coupled", "decoupled"
_BETAS = {"beta_1": lambda group: group["betas"][0], "beta_2": lambda group: group["betas"][1]}


@dataclass(frozen=True)
class Counterpart:
    """An optimizer in Keras that follows the idea of one in torch.

    Attributes:
        name: of the class in ``keras.optimizers``.
        arguments: name in Keras, and what it is in terms of torch's settings.
        decay: how torch's weight decay acts, ``coupled`` with the gradient (L2) or ``decoupled`` from it.
        only: settings in torch that must have these values, because Keras has none like them.
    """

    name: str
    arguments: Mapping[str, str | Callable[[Settings], Any]]
    decay: str = COUPLED
    only: Mapping[str, Any] | None = None


# Name in torch → counterpart. A setting that torch has and no row names is one of speed, not of the rule.
COUNTERPARTS: Mapping[str, Counterpart] = {
    "SGD": Counterpart("SGD", {"momentum": "momentum", "nesterov": "nesterov"}, only={"dampening": 0}),
    "SGDW": Counterpart("SGD", {"momentum": "momentum", "nesterov": "nesterov"}, DECOUPLED, {"dampening": 0}),
    "Adam": Counterpart("Adam", {**_BETAS, "epsilon": "eps", "amsgrad": "amsgrad"}),
    "AdamW": Counterpart("AdamW", {**_BETAS, "epsilon": "eps", "amsgrad": "amsgrad"}, DECOUPLED),
    "RMSprop": Counterpart(
        "RMSprop", {"rho": "alpha", "epsilon": "eps", "momentum": "momentum", "centered": "centered"}
    ),
    # Keras' momentum warms up by another number, which is none of its arguments.
    "NAdam": Counterpart("Nadam", {**_BETAS, "epsilon": "eps"}, only={"momentum_decay": 4e-3}),
    "Adagrad": Counterpart(
        "Adagrad",
        {"initial_accumulator_value": "initial_accumulator_value", "epsilon": "eps"},
        only={"lr_decay": 0},
    ),
    "Adadelta": Counterpart("Adadelta", {"rho": "rho", "epsilon": "eps"}),
    "Adamax": Counterpart("Adamax", {**_BETAS, "epsilon": "eps"}),
}


def counterpart_of(name: str, settings: Settings, *, by_torch: bool = False) -> Counterpart:
    """Return the counterpart of an optimizer in torch.

    >>> counterpart_of("NAdam", {}).name
    'Nadam'

    Args:
        name: of the class in torch.
        settings: of its parameter group.
        by_torch: whether torch's rule is taken, which knows all settings.

    Raises:
        UserError: Keras has none, or none with these settings.
    """
    row = COUNTERPARTS.get(name)
    if row is None:
        raise UserError(
            f"twin: model.optimizer={name}: no counterpart in Keras; there are those of {', '.join(COUNTERPARTS)}"
        )
    limits = {} if by_torch else {"maximize": False, **(row.only or {})}
    for key, value in limits.items():
        if settings.get(key, value) != value:
            raise UserError(
                f"twin: model.optimizer.{key}={settings[key]}: Keras' {row.name} has nothing like it; leave it at "
                f"{value}"
            )
    return row


def decays_coupled(name: str, settings: Settings) -> bool:
    """Return whether an optimizer's weight decay acts through the gradient (L2).

    >>> decays_coupled("Adam", {}), decays_coupled("NAdam", {"decoupled_weight_decay": True})
    (True, False)
    """
    decoupled = COUNTERPARTS[name].decay == DECOUPLED or settings.get("decoupled_weight_decay", False)
    return not decoupled


def matched_arguments(name: str, settings: Settings) -> dict[str, Any]:
    """Return what makes Keras' optimizer as near to one in torch as its arguments allow.

    Weight decay that torch couples with the gradient is not among them. In Keras it is a regularizer of the layers.

    >>> matched_arguments("Adam", {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False})["epsilon"]
    1e-08

    Raises:
        UserError: Keras has no such optimizer.
    """
    row = counterpart_of(name, settings)
    given = {
        key: settings[source] if isinstance(source, str) else source(settings) for key, source in row.arguments.items()
    }
    # Keras refuses whole numbers and tensors.
    arguments = {key: value if isinstance(value, bool) else float(value) for key, value in given.items()}
    decay = 0.0 if decays_coupled(name, settings) else float(settings.get("weight_decay") or 0.0)
    return {"learning_rate": float(settings["lr"]), **arguments, "weight_decay": decay or None}


@dataclass(frozen=True)
class Update:
    """How Keras updates weights.

    Attributes:
        optimizer: of Keras.
        kernel_decay: λ of ½ λ w² that is added to the loss for each kernel.
        bias_decay: the same for each bias.
        clip: what is done with the gradients of the loss; None: nothing.
    """

    optimizer: Any
    kernel_decay: float = 0.0
    bias_decay: float = 0.0
    clip: Callable[[list[Any]], list[Any]] | None = None


def matched(name: str, settings: Settings, *, decay_biases: bool = True, clip: Clip | None = None) -> Update:
    """Return the update of Keras' own optimizer with torch's settings.

    Args:
        name: of the class in torch.
        settings: of its parameter group.
        decay_biases: whether weight decay acts on biases.
        clip: of torch's Trainer.
    """
    optimizer = keras_optimizer(name, matched_arguments(name, settings))
    if not decay_biases:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    decay = float(settings.get("weight_decay") or 0.0) if decays_coupled(name, settings) else 0.0
    # Not by the optimizer's own arguments: they would clip the gradients of the regularizers, too.
    return Update(optimizer, decay, decay if decay_biases else 0.0, clip)


def by_torch_rule(name: str, settings: Settings, *, decay_biases: bool = True, clip: Clip | None = None) -> Update:
    """Return torch's update in Keras. The arguments are those of ``matched``."""
    from lit_lossopt.keras_twin.torch_rules import torch_rule

    counterpart_of(name, settings, by_torch=True)
    return Update(torch_rule(name, settings, decay_biases=decay_biases), clip=clip)


def keras_optimizer(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return a Keras optimizer.

    Args:
        name: of the class in torch that it is the counterpart of.
        arguments: in Keras' own words.
    """
    import keras

    return getattr(keras.optimizers, COUNTERPARTS[name].name)(**arguments)
