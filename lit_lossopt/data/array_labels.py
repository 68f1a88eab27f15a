"""Labels that are arrays already.

What can be read as one class for each image is accepted. Everything else is refused, with a way out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_lossopt.core.errors import UserError, one_line

_NUMBERED = "numpy.unique(labels, return_inverse=True)[1] numbers them 0 … K − 1"
_TYPED_IN_PYTHON = "tensors or numpy arrays are needed ({}); for a file: --data=ArrayFileDataModule --data.file=….npz"


def class_labels(name: str, labels: Any, count: int) -> Tensor:
    """Return labels as ``[N]`` int64.

    Integers, booleans and whole floats are accepted, as ``[N]`` or ``[N, 1]``.

    >>> class_labels("data.labels", [0.0, 2.0, 1.0], 3)
    tensor([0, 2, 1])

    Args:
        name: name of the setting, for messages.
        labels: a tensor, an array or a list.
        count: number of images.

    Raises:
        UserError: an image has several classes or none, a label is no number, or the number of labels is wrong.
    """
    values = _as_array(name, labels)
    if values.ndim > 1 and values.size == count == len(values):
        values = values.reshape(count)
    if values.ndim > 1 and len(values) == count:
        raise UserError(f"{name}: {list(values.shape)}, but each image needs one class, [{count}]; {_rows(values)}")
    if values.shape != (count,):
        raise UserError(f"{name}: {list(values.shape)}, but there are {count} images")
    return torch.from_numpy(_whole(name, values))


def check_numbering(name: str, labels: Tensor) -> int:
    """Return the number of classes K.

    Labels must be 0 … K − 1 without gaps.

    >>> check_numbering("data.labels", torch.tensor([2, 0, 1, 2]))
    3

    Raises:
        UserError: a label is negative, or some number below the largest does not occur.
    """
    present = np.unique(labels.numpy())
    lowest, highest = int(present[0]), int(present[-1])
    if lowest < 0:
        raise UserError(
            f"{name}: {lowest} … {highest}, but classes are numbered from 0; leave out images without a class, and "
            f"{_NUMBERED}"
        )
    # Not by counting up to the largest, which may be a number of twelve digits.
    if len(present) <= highest:
        missing = int((present != np.arange(len(present))).argmax())
        raise UserError(
            f"{name}: {lowest} … {highest}, but there is no image of class '{missing}'; number the classes without "
            f"gaps: {_NUMBERED}"
        )
    return len(present)


def _as_array(name: str, labels: Any) -> NDArray[Any]:
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu()
        numbers: NDArray[Any] = (labels.double() if labels.is_floating_point() else labels).numpy()
        return numbers
    try:
        values = np.asarray(labels)
        # Columns of tables often hold numbers as objects.
        return np.asarray(values.tolist()) if values.dtype.kind == "O" else values
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {_TYPED_IN_PYTHON.format(one_line(str(error), 80))}") from error


def _rows(values: NDArray[Any]) -> str:
    """Return what the rows of a matrix seem to be, with a remedy."""
    if values.ndim > 2 or values.dtype.kind not in "biuf":
        return "give one number for each image"
    numbers = np.nan_to_num(values.astype(np.float64), nan=-1.0)
    if not np.isin(numbers, (0, 1)).all():
        shares = (numbers >= 0).all() and np.allclose(numbers.sum(axis=1), 1, atol=1e-3)
        return (
            "its rows are probabilities, and the likeliest class of each is numpy.argmax(labels, 1)"
            if shares
            else "its rows are neither classes nor one-hot; give one number for each image"
        )
    marked = numbers.sum(axis=1)
    if (marked == 1).all():
        return "its rows are one-hot: numpy.argmax(labels, 1)"
    none, several = int((marked == 0).sum()), int((marked > 1).sum())
    return (
        f"its rows are multi-label ({several} images have more than one class, {none} have none), which cannot be "
        "trained here; keep the images of exactly one class, then numpy.argmax(labels, 1)"
    )


def _whole(name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return numbers as int64.

    Raises:
        UserError: they are names, fractions, or no numbers at all.
    """
    if values.dtype.kind in "USO":
        shown = one_line(repr(values.flat[0]), 40)
        raise UserError(
            f"{name}: {shown} is not a number; number the classes with names, labels = numpy.unique(labels, "
            "return_inverse=True), and give the names as class_names"
        )
    if values.dtype.kind not in "biuf":
        raise UserError(f"{name}: {values.dtype}, but class indices are integers 0 … K − 1")
    if values.dtype.kind == "f":
        unfit = ~np.isfinite(values) | (values != np.round(values)) | (np.abs(values) >= 2**53)
        if unfit.any():
            place = int(unfit.argmax())
            raise UserError(
                f"{name}: label {place} is {values[place]:g}, but class indices are integers 0 … K − 1; values "
                "cannot be predicted here, only classes, and images without a class must be left out"
            )
    if values.dtype.kind == "u" and (values > np.iinfo(np.int64).max).any():
        raise UserError(f"{name}: up to {values.max()}, but class indices are integers 0 … K − 1")
    return values.astype(np.int64)
