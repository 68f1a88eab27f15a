"""What a map of the loss shows, before anything draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.landscape.plane import Plane, Projection, explained, principal_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import Trajectory, logged_losses

Floats = NDArray[np.float64]
_NONE: Floats = np.empty(0)
# Room around the paths, in shares of their longer side.
_MARGIN = 0.14


@dataclass(frozen=True, eq=False)
class Walk:
    """One optimizer's path over the map.

    Attributes:
        name: of its arm.
        run_id: of its run.
        steps: ``[n]``, of the snapshots.
        x: ``[n]``, along the first axis.
        y: ``[n]``, along the second.
        losses: ``[n]``, at the weights that the run had.
        on_plane: ``[n]``, at their feet in the plane.
        distances: ``[n]``, from the plane.
        moved: ``[n]``, from the start.
        explained: share of its squared distances from the start that lies in the plane.
        logged_steps: ``[m]``, at which the run logged its probe loss.
        logged: ``[m]``, that loss; empty where it is of other images.
    """

    name: str
    run_id: str
    steps: Floats
    x: Floats
    y: Floats
    losses: Floats
    on_plane: Floats
    distances: Floats
    moved: Floats
    explained: float
    logged_steps: Floats = field(default_factory=lambda: _NONE)
    logged: Floats = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, eq=False)
class Scene:
    """The loss on a plane, and the paths over it.

    Attributes:
        title: experiment or run.
        loss_name: of the loss.
        images: whose mean loss it is.
        labels: of both axes.
        x: ``[nx]``.
        y: ``[ny]``.
        losses: ``[ny, nx]``, infinite or NaN where they are.
        walks: the paths; none on a random plane.
        explained: mean over the walks of theirs; NaN on a random plane.
        notes: what a reader must know.
    """

    title: str
    loss_name: str
    images: int
    labels: tuple[str, str]
    x: Floats
    y: Floats
    losses: Floats
    walks: tuple[Walk, ...] = ()
    explained: float = nan
    notes: tuple[str, ...] = ()

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest finite loss, of the map and of the walks."""
        known = np.concatenate([self.losses.ravel(), *(walk.losses for walk in self.walks)])
        known = known[np.isfinite(known)]
        return (float(known.min()), float(known.max())) if len(known) else (nan, nan)


@dataclass(frozen=True, eq=False)
class Profile:
    """The loss along the straight line between two runs.

    Attributes:
        loss_name: of the loss.
        images: whose mean loss it is.
        places: ``[n]``, 0 at the first run and 1 at the second.
        losses: ``[n]``.
        names: of the runs.
        ends: the loss of each with the running statistics that it had.
    """

    loss_name: str
    images: int
    places: Floats
    losses: Floats
    names: tuple[str, str]
    ends: tuple[float, float]

    @property
    def barrier(self) -> float:
        """How far the loss rises above the straight line between both ends (Frankle et al. 2020)."""
        between = (1 - self.places) * self.losses[0] + self.places * self.losses[-1]
        return float(np.max(self.losses - between))


def walked_plane(
    walks: Sequence[Trajectory],
    surface: LossSurface,
    points: int,
    about: Mapping[str, Any],
    tell: Callable[[int], object] = lambda _: None,
) -> Scene:
    """Return the plane through paths, with the loss on it.

    Args:
        walks: with the same start.
        surface: of their loss.
        points: along each axis.
        about: the other attributes of ``Scene``.
        tell: called with the number of points behind each path and each row.

    Raises:
        UserError: the snapshots lie on a line.
    """
    plane, projections = principal_plane(walks, surface.trained)
    shown = tuple(_walk(walk, one, plane, surface, tell) for walk, one in zip(walks, projections, strict=True))
    x, y = _extent(np.concatenate([one.places for one in projections]), points)
    losses = surface.grid(plane, x, y, tell)
    return Scene(x=x, y=y, losses=losses, walks=shown, explained=explained(projections), **about)


def _walk(
    walk: Trajectory, projection: Projection, plane: Plane, surface: LossSurface, tell: Callable[[int], object]
) -> Walk:
    logged_steps, logged = logged_losses(walk.run)
    shown = Walk(
        name=walk.name,
        run_id=walk.run.run_id,
        steps=np.asarray(walk.steps, np.float64),
        x=projection.places[:, 0],
        y=projection.places[:, 1],
        losses=np.asarray([surface.of_snapshot(walk.weights(place)) for place in range(len(walk))]),
        on_plane=surface.along(plane, projection.places.tolist()),
        distances=projection.distances,
        moved=projection.moved,
        explained=projection.share,
        logged_steps=logged_steps,
        logged=logged,
    )
    tell(2 * len(walk))
    return shown


def _extent(places: Floats, points: int) -> tuple[Floats, Floats]:
    """Return the grid's coordinates: a square around all places."""
    low, high = places.min(axis=0), places.max(axis=0)
    half = (0.5 + _MARGIN) * float((high - low).max())
    x, y = (centre + np.linspace(-half, half, points) for centre in (low + high) / 2)
    return x, y
