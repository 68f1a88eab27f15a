"""What the parser does not know by itself.

It gets our rules of YAML, and further types of arguments.
"""

from __future__ import annotations

import numbers
from typing import Any, Literal

import torch
import yaml
from jsonargparse import Namespace, _loaders_dumpers, set_dumper, set_loader
from jsonargparse.typing import register_type
from torch import Tensor

from lit_lossopt.config.merge import COMMAND_LINE
from lit_lossopt.config.strict_yaml import StrictLoader, dump_yaml, load_value
from lit_lossopt.core.paths import given_path
from lit_lossopt.optimizers.schedule_plan import LENGTHS


def register_types() -> None:
    """Teach the parser our rules of YAML and our types.

    A config may hold more than plain values.

    These are tensors, devices, plain numbers, and ``training`` as the length of a schedule.
    """
    set_loader("yaml", lambda text: load_value(text, COMMAND_LINE), exceptions=(yaml.YAMLError,))
    set_dumper("yaml", dump_yaml)
    # It reads numbers and truth values with a loader of its own, for which there is no public way.
    _loaders_dumpers.yaml_default_loader = StrictLoader  # type: ignore[assignment]  # it begins as None
    for schedule, name in LENGTHS.items():
        allowed: Any = int | Literal["training"]
        # The parser goes by annotations, and a class of ours would be another class path.
        schedule.__init__.__annotations__[name] = allowed | None if name == "total_steps" else allowed
    register_type(torch.device, deserializer=_read_device, fail_already_registered=False)
    register_type(numbers.Number, serializer=_read_number, deserializer=_read_number, fail_already_registered=False)
    register_type(Tensor, serializer=Tensor.tolist, deserializer=_read_tensor, fail_already_registered=False)


def _read_tensor(values: Any) -> Tensor:
    """Return the tensor that a list in a config means.

    Class weights are one.
    """
    if not isinstance(values, list):
        raise ValueError("expected a list of numbers")  # noqa: TRY004  # the parser expects a ValueError
    return torch.tensor(values, dtype=torch.float32)


def _read_number(value: Any) -> int | float:
    """Return a number as it is.

    torchvision's transforms ask for a ``numbers.Number``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")  # noqa: TRY004  # the parser expects a ValueError
    return value


def at_home(settings: Any) -> Any:
    """Return settings with ``~`` as the home folder.

    It stands at the beginning of a text.
    """
    if isinstance(settings, list):
        return [at_home(one) for one in settings]
    if isinstance(settings, dict | Namespace):
        for name, value in settings.items():
            settings[name] = at_home(value)
    return str(given_path(settings)) if isinstance(settings, str) and settings.startswith("~/") else settings


def _read_device(name: Any) -> torch.device:
    """Return the device of a name such as ``cuda:0``."""
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError("expected a device, as cpu or cuda:0") from error
