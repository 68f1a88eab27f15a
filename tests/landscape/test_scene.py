"""What a map shows and says, from scenes that are made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lit_lossopt.comparison.report.figure_spec import style
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.trajectory import encoded
from lit_lossopt.inference.from_config import LabelLoss
from lit_lossopt.landscape.heights import heights_of
from lit_lossopt.landscape.materials import same_images
from lit_lossopt.landscape.picture import _map_figure, write_map
from lit_lossopt.landscape.plane import principal_plane
from lit_lossopt.landscape.scene import ANEW, Profile, Scene, Walk, walked_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import Trajectory
from lit_lossopt.landscape.words import profile_words, scene_words
from lit_lossopt.tracking.reading.runs import Run

ABOUT: dict[str, Any] = {
    "title": "walks", "loss_name": "CrossEntropyLoss", "images": 16, "labels": ("first", "second"), "notes": (),
}  # fmt: skip


def surface(*, norms: bool = False) -> LossSurface:
    torch.manual_seed(0)
    middle: list[nn.Module] = [nn.BatchNorm1d(5)] if norms else []
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), *middle, nn.Tanh(), nn.Linear(5, 3))
    batches = [(torch.randn(16, 1, 2, 2), torch.randint(3, (16,)))]
    return LossSurface(network, LabelLoss(nn.CrossEntropyLoss()), batches)


def trajectory(name: str, at: LossSurface, moves: list[float], seed: int, verdict: str = "") -> Trajectory:
    """Return a path whose snapshots lie at these distances along a bent line."""
    start = {key: value.clone() for key, value in at.network.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    first, second = (
        {key: torch.randn(value.shape, generator=generator) for key, value in start.items() if key in at.trained}
        for _ in range(2)
    )
    contents = []
    for place, move in enumerate([0.0, *moves]):
        moved = {key: start[key] + move * (first[key] + 0.1 * place * second[key]) for key in at.trained}
        contents.append(encoded({**start, **moved}, start if place else {}))
    run = Run(f"id-{name}", name, "FINISHED", {}, {names.TAG_VERDICT: verdict}, {})
    return Trajectory(name, run, tuple(range(len(contents))), tuple(contents), start)


def test_each_point_has_its_own_loss_and_that_of_its_foot() -> None:
    at = surface()
    walks = [trajectory("sgd", at, [0.1, 0.2, 0.4], 1), trajectory("adam", at, [0.3, 0.5], 2)]
    told: list[int] = []
    scene = walked_plane(walks, at, 5, ABOUT, told.append)
    plane, projections = principal_plane(walks, at.trained)
    for shown, walk, projection in zip(scene.walks, walks, projections, strict=True):
        for place in range(len(walk)):
            assert shown.losses[place] == at.of_snapshot(walk.weights(place))
            assert shown.on_plane[place] == at.at(plane, *projection.places[place])
        assert shown.explained == projection.share
    assert scene.losses[1, 3] == at.at(plane, scene.x[3], scene.y[1])
    assert sum(told) == 25 + 2 * 7
    assert scene.notes == ()


def test_a_path_ends_where_it_diverges_and_is_left_out_where_it_does_at_once() -> None:
    at = surface()
    fine = trajectory("adam", at, [0.1, 0.3, 0.5], 1)
    late, at_once = (
        trajectory(name, at, moves, seed, "diverged")
        for name, moves, seed in (("late", [0.2, 0.3, 1e6], 2), ("at once", [1e7, 1e8], 3))
    )
    scene = walked_plane([fine, late, at_once], at, 5, ABOUT)
    assert [walk.name for walk in scene.walks] == ["adam", "late"]
    assert [len(walk.steps) for walk in scene.walks] == [4, 3]
    assert scene.notes == ("late diverged, so its path ends at step 2.", "at once diverged, so it is not on the map.")
    assert np.abs(scene.x).max() < 100
    with pytest.raises(UserError, match="at once diverged, so it is not on the map"):
        walked_plane([at_once], at, 5, ABOUT)


def test_a_start_near_nothing_may_be_left_without_a_word() -> None:
    at = surface()
    # As of trained weights: the bias alone gives each image its class.
    at.batches = [(images, torch.zeros_like(labels)) for images, labels in at.batches]
    with torch.no_grad():
        dict(at.network.named_parameters())["3.bias"].copy_(torch.tensor([12.0, 0.0, 0.0]))
    scene = walked_plane([trajectory("sgd", at, [0.3, 1.0, 3.0], 1)], at, 3, ABOUT)
    (shown,) = scene.walks
    assert shown.losses[-1] > 100 * shown.losses[0]
    assert len(shown.steps) == 4
    assert scene.notes == ()


def test_a_loss_that_grows_without_a_verdict_is_not_called_diverged() -> None:
    at = surface()
    wild = trajectory("sgd", at, [0.1, 0.3, 1e6], 1)
    assert walked_plane([wild], at, 3, ABOUT).notes == (
        "The loss of sgd grew more than a hundredfold, so its path ends at step 2.",
    )


def test_batch_norms_are_told() -> None:
    at = surface(norms=True)
    scene = walked_plane([trajectory("sgd", at, [0.1, 0.2], 1)], at, 3, ABOUT)
    assert ANEW in scene.notes
    assert ANEW in scene_words(scene)


def walk(name: str, sign: float, losses: list[float]) -> Walk:
    steps = np.arange(float(len(losses)))
    own = np.asarray(losses)
    return Walk(name, f"id-{name}", steps, steps, sign * steps, own, own * 1.5, steps / 10, steps * 2, 0.9)


def made(**changes: Any) -> Scene:
    x = np.linspace(-1, 4, 21)
    losses = 0.05 + (x[None, :] - 3) ** 2 / 4 + x[:, None] ** 2 / 8
    given: dict[str, Any] = {
        **ABOUT, "x": x, "y": x - 1.5, "losses": losses, "explained": 0.9,
        "walks": (walk("sgd", 0.4, [2.0, 1.5, 1.0, 0.8]), walk("adam", -0.3, [2.0, 1.0, 0.5, 0.1])),
    }  # fmt: skip
    return Scene(**{**given, **changes})


def test_the_picture_has_each_path_and_both_losses(tmp_path: Path) -> None:
    scene = made()
    ground, losses, distances = _map_figure(scene).axes[:3]
    for place, one in enumerate(scene.walks):
        own = [line for line in ground.lines if line.get_color() == style(place).colour]
        assert any(np.array_equal(line.get_xydata(), np.stack([one.x, one.y], 1)) for line in own)
        for axes, solid, dotted in ((losses, one.losses, one.on_plane), (distances, one.moved, one.distances)):
            drawn = [line for line in axes.lines if line.get_color() == style(place).colour]
            by_style = {line.get_linestyle(): line.get_ydata() for line in drawn}
            np.testing.assert_array_equal(by_style.pop("-"), solid)
            (other,) = by_style.values()
            np.testing.assert_array_equal(other, dotted)
    assert "holds 90 % of what" in ground.get_title(loc="left")
    write_map(scene, tmp_path / "map.png")
    pixels = np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).astype(int)
    left = pixels[pixels.shape[0] // 6 :, : pixels.shape[1] // 2]
    for place in range(2):
        colour = [int(style(place).colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(left - colour).sum(axis=2) < 12).sum() > 200


def test_the_ground_is_cut_off_above_the_walks_and_that_is_said() -> None:
    losses = made().losses.copy()
    losses[0, 0], losses[0, 1] = 500.0, np.inf
    scene = made(losses=losses)
    heights = heights_of(scene)
    assert heights.high == 3.0  # One and a half times the start.
    assert heights.cuts
    assert heights.cut(losses).max() == 3.0
    assert "cut off above 3" in _map_figure(scene).axes[0].get_title(loc="left")
    assert not heights_of(made(losses=np.minimum(losses, 2.5))).cuts
    # A true loss far above moves nothing.
    spiked = (walk("sgd", 0.4, [2.0, 90.0, 1.0, 0.8]),)
    plain = heights_of(made(losses=losses, walks=(replace(spiked[0], on_plane=np.ones(4)),)))
    assert plain.high == 3.0


@pytest.mark.parametrize(("lowest", "logarithmic"), [(0.5, False), (0.01, True), (0.0, False), (-1.0, False)])
def test_heights_are_logarithms_where_losses_span_much(lowest: float, logarithmic: bool) -> None:
    losses = np.linspace(lowest, 2, 441).reshape(21, 21)
    heights = heights_of(made(losses=losses, walks=()))
    assert heights.logarithmic == logarithmic
    assert 5 <= len(heights.levels) <= 16
    assert all(lowest <= level <= 2 for level in heights.levels)
    assert list(heights.levels) == sorted(set(heights.levels))


def test_what_is_said_of_a_map() -> None:
    said = scene_words(made())
    assert said[0] == "Two runs begin at one place, with a loss of 2. adam ends lowest, at 0.1."
    assert "holds 90 % of what the weights moved, in the mean over the runs" in said[1]
    assert "little" not in said[1]
    assert "It says little of the paths" in scene_words(made(explained=0.4))[1]
    shorter = made(walks=(walk("sgd", 0.4, [2.0, 1.5]), walk("adam", -0.3, [2.0, 1.0, 0.5, 0.1])))
    assert scene_words(shorter)[0].endswith("adam ends lowest, at 0.1 behind 3 steps. Not all have as many.")
    around = scene_words(made(walks=(), middle=0.25))
    assert around[0].startswith("The loss of walks is 0.25 at its last weights.")


@pytest.mark.parametrize(
    ("losses", "barrier", "said"),
    [
        ([1.0, 0.5, 0.0], 0.0, "no barrier"),
        ([2.0, 0.1, 0.05], 0.0, "no barrier"),
        ([1.0, 3.0, 2.0], 1.5, "At 50 % of the way it is 3. That is a barrier of 1.5"),
        # The highest loss is an end, and there is a barrier all the same.
        ([2.0, 1.8, 0.1], 0.75, "At 50 % of the way it is 1.8. That is a barrier of 0.75"),
        ([1.0, float("nan"), 2.0], float("nan"), "not finite"),
    ],
)
def test_a_barrier_is_what_rises_above_the_straight_line(losses: list[float], barrier: float, said: str) -> None:
    ends = (losses[0], losses[-1])
    profile = Profile("loss", 16, np.linspace(0, 1, 3), np.asarray(losses), ("sgd", "adam"), ends, ("A note.",))
    assert profile.barrier == pytest.approx(barrier, nan_ok=True)
    words = profile_words(profile)
    assert said in words[1]
    assert words[2] == "A note."


def test_probes_are_of_the_same_images_by_data_seed_and_number() -> None:
    one = {"seed_everything": 0, "probe": {"images": 256}, "data": {"class_path": "D", "init_args": {"batch_size": 64}}}
    assert same_images(one, {**one, "data": {"class_path": "D", "init_args": {"batch_size": 8, "augmentation": []}}})
    for key, other in (("seed_everything", 1), ("probe", {"images": 32}), ("data", {"class_path": "E"})):
        assert not same_images(one, {**one, key: other})
