"""Losses of torch and their counterparts in Keras.

To add one, write a row of ``COUNTERPARTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_lossopt.core.errors import UserError
from lit_lossopt.losses import FocalLoss, HingeLoss, LossContract, SquaredHingeLoss


@dataclass(frozen=True)
class Counterpart:
    """A loss in Keras that has the value of one in torch.

    Keras computes the focal loss from probabilities that it clips at 1e-7.

    Attributes:
        name: of the class in ``keras.losses``.
        arguments: that it takes, from the loss in torch.
        only: arguments of the loss in torch that must have these values, because Keras has none like them.
        by_row: whether its targets are rows of probabilities where torch takes class indices.
        by_index: whether its targets can be class indices only.
    """

    name: str
    arguments: Callable[[Any], Mapping[str, Any]]
    only: tuple[tuple[str, Any], ...] = ()
    by_row: bool = False
    by_index: bool = False


def _smoothed(criterion: Any) -> Mapping[str, Any]:
    return {"from_logits": True, "label_smoothing": criterion.label_smoothing}


# The nearest class counts, and of those of one class the first whose ``only`` holds.
COUNTERPARTS: tuple[tuple[type[nn.Module], Counterpart], ...] = (
    (
        nn.CrossEntropyLoss,
        Counterpart(
            "SparseCategoricalCrossentropy",
            lambda _: {"from_logits": True},
            (("weight", None), ("label_smoothing", 0.0), ("ignore_index", -100)),
            by_index=True,
        ),
    ),
    (
        nn.CrossEntropyLoss,
        Counterpart("CategoricalCrossentropy", _smoothed, (("weight", None), ("ignore_index", -100)), by_row=True),
    ),
    (
        nn.BCEWithLogitsLoss,
        Counterpart("BinaryCrossentropy", lambda _: {"from_logits": True}, (("weight", None), ("pos_weight", None))),
    ),
    (nn.MSELoss, Counterpart("MeanSquaredError", lambda _: {})),
    (nn.L1Loss, Counterpart("MeanAbsoluteError", lambda _: {})),
    (nn.HuberLoss, Counterpart("Huber", lambda criterion: {"delta": criterion.delta})),
    (
        FocalLoss,
        # Its alpha, 0.25 by default, multiplies everything.
        Counterpart(
            "CategoricalFocalCrossentropy",
            lambda criterion: {"from_logits": True, "alpha": 1.0, "gamma": criterion.gamma},
            by_row=True,
        ),
    ),
    (HingeLoss, Counterpart("Hinge", lambda _: {})),
    (SquaredHingeLoss, Counterpart("SquaredHinge", lambda _: {})),
)


class KerasLoss:
    """A loss in Keras for one in torch, under the same contract.

    Args:
        criterion: the loss in torch.
        contract: what its targets are.
        dtype: of its values.
        soft: whether labels come as rows of probabilities, as those of mixed images do.

    Raises:
        UserError: Keras has no such loss.
    """

    def __init__(
        self, criterion: nn.Module, contract: LossContract, dtype: str = "float32", *, soft: bool = False
    ) -> None:
        import keras

        self.contract = contract
        self.counterpart = counterpart_of(criterion, soft=soft)
        self.dtype = torch.float64 if dtype == "float64" else torch.float32
        self._loss = getattr(keras.losses, self.counterpart.name)(**self.counterpart.arguments(criterion), dtype=dtype)

    def targets(self, labels: Tensor, outputs: int) -> NDArray[Any]:
        """Return what the loss takes for labels ``[N]``, or ``[N, K]`` where images are mixed.

        Args:
            labels: of the images.
            outputs: how many the network has.
        """
        encoded = self.contract.targets(labels, torch.zeros(len(labels), outputs, dtype=self.dtype))
        if encoded.ndim == 1 and self.counterpart.by_row:
            encoded = nn.functional.one_hot(encoded, outputs).to(self.dtype)
        array: NDArray[Any] = encoded.numpy()
        return array

    def __call__(self, targets: Any, outputs: Any) -> Any:
        """Return the mean over the batch, as a tensor of TensorFlow."""
        return self._loss(targets, outputs)


def counterpart_of(criterion: nn.Module, *, soft: bool = False) -> Counterpart:
    """Return the counterpart of a loss, for labels that are rows of probabilities if they are ``soft``.

    >>> counterpart_of(nn.BCEWithLogitsLoss()).name
    'BinaryCrossentropy'

    Raises:
        UserError: there is none.
    """
    kind = type(criterion)
    rows = [row for loss_class, row in COUNTERPARTS if loss_class is kind and not (soft and row.by_index)]
    fitting = [row for row in rows if _misfit(criterion, row) is None]
    if fitting:
        return fitting[0]
    if rows:
        name, value = _misfit(criterion, rows[-1]) or ("", "")
        raise UserError(
            f"twin: model.criterion.{name}: Keras' {rows[-1].name} has nothing like it; leave it at {value}"
        )
    known = dict.fromkeys(loss_class.__name__ for loss_class, _ in COUNTERPARTS)
    raise UserError(
        f"twin: model.criterion={kind.__name__}: no counterpart in Keras; there are those of {', '.join(known)}"
    )


def _misfit(criterion: nn.Module, row: Counterpart) -> tuple[str, Any] | None:
    return next(((name, value) for name, value in row.only if not _same(getattr(criterion, name), value)), None)


def _same(value: Any, wanted: Any) -> bool:
    return value is None if wanted is None else not isinstance(value, Tensor) and bool(np.equal(value, wanted))
