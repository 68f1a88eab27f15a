"""What a step does to the loss of its own batch.

Source: Schneider, Dangel, Hennig 2021, "Cockpit: A Practical Debugging Tool for the Training of Deep Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Steps that go uphill from the start, or that end far beyond the minimum, count as so far beyond it.
MOST = 10.0


def alpha(losses: tuple[Tensor, Tensor], slopes: tuple[Tensor, Tensor], length: Tensor) -> Tensor:
    """Return where a step ends, relative to the minimum along it.

    A parabola q(τ) = μ0 + μ1 τ + μ2 τ² is fitted along the step, with equal weights, to the loss and its slope at both
    ends. Its minimum lies at τ* = −μ1 / (2 μ2), and the result is length / τ* − 1. So −1 is no move, 0 the minimum,
    above 0 beyond it, and 1 the same height on the far side. Where the parabola has no minimum (μ2 ≤ 0) there is none
    to pass, and the result is −1. A step that goes uphill from its start has left the minimum behind it: 10, which is
    also the largest value. It is NaN where a loss or the step is not finite.

    >>> half = torch.tensor(0.5)  # of w² / 2, from 1 over 0 to -1
    >>> alpha((half, half), (torch.tensor(-1.0), torch.tensor(1.0)), torch.tensor(2.0)).item()
    1.0

    Args:
        losses: of the batch, before and after the step.
        slopes: of the loss along the step, before and after it, for each unit of length.
        length: ‖Δw‖ of the step.
    """
    # MPS has no 64 bits.
    wide = torch.float32 if length.device.type == "mps" else torch.float64
    t = length.to(wide)
    one, zero = torch.ones_like(t), torch.zeros_like(t)
    rows = [[one, zero, zero], [one, t, t * t], [zero, one, zero], [zero, one, 2 * t]]
    design = torch.stack([torch.stack(row) for row in rows])
    seen = torch.stack([losses[0], losses[1], slopes[0], slopes[1]]).to(wide)
    # By the normal equations: three unknowns, and a batch of them needs no driver of LAPACK on every device.
    scale = torch.stack([one, t.clamp_min(1e-15), (t * t).clamp_min(1e-30)])
    scaled = design / scale
    mu = torch.linalg.solve_ex(scaled.T @ scaled, scaled.T @ seen)[0] / scale
    _, slope, curvature = mu
    beyond = (2 * curvature * t / -slope - 1).clamp_max(MOST)
    uphill = torch.full_like(t, MOST)
    found = torch.where(curvature <= 0, -one, torch.where(slope >= 0, uphill, beyond))
    return torch.where(t == 0, -one, found)


def slope_along(gradients: Sequence[Tensor], update: Sequence[Tensor], length: Tensor) -> Tensor:
    """Return the slope of the loss along an update: g·Δw / ‖Δw‖.

    It is 0 for an update that moves nothing.
    """
    product = dot(gradients, update)
    return torch.where(length > 0, product / length, torch.zeros_like(product))


def cosine(update: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """Return the cosine between two consecutive updates.

    It describes the optimizer and says nothing of stability: updates of plain SGD point against each other far more
    often than those of momentum. It is NaN where one of them moves nothing.

    >>> cosine([torch.tensor([1.0, 0.0])], [torch.tensor([-2.0, 0.0])]).item()
    -1.0
    """
    lengths = dot(update, update).sqrt() * dot(before, before).sqrt()
    return dot(update, before) / lengths


def dot(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """Return the scalar product of two lists of tensors, in 32 bits at least.

    >>> dot([torch.tensor([1.0, 2.0])], [torch.tensor([3.0, 4.0])]).item()
    11.0
    """
    pairs = zip(left, right, strict=True)
    return torch.stack([(a.detach().flatten().float() @ b.detach().flatten().float()) for a, b in pairs]).sum()
