"""How noisy the gradient of a batch is.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lit_lossopt.diagnostics.step_geometry import dot


def noise_and_signal(first: Sequence[Tensor], second: Sequence[Tensor], batch_size: int) -> tuple[Tensor, Tensor]:
    """Return estimates of tr(Σ) and of ‖G‖² from the gradients of a batch's halves.

    G is the gradient over all data, Σ the covariance of the gradient of one example. Each estimate is unbiased and
    noisy. The gradient noise scale is the mean of the first over the mean of the second, both over several steps. A
    single ratio would be biased.

    With halves of B/2 examples the estimates of appendix A become tr(Σ) = B ‖g₁ − g₂‖² / 4 and ‖G‖² = g₁·g₂.

    >>> import torch
    >>> trace, square = noise_and_signal([torch.tensor([1.0])], [torch.tensor([3.0])], batch_size=8)
    >>> trace.item(), square.item()
    (8.0, 3.0)

    Args:
        first: gradients of the mean loss of one half.
        second: the same of the other half.
        batch_size: B, of both halves together.
    """
    apart = [a - b for a, b in zip(first, second, strict=True)]
    return batch_size * dot(apart, apart) / 4, dot(first, second)
