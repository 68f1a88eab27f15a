"""What losses take in place of class labels, and which probabilities their outputs imply.

Contracts are put together from these functions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def class_indices(labels: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001  # one signature for all
    """Return labels ``[N]`` int64 as they are.

    >>> class_indices(torch.tensor([2, 0]), torch.zeros(2, 3))
    tensor([2, 0])
    """
    return labels


def one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return one-hot rows ``[N, M]`` in the outputs' dtype.

    >>> one_hot(torch.tensor([2, 0]), torch.zeros(2, 3))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    return functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)


def binary_or_one_hot(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return ``[N, 1]`` floats 0 or 1 for a single logit, otherwise one-hot rows ``[N, M]``.

    >>> binary_or_one_hot(torch.tensor([1, 0]), torch.zeros(2, 1))
    tensor([[1.],
            [0.]])
    """
    if outputs.shape[1] == 1:
        return labels.to(outputs.dtype).unsqueeze(1)
    return one_hot(labels, outputs)


def soft(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return class probabilities ``[N, K]`` in the outputs' dtype.

    For a single logit they are those of the second class, ``[N, 1]``.

    >>> soft(torch.tensor([[0.25, 0.75]]), torch.zeros(1, 1))
    tensor([[0.7500]])
    """
    return (labels[:, 1:] if outputs.shape[1] == 1 else labels).to(outputs.dtype)


def plus_minus_one(labels: Tensor, outputs: Tensor) -> Tensor:
    """Return +1 for the class and −1 for the others, in the outputs' dtype.

    For a single output it is ``[N, 1]``, with +1 for the second class.

    >>> plus_minus_one(torch.tensor([1]), torch.zeros(1, 3))
    tensor([[-1.,  1., -1.]])
    """
    return binary_or_one_hot(labels, outputs) * 2 - 1


def one_per_class(num_classes: int) -> int:
    """Return K.

    >>> one_per_class(10)
    10
    """
    return num_classes


def one_if_binary(num_classes: int) -> int:
    """Return 1 for two classes, otherwise K.

    >>> one_if_binary(2), one_if_binary(10)
    (1, 10)
    """
    return 1 if num_classes == 2 else num_classes


def softmax(outputs: Tensor) -> Tensor:
    """Return softmax probabilities ``[N, K]``.

    >>> softmax(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return outputs.softmax(dim=1)


def sigmoid_normalised(outputs: Tensor) -> Tensor:
    """Return sigmoids, normalised over the classes (one-vs-rest).

    For a single logit the result is (1 − p, p).

    >>> sigmoid_normalised(torch.zeros(1, 1)), sigmoid_normalised(torch.zeros(1, 4))
    (tensor([[0.5000, 0.5000]]), tensor([[0.2500, 0.2500, 0.2500, 0.2500]]))
    """
    if outputs.shape[1] == 1:
        return torch.cat([torch.sigmoid(-outputs), torch.sigmoid(outputs)], dim=1)
    return _normalised(torch.sigmoid(outputs))


def clipped_normalised(outputs: Tensor) -> Tensor:
    """Return outputs clipped to [0, 1] and normalised.

    Where all are clipped to zero, the classes are equally likely.

    >>> clipped_normalised(torch.tensor([[-1.0, 3.0], [-1.0, -2.0]]))
    tensor([[0.0000, 1.0000],
            [0.5000, 0.5000]])
    """
    return _normalised(outputs.clamp(0, 1))


def log_softmax(outputs: Tensor) -> Tensor:
    """Return log-probabilities ``[N, K]``.

    >>> log_softmax(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """
    return outputs.log_softmax(dim=1)


def predicted_classes(outputs: Tensor) -> Tensor:
    """Return the predicted class ``[N]`` int64.

    It is the class of the largest output. A single logit decides by its sign.

    >>> predicted_classes(torch.tensor([[0.1, 2.0, -1.0]])), predicted_classes(torch.tensor([[-0.3], [0.3]]))
    (tensor([1]), tensor([0, 1]))
    """
    return (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)


def _normalised(scores: Tensor) -> Tensor:
    total = scores.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scores / total, 1 / scores.shape[1])
