"""What a map of the loss shows, before anything draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Verdict
from lit_lossopt.landscape.plane import Projection, explained, principal_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import Trajectory, logged_losses

Floats = NDArray[np.float64]
_NONE: Floats = np.empty(0)
# A loss so many times that of the start is no place to walk any more. A start near 0, such as that of trained weights,
# counts as 1.
_WILD, _LEAST_START = 100.0, 1.0
# Snapshots without which there is no path.
_FEWEST = 2
ANEW = (
    "The network has batch norms. On the map their statistics are computed anew from these images, so the loss differs "
    "from that of the run, which had its own, even in the plane."
)
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
        middle: on a random plane, the loss of the run in its middle.
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
    middle: float = nan
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
        notes: what a reader must know.
    """

    loss_name: str
    images: int
    places: Floats
    losses: Floats
    names: tuple[str, str]
    ends: tuple[float, float]
    notes: tuple[str, ...] = ()

    @property
    def barrier(self) -> float:
        """How far the loss rises above the straight line between both ends (Entezari et al. 2022)."""
        return float(np.max(self.rise))

    @property
    def rise(self) -> Floats:
        """How far the loss is above the straight line between both ends ``[n]``."""
        between = (1 - self.places) * self.losses[0] + self.places * self.losses[-1]
        return np.asarray(self.losses - between)


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
        UserError: the snapshots lie on a line, or no run has walked.
    """
    followed, losses, ended = _while_sensible(walks, surface, tell)
    plane, projections = principal_plane(followed, surface.trained)
    shown = tuple(
        _walk(walk, own, one, surface.along(plane, one.places.tolist()))
        for walk, own, one in zip(followed, losses, projections, strict=True)
    )
    tell(sum(map(len, followed)))
    x, y = _extent(np.concatenate([one.places for one in projections]), points)
    ground = surface.grid(plane, x, y, tell)
    notes = (*about["notes"], *ended, *([ANEW] if surface.norms else []))
    return Scene(x=x, y=y, losses=ground, walks=shown, explained=explained(projections), **{**about, "notes": notes})


def _while_sensible(
    walks: Sequence[Trajectory], surface: LossSurface, tell: Callable[[int], object]
) -> tuple[list[Trajectory], list[Floats], list[str]]:
    """Return paths up to where they diverge, their losses, and a sentence for each that does.

    One that has hardly begun is left out: far away it would make all others a single point.

    Raises:
        UserError: none is left.
    """
    followed, losses, notes = [], [], []
    for walk in walks:
        own = np.asarray([surface.of_snapshot(walk.weights(place)) for place in range(len(walk))])
        tell(len(walk))
        wild = ~(np.isfinite(own) & (own <= _WILD * max(abs(own[0]), _LEAST_START)))
        end = int(np.argmax(wild)) if wild.any() else len(own)
        diverged = walk.run.tags.get(names.TAG_VERDICT) == Verdict.DIVERGED
        if end < len(own) or diverged:
            why = f"{walk.name} diverged" if diverged else f"The loss of {walk.name} grew more than a hundredfold"
            kept = "it is not on the map" if end < _FEWEST else f"its path ends at step {walk.steps[end - 1]}"
            notes.append(f"{why}, so {kept}.")
        if end >= _FEWEST:
            followed.append(walk.until(end))
            losses.append(own[:end])
    if not followed:
        raise UserError(f"landscape: {' '.join(notes) or 'there are too few snapshots.'} So there is no path to draw")
    return followed, losses, notes


def _walk(walk: Trajectory, losses: Floats, projection: Projection, on_plane: Floats) -> Walk:
    return Walk(
        name=walk.name,
        run_id=walk.run.run_id,
        steps=np.asarray(walk.steps, np.float64),
        x=projection.places[:, 0],
        y=projection.places[:, 1],
        losses=losses,
        on_plane=on_plane,
        distances=projection.distances,
        moved=projection.moved,
        explained=projection.share,
        **dict(zip(("logged_steps", "logged"), logged_losses(walk.run), strict=True)),
    )


def _extent(places: Floats, points: int) -> tuple[Floats, Floats]:
    """Return the grid's coordinates: a square around all places."""
    low, high = places.min(axis=0), places.max(axis=0)
    half = (0.5 + _MARGIN) * float((high - low).max())
    x, y = (centre + np.linspace(-half, half, points) for centre in (low + high) / 2)
    return x, y
