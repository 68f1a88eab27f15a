"""Clipping of gradients, as torch's Trainer does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Clip:
    """How torch's Trainer clips gradients.

    Attributes:
        limit: of the norm of all gradients, or of each value.
        by: ``norm`` or ``value``.
    """

    limit: float
    by: str = "norm"

    def __call__(self, gradients: list[Any]) -> list[Any]:
        """Return clipped gradients.

        Source: torch.nn.utils.clip_grad_norm_, which adds 1e-6 to the norm.
        """
        import tensorflow as tf

        if self.by == "value":
            return [tf.clip_by_value(gradient, -self.limit, self.limit) for gradient in gradients]
        factor = tf.minimum(self.limit / (tf.linalg.global_norm(gradients) + 1e-6), 1.0)
        return [gradient * factor for gradient in gradients]


def clip_of(limit: float | None, algorithm: str | None) -> Clip | None:
    """Return how gradients are clipped, or None.

    >>> clip_of(0.5, "value"), clip_of(0.5, None), clip_of(None, None)
    (Clip(limit=0.5, by='value'), Clip(limit=0.5, by='norm'), None)

    Args:
        limit: the Trainer's ``gradient_clip_val``.
        algorithm: its ``gradient_clip_algorithm``, an enum of texts.
    """
    return Clip(float(limit), getattr(algorithm, "value", algorithm) or "norm") if limit else None
