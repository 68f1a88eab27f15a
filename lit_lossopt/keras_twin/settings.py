"""What only the command ``twin`` can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TwinSettings:
    """How the twin follows torch.

    Attributes:
        rule: ``keras`` takes Keras' own optimizer, with the settings of the config. ``torch`` takes torch's update rule
            in Keras, which then goes the same way up to rounding.
        dropout: ``own`` draws dropout with TensorFlow. ``shared`` takes the masks that torch would draw.
    """

    rule: Literal["keras", "torch"] = "keras"
    dropout: Literal["own", "shared"] = "own"
