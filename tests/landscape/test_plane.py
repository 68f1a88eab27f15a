"""Planes through paths, random planes and lines, against slow obvious twins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.trajectory import encoded
from lit_lossopt.landscape.plane import explained, line_between, principal_plane, random_plane
from lit_lossopt.landscape.trajectory_files import Trajectory
from lit_lossopt.tracking.reading.runs import Run

TRAINED = ["conv", "bias"]
RUN = Run("id", "name", "FINISHED", {}, {}, {})


def walk(seed: int, snapshots: int, *, moves: float = 1.0) -> Trajectory:
    """Return a random walk from a start that all share, with a counter that is no weight."""
    start = {"conv": torch.arange(24.0).view(2, 3, 2, 2), "bias": torch.tensor([0.5, -0.5]), "count": torch.tensor(0)}
    generator = torch.Generator().manual_seed(seed)
    weights, contents = dict(start), [encoded(start, {})]
    for step in range(1, snapshots):
        drawn = {name: moves * torch.randn(weights[name].shape, generator=generator) for name in TRAINED}
        weights = {name: weights[name] + drawn[name] for name in TRAINED} | {"count": torch.tensor(step)}
        contents.append(encoded(weights, start))
    return Trajectory(f"walk {seed}", RUN, tuple(range(snapshots)), tuple(contents), start)


def flat(weights: dict[str, Tensor]) -> Tensor:
    """Return what is trained as one vector."""
    return torch.cat([weights[name].flatten() for name in TRAINED]).double()


def owners(walks: list[Trajectory]) -> list[range]:
    """Return the places of each path among all snapshots."""
    ends = [0, *itertools.accumulate(map(len, walks))]
    return [range(first, last) for first, last in itertools.pairwise(ends)]


def test_it_is_the_plane_through_the_start_that_leaves_least() -> None:
    walks = [walk(1, 9), walk(2, 5, moves=3.0), walk(3, 7)]
    plane, projections = principal_plane(walks, TRAINED)
    start = flat(dict(walks[0].start))
    points = torch.stack([flat(one.weights(place)) for one in walks for place in range(len(one))])
    totals = torch.cat([((points - start) ** 2).sum(1)[own].sum().expand(len(own)) for own in owners(walks)])
    _, sizes, directions = torch.linalg.svd((points - start) / totals.sqrt()[:, None], full_matrices=False)
    axes = torch.stack([torch.cat([axis[name].flatten() for name in TRAINED]).double() for axis in plane.axes])
    # The same directions, up to their signs, of length 1.
    assert torch.allclose((axes @ directions[:2].T).abs(), torch.eye(2).double(), atol=1e-5)
    places = np.concatenate([one.places for one in projections])
    np.testing.assert_allclose(places, ((points - start) @ axes.T).numpy(), atol=1e-4)
    feet = torch.from_numpy(places) @ axes
    distances = (points - start - feet).norm(dim=1).numpy()
    np.testing.assert_allclose(np.concatenate([one.distances for one in projections]), distances, atol=2e-4)
    moved = (points - start).norm(dim=1).numpy()
    np.testing.assert_allclose(np.concatenate([one.moved for one in projections]), moved, rtol=1e-6)
    # Every path counts alike.
    assert explained(projections) == pytest.approx(float((sizes[:2] ** 2).sum()) / len(walks), rel=1e-6)
    for one, projection in zip(walks, projections, strict=True):
        assert len(projection.places) == len(one)
        rest = float(np.sum(projection.distances**2) / np.sum(projection.moved**2))
        assert projection.share == pytest.approx(1 - rest)


def test_paths_in_a_plane_lie_in_it() -> None:
    directions = [torch.randn(26, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    start = {"conv": torch.ones(2, 3, 2, 2), "bias": torch.zeros(2), "count": torch.tensor(0)}

    def content(a: float, b: float) -> dict[str, object]:
        move = a * directions[0] + b * directions[1]
        moved = {"conv": start["conv"] + move[:24].view(2, 3, 2, 2), "bias": start["bias"] + move[24:]}
        return encoded({**moved, "count": torch.tensor(1)}, start)

    places = [(0.0, 0.0), (1.0, 0.2), (2.0, -1.0)], [(0.0, 0.0), (-1.0, 3.0), (0.5, 4.0)]
    walks = [
        Trajectory(str(n), RUN, (0, 1, 2), tuple(content(*at) for at in one), start) for n, one in enumerate(places)
    ]
    plane, projections = principal_plane(walks, TRAINED)
    assert explained(projections) > 1 - 1e-5
    for one, projection in zip(walks, projections, strict=True):
        for place, at in enumerate(projection.places):
            torch.testing.assert_close(flat(plane.at(*at)), flat(one.weights(place)), atol=3e-3, rtol=0)


def test_the_start_is_in_the_plane_to_the_bit_and_the_rest_of_the_state_is_its_own() -> None:
    one = walk(4, 6)
    plane, projections = principal_plane([one], TRAINED)
    assert projections[0].places[0].tolist() == [0.0, 0.0]
    assert projections[0].distances[0] == 0
    at = plane.at(0.0, 0.0)
    assert all(torch.equal(at[name], one.start[name]) for name in one.start)
    assert int(plane.at(1.0, 1.0)["count"]) == 0


def test_most_of_the_paths_lie_on_the_positive_side() -> None:
    _, projections = principal_plane([walk(5, 8), walk(6, 8)], TRAINED)
    assert (np.concatenate([one.places for one in projections]).sum(axis=0) >= 0).all()


@pytest.mark.parametrize("snapshots", [1, 2])
def test_a_path_on_a_line_gives_no_plane(snapshots: int) -> None:
    with pytest.raises(UserError, match="on one line"):
        principal_plane([walk(7, snapshots)], TRAINED)


def test_a_random_plane_has_the_filters_norms_and_leaves_biases() -> None:
    weights = dict(walk(8, 2).weights(1))
    plane = random_plane(weights, ["conv"], seed=3)
    for axis in plane.axes:
        assert axis.keys() == {"conv"}
        torch.testing.assert_close(axis["conv"].flatten(1).norm(dim=1), weights["conv"].flatten(1).norm(dim=1))
    first, second = plane.axes
    assert not torch.allclose(first["conv"], second["conv"])
    again = random_plane(weights, ["conv"], seed=3)
    assert torch.equal(again.axes[0]["conv"], first["conv"])
    assert not torch.equal(random_plane(weights, ["conv"], seed=4).axes[0]["conv"], first["conv"])


def test_a_line_joins_its_ends() -> None:
    first, second = dict(walk(9, 3).weights(2)), dict(walk(10, 3).weights(2))
    line = line_between(first, second, TRAINED)
    torch.testing.assert_close(flat(line.at(0.0)), flat(first))
    torch.testing.assert_close(flat(line.at(1.0)), flat(second), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(flat(line.at(0.5)), (flat(first) + flat(second)) / 2, atol=1e-6, rtol=1e-6)
    with pytest.raises(UserError, match="different networks"):
        line_between(first, {**second, "bias": torch.zeros(3)}, TRAINED)
