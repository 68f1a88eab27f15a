"""How gradients and updates are spread over the layers.

Everything is measured around one step: the weights before it, the gradients that it uses, the weights after it.
Tensors of one layer are given together. A result is a scalar tensor on the device of its layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of all values together.

    >>> norm([torch.tensor([3.0]), torch.tensor([[4.0]])]).item()
    5.0
    """
    # In half precision the norm itself may be too large. torch's get_total_norm takes twice as long on a CPU.
    norms = [
        torch.linalg.vector_norm(one.detach(), dtype=torch.float32 if one.dtype.itemsize < 4 else None)
        for one in tensors
    ]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def update_ratio(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """Return how far a step moves the weights, as a share of their size: ‖after − before‖ / ‖before‖.

    About 1e-3 is healthy. It is NaN for weights that are all zero.

    >>> round(update_ratio([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 4.5])]).item(), 3)
    0.1
    """
    size = norm(before)
    moved = norm([new.detach() - old for new, old in zip(after, before, strict=True)])
    return torch.where(size > 0, moved / size, torch.nan)


def lost_digits(gradients: Sequence[Tensor], before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """Return the share of weights that have a gradient and that the step leaves as they were.

    In 32 bits it is about 0. In half precision an update that is smaller than a weight's last digit is lost. It is NaN
    where no weight has a gradient.

    >>> lost_digits([torch.tensor([1.0, 0.0])], [torch.tensor([2.0, 2.0])], [torch.tensor([2.0, 2.0])]).item()
    1.0
    """
    pushed = sum(torch.count_nonzero(gradient) for gradient in gradients)
    still = sum(
        torch.count_nonzero((gradient != 0) & (new.detach() == old))
        for gradient, old, new in zip(gradients, before, after, strict=True)
    )
    return torch.as_tensor(still) / torch.as_tensor(pushed)
