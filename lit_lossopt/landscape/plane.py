"""Planes and lines in the space of a network's weights.

Sources: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets" (principal components of a path, filter
normalisation); Goodfellow et al. 2015, "Qualitatively characterizing neural network optimization problems" (lines).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.trajectory import Weights
from lit_lossopt.landscape.trajectory_files import Trajectory

Floats = NDArray[np.float64]
# Numbers that are looked at in all snapshots at once: 32 MB.
_NUMBERS = 1 << 22


@dataclass(frozen=True, eq=False)
class Plane:
    """Weights that one or two numbers choose: ``origin + x · axes[0] + y · axes[1]``.

    Attributes:
        origin: the weights at (0, 0), and whatever else the network's state has.
        axes: one or two directions; tensors that they lack stay as they are.
    """

    origin: Weights
    axes: tuple[Weights, ...]

    def at(self, *place: float) -> dict[str, Tensor]:
        """Return the weights at a place.

        >>> one = torch.ones(1)
        >>> Plane({"w": one}, ({"w": one}, {"w": 10 * one})).at(1.0, 2.0)["w"]
        tensor([22.])
        """
        weights = dict(self.origin)
        for along, axis in zip(place, self.axes, strict=True):
            for name, direction in axis.items():
                weights[name] = weights[name] + along * direction
        return weights


class Projection(NamedTuple):
    """Where the snapshots of one path lie.

    Attributes:
        places: ``[n, 2]``, their coordinates in the plane, in units of weight space.
        distances: ``[n]``, how far each is from the plane.
        moved: ``[n]``, how far each is from the start.
    """

    places: Floats
    distances: Floats
    moved: Floats

    @property
    def share(self) -> float:
        """The share of the squared distances from the start that lies in the plane; NaN where nothing moved."""
        total = float(np.sum(self.moved**2))
        return 1 - float(np.sum(self.distances**2)) / total if total > 0 else float("nan")


def explained(projections: Sequence[Projection]) -> float:
    """Return the share of what the paths moved that lies in the plane, in the mean over the paths.

    >>> flat = Projection(np.array([[3.0, 0.0]]), np.array([4.0]), np.array([5.0]))
    >>> round(explained([flat]), 2)
    0.36
    """
    shares = [one.share for one in projections if one.share == one.share]
    return sum(shares) / len(shares) if shares else float("nan")


def principal_plane(walks: Sequence[Trajectory], trained: Sequence[str]) -> tuple[Plane, list[Projection]]:
    """Return the plane through the common start that holds most of what the paths moved.

    Its axes are the first two principal components of all snapshots about the start, of length 1. Every path counts
    alike, however far it went: its squared distances from the start are divided by their sum. So no other plane through
    the start has a larger ``explained``.

    Args:
        walks: with the same start.
        trained: names of the tensors that count; others, such as running statistics, do not.

    Raises:
        UserError: the snapshots lie on a line.
    """
    total = sum((rows @ rows.T for _, rows in _moves(walks, trained)), torch.zeros((), dtype=torch.float64))
    products: Floats = total.numpy()
    weights = _weights(walks, np.diag(products))
    # By torch, as numpy's threads are not those that were asked for.
    values, vectors = (
        part.numpy() for part in torch.linalg.eigh(torch.from_numpy(products * np.outer(weights, weights)))
    )
    sizes = np.sqrt(np.clip(values[-1:-3:-1], 0, None))
    if len(values) < 2 or sizes[-1] <= 1e-6 * sizes[0]:
        raise UserError(
            "landscape: the snapshots lie on one line, so they give no plane. Take more of them, such as "
            "--diagnostics=trajectory@spread:40"
        )
    # An axis is a combination of the moves, and a place is the product of a move with an axis.
    shares = weights[:, None] * vectors[:, -1:-3:-1] / sizes
    places = products @ shares
    signs = _signs(places)
    places, moved = places * signs, np.sqrt(np.clip(np.diag(products), 0, None))
    distances = np.sqrt(np.clip(moved**2 - np.sum(places**2, axis=1), 0, None))
    return Plane(walks[0].start, _combined(walks, trained, shares * signs)), _by_walk(walks, places, distances, moved)


def random_plane(weights: Weights, filters: Sequence[str], seed: int) -> Plane:
    """Return a plane along two random directions that are as large as the weights.

    Each filter, which is a row of a weight, gets the norm of the filter at the origin. All else stays as it is, such as
    biases and the weights of norms (Li et al. 2018).

    Args:
        weights: in the middle.
        filters: names of the tensors that directions have, of two or more dimensions.
        seed: of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    axes = []
    for _ in range(2):
        drawn = {name: torch.randn(weights[name].shape, generator=generator) for name in filters}
        axes.append({name: filter_normalised(drawn[name], weights[name].float()) for name in filters})
    return Plane(weights, tuple(axes))


