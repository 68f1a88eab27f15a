"""The largest eigenvalue of the Hessian, found by products with vectors.

Any network that autograd can differentiate twice will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
# Where rounding decides: a direction shorter than this share of the residual says nothing.
_TINY = 1e-7


class Eigenvalue(NamedTuple):
    """An eigenvalue, and how well it is known.

    Attributes:
        value: λ.
        residual: ‖Hv − λv‖ / |λ| of its vector of length 1. Some eigenvalue lies within residual · |λ| of λ.
        products: how many products with the matrix it took.
    """

    value: float
    residual: float
    products: int


def hessian_product(loss: Tensor, parameters: Sequence[Tensor]) -> Product:
    """Return the function v → Hv of flat vectors ``[P]``.

    The loss's graph is kept as long as the function is.

    >>> weights = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> hessian_product((weights**2 * torch.tensor([1.0, 3.0])).sum(), [weights])(torch.tensor([1.0, 1.0]))
    tensor([2., 6.])

    Args:
        loss: a scalar that depends on the parameters.
        parameters: P values in all.

    Raises:
        RuntimeError: at the first product, where the gradient has no derivative of its own.
    """
    gradients = torch.autograd.grad(loss, list(parameters), create_graph=True, allow_unused=True)
    known = [(g, p) for g, p in zip(gradients, parameters, strict=True) if g is not None and g.requires_grad]
    sizes = [parameter.numel() for parameter in parameters]
    used = {id(parameter) for _, parameter in known}

    def product(vector: Tensor) -> Tensor:
        parts = [part.view_as(p).to(p.dtype) for part, p in zip(torch.split(vector, sizes), parameters, strict=True)]
        if not known:
            return torch.zeros_like(vector)
        along = [part for part, p in zip(parts, parameters, strict=True) if id(p) in used]
        found = torch.autograd.grad(
            [g for g, _ in known], list(parameters), along, retain_graph=True, allow_unused=True
        )
        if all(one is None for one in found):
            raise RuntimeError("some part of the network can be differentiated once only")
        flat = [torch.zeros_like(p) if one is None else one for one, p in zip(found, parameters, strict=True)]
        return torch.cat([one.detach().flatten() for one in flat]).to(vector.dtype)

    return product


def largest_eigenvalue(product: Product, start: Tensor, *, tolerance: float = 1e-3, most: int = 100) -> Eigenvalue:
    """Return the largest eigenvalue of a symmetric matrix.

    Each round looks for the best vector among all combinations of the present one, its residual and the last
    direction (Knyazev 2001, LOBPCG, with one vector and no preconditioner). It holds six vectors, however many rounds
    it takes, and converges about as fast as Lanczos.

    >>> round(largest_eigenvalue(lambda v: v * torch.tensor([1.0, 2.0, 5.0]), torch.ones(3)).value, 4)
    5.0

    Args:
        product: v → Hv of flat vectors ``[P]``.
        start: ``[P]``, not zero; a random one.
        tolerance: the residual that is enough.
        most: products at most.
    """
    basis = [start / start.norm()]
    images = [product(basis[0])]
    value, residual, products = images[0] @ basis[0], torch.inf, 1
    while True:
        rest = images[0] - value * basis[0]
        size = float(rest.norm())
        residual = size / max(abs(float(value)), 1e-30)
        if residual <= tolerance or products >= most or size == 0:
            return Eigenvalue(float(value), residual, products)
        ahead = rest / size
        products += 1
        kept, kept_images = [basis[0]], [images[0]]
        for vector, image in ((ahead, product(ahead)), *zip(basis[1:], images[1:], strict=True)):
            new = _orthonormal(vector, image, kept, kept_images)
            if new is not None:
                kept.append(new[0])
                kept_images.append(new[1])
        if len(kept) == 1:
            return Eigenvalue(float(value), residual, products)
        value, basis, images = _best_of(torch.stack(kept), torch.stack(kept_images))


def _orthonormal(
    vector: Tensor, image: Tensor, basis: Sequence[Tensor], images: Sequence[Tensor]
) -> tuple[Tensor, Tensor] | None:
    """Return a vector made orthogonal to a basis, of length 1, and its image.

    It is None where nothing is left of it.
    """
    before = float(vector.norm())
    # Twice: once leaves rounding errors that the images would inherit.
    for _ in range(2):
        for other, other_image in zip(basis, images, strict=True):
            share = vector @ other
            vector, image = vector - share * other, image - share * other_image
    length = float(vector.norm())
    return (vector / length, image / length) if length > _TINY * before else None


def _best_of(basis: Tensor, images: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the best vector of a space ``[k, P]``, and the direction in which it was found."""
    inner = basis @ images.T
    values, vectors = torch.linalg.eigh((inner + inner.T).cpu().double() / 2)
    best = vectors[:, -1].to(basis)
    new, new_image = best @ basis, best @ images
    length = new.norm()
    direction = best.clone()
    direction[0] = 0
    return (
        values[-1].to(basis),
        [new / length, direction @ basis],
        [new_image / length, direction @ images],
    )
