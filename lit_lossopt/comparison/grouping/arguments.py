"""The parameters of an optimizer or a loss, by whatever names programs give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import nan

from lit_lossopt.comparison.grouping.name_words import spelled, words_of
from lit_lossopt.comparison.grouping.settings import is_default

Settings = Mapping[str, str]

# What a choice is called, here and in other programs.
CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": ("optimizer", "opt", "optim", "optimizer_name", "opt_name", "optimizer_class"),
    "criterion": ("criterion", "loss", "loss_fn", "loss_function", "loss_name"),
}
# Words before the last part of an argument's name.
_OWNERS = {"optimizer": {"optimizer", "opt", "optim"}, "criterion": {"criterion", "loss"}}
_ANYBODY = {"args", "cfg", "config", "hp", "hparams", "model", "param", "params", "training"}
_ALIASES = {"weight_decay": {"wd"}, "eps": {"epsilon"}, "betas": {"beta_1"}}
# Arguments that change how a step is computed, and not the step.
TECHNICAL = {"capturable", "differentiable", "foreach", "fused", "maximize"}


def class_of(settings: Settings, choice: str) -> str:
    """Return the class of a choice, or an empty text.

    >>> class_of({"opt": "torch.optim.SGD", "lr": "0.1"}, "optimizer")
    'SGD'
    """
    name = class_name_of(settings, choice)
    return settings[name].rpartition(".")[2] if name else ""


def class_name_of(settings: Settings, choice: str) -> str | None:
    """Return the name of the setting that says which class a choice is."""
    return next((name for name in CHOICES[choice] if name in settings), None)


def same_class(one: str, other: str) -> bool:
    """Return True if both texts name one class.

    >>> same_class("AdamW", "adamw"), same_class("FocalLoss", "focal"), same_class("SGD", "SGDW")
    (True, True, False)
    """
    first, second = (re.sub(r"[^a-z0-9]", "", text.lower()).removesuffix("loss") for text in (one, other))
    return bool(first) and first == second


def name_of(settings: Settings, choice: str, argument: str) -> str | None:
    """Return what an argument of a choice is called among settings.

    >>> name_of({"optimizer.eps": "1", "lr_scheduler.eps": "2"}, "optimizer", "eps")
    'optimizer.eps'
    """
    return next((name for name in settings if is_argument(name, choice, argument)), None)


def is_argument(name: str, choice: str, argument: str) -> bool:
    """Return True if a setting is this argument of a choice.

    >>> is_argument("opt.wd", "optimizer", "weight_decay"), is_argument("criterion.eps", "optimizer", "eps")
    (True, False)
    """
    return spelled(name) in {argument, *_ALIASES.get(argument, ())} and _owned(name, choice)


def number(text: str) -> float:
    """Return the number that a text spells.

    Of several it is the first. It is NaN where there is none.

    >>> number("0.9"), number("[0.9, 0.999]")
    (0.9, 0.9)
    """
    found = re.match(r"[\[(\s]*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?=[\s,\])]|$)", text)
    return float(found.group(1)) if found else nan


def same_value(one: str, other: str) -> bool:
    """Return True if both texts spell one value.

    >>> same_value("0.0", "0"), same_value("False", "false"), same_value("none", "0")
    (True, True, False)
    """
    return one.lower() == other.lower() or (_is_plain(one) and _is_plain(other) and number(one) == number(other))


def says_nothing(settings: Settings, name: str) -> bool:
    """Return True if a method without this argument is the same.

    The argument has its class's default then, or is a technical one.
    """
    if spelled(name) in TECHNICAL:
        return True
    owners = [choice for choice in CHOICES if name.startswith(f"{choice}.")]
    return any(is_default(name, settings[name], choice, class_of(settings, choice)) for choice in owners)


def _owned(name: str, choice: str) -> bool:
    before = set(words_of(name)[: -len(words_of(spelled(name)))])
    return not before or bool(before & _OWNERS[choice] and not before & {"scheduler"}) or before <= _ANYBODY


def _is_plain(text: str) -> bool:
    return number(text) == number(text) and not re.search(r"[\[(,]", text)
