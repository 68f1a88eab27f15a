"""Snapshots of a network's weights along a training, in half the memory.

What is kept of a tensor is how far it has moved from where the training began, as float16 numbers in units of the
largest move. The rounding is at most 1/2048 of a move, so it shrinks with the way that was gone. Whatever is no float32
tensor, and whatever is not finite, is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
_WHOLE, _MOVED, _UNIT = "whole", "moved", "unit"


def encoded(weights: Weights, start: Weights) -> dict[str, Any]:
    """Return what a file of a snapshot holds.

    >>> encoded({"w": torch.tensor([1.5])}, {"w": torch.tensor([1.0])})["moved"]
    {'w': tensor([1.], dtype=torch.float16)}

    Args:
        weights: of the network, by name.
        start: those that the training began with. Empty: every tensor is kept as it is.
    """
    content: dict[str, Any] = {_WHOLE: {}, _MOVED: {}, _UNIT: {}}
    for name, value in weights.items():
        move = _move(value, start.get(name))
        if move is None:
            content[_WHOLE][name] = value.detach().cpu().clone()
        else:
            unit = float(move.abs().max()) or 1.0
            content[_MOVED][name], content[_UNIT][name] = (move / unit).half().cpu(), unit
    return content


def decoded(content: Mapping[str, Any], start: Weights) -> dict[str, Tensor]:
    """Return the weights of a snapshot.

    >>> start = {"w": torch.tensor([1.0])}
    >>> decoded(encoded({"w": torch.tensor([1.5])}, start), start)
    {'w': tensor([1.5000])}

    Args:
        content: of its file.
        start: the weights that the training began with.

    Raises:
        KeyError: ``start`` lacks a tensor.
    """
    if _MOVED not in content:
        # The first files of this kind were state dicts.
        return dict(content)
    moved = {name: start[name] + move.float() * content[_UNIT][name] for name, move in content[_MOVED].items()}
    return {**content[_WHOLE], **moved}


def _move(value: Tensor, start: Tensor | None) -> Tensor | None:
    """Return how far a tensor has moved, or None if it has to be kept whole."""
    if start is None or value.dtype != torch.float32 or not value.numel():
        return None
    move = value.detach() - start.to(value.device)
    return move if bool(move.isfinite().all()) else None