def filter_normalised(direction: Tensor, weight: Tensor) -> Tensor:
    """Return a direction whose rows have the norms of the weight's rows.

    >>> filter_normalised(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 10.0]]))
    tensor([[6., 8.]])

    Args:
        direction: ``[rows, …]``.
        weight: of the same shape.
    """
    shape = (-1, *[1] * (weight.ndim - 1))
    own = direction.flatten(1).norm(dim=1).clamp_min(1e-12).view(shape)
    scale: Tensor = weight.flatten(1).norm(dim=1).view(shape) / own.to(weight)
    return direction.to(weight) * scale


def line_between(first: Weights, second: Weights, trained: Sequence[str]) -> Plane:
    """Return the straight line that is the first weights at 0 and the second at 1.

    Raises:
        UserError: they belong to different networks.
    """
    if any(name not in second or second[name].shape != first[name].shape for name in trained):
        raise UserError("landscape --line: the two runs have different networks, so no line joins them")
    return Plane(first, ({name: second[name].float() - first[name].float() for name in trained},))


def _moves(walks: Sequence[Trajectory], trained: Sequence[str]) -> Iterator[tuple[tuple[str, slice], Tensor]]:
    """Yield parts of how far all snapshots are from the start, ``[snapshots, columns]``, each with its place."""
    columns = max(256, _NUMBERS // sum(map(len, walks)))
    for name in trained:
        for first in range(0, walks[0].start[name].numel(), columns):
            part = slice(first, first + columns)
            rows = [_move(content, walk.start, name, part) for walk in walks for content in walk.contents]
            yield (name, part), torch.stack(rows).double()


def _move(content: Mapping[str, Any], start: Weights, name: str, part: slice) -> Tensor:
    moved: Tensor | None = content.get("moved", {}).get(name)
    if moved is not None:
        return moved.flatten()[part].float() * float(content["unit"][name])
    whole: Tensor = content.get("whole", content)[name]
    return whole.flatten()[part].float() - start[name].flatten()[part].float()


def _combined(walks: Sequence[Trajectory], trained: Sequence[str], shares: Floats) -> tuple[Weights, ...]:
    """Return combinations of all moves, one for each column of ``shares [snapshots, 2]``."""
    axes = tuple({name: torch.empty(walks[0].start[name].numel()) for name in trained} for _ in range(shares.shape[1]))
    for (name, part), rows in _moves(walks, trained):
        for axis, combined in zip(axes, torch.from_numpy(shares.T.copy()) @ rows, strict=True):
            axis[name][part] = combined.float()
    return tuple({name: axis[name].view(walks[0].start[name].shape) for name in trained} for axis in axes)


def _weights(walks: Sequence[Trajectory], squares: Floats) -> Floats:
    """Return what the moves are multiplied by, so that the squares of each path have the sum 1 ``[snapshots]``."""
    ends = np.cumsum([len(walk) for walk in walks])[:-1]
    totals = [np.full(len(part), part.sum()) for part in np.split(squares, ends)]
    total: Floats = np.concatenate(totals)
    return np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0)


def _signs(places: Floats) -> Floats:
    """Return the signs with which most of the paths lie on the positive side: the sign of an eigenvector is open."""
    signs = np.sign(places.sum(axis=0))
    return np.where(signs == 0, 1.0, signs)


def _by_walk(walks: Sequence[Trajectory], places: Floats, distances: Floats, moved: Floats) -> list[Projection]:
    ends = np.cumsum([len(walk) for walk in walks])[:-1]
    parts = (np.split(values, ends) for values in (places, distances, moved))
    return [Projection(*each) for each in zip(*parts, strict=True)]
