"""From a request to files: runs are read, the loss is computed, and what was asked for is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.paths import given_path
from lit_lossopt.inference.load import find_saved
from lit_lossopt.landscape.choice import chosen_runs, fewest, named_runs
from lit_lossopt.landscape.materials import config_of, images_of, same_images, same_loss, surface_of
from lit_lossopt.landscape.plane import line_between, random_plane
from lit_lossopt.landscape.request import LINE, RANDOM, Request
from lit_lossopt.landscape.scene import Profile, Scene, walked_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import HOW, Trajectory, check_common_start, logged_losses, trajectories
from lit_lossopt.tracking.reading.runs import Run, experiments_of, read_runs


def draw(request: Request) -> int:
    """Write what was asked for, say what it shows, and return the exit status.

    Raises:
        UserError: there are no such runs, or nothing can be drawn of them.
    """
    # Before anything is computed: two threads that wait for each other are many times slower than one.
    torch.set_num_threads(request.threads)
    if request.kind == LINE:
        _show_profile(request, _line(request))
    else:
        _show_scene(request, _random(request) if request.kind == RANDOM else _plane(request))
    return Exit.DONE


def _plane(request: Request) -> Scene:
    runs = chosen_runs(request)
    chosen, note = (runs, "") if request.runs else fewest(runs)
    with trajectories(chosen) as found:
        missing = [name for name, run in chosen if run.run_id not in {walk.run.run_id for walk in found}]
        if not found or (request.runs and missing):
            who = missing[0] if missing else "the experiment"
            raise UserError(f"landscape: {who} has no snapshots of its weights. To take them, {HOW}")
        check_common_start(found)
        configs = [(walk.name, config_of(walk.run.run_id)) for walk in found]
        same_loss(configs)
        first = configs[0][1]
        surface = _surface(request, first, found[0].run.run_id)
        walks = [_with_logged(walk, config, first, request) for walk, (_, config) in zip(found, configs, strict=True)]
        left = f"Without snapshots, and so not on the map: {', '.join(missing)}." if missing else ""
        notes = tuple(filter(None, (note, left)))
        with _progress(request.points**2, surface) as tell:
            return walked_plane(walks, surface, request.points, _about(found[0].run, surface, notes), tell)


def _random(request: Request) -> Scene:
    (_, run), surface, weights = _ends(request)[0], *_materials(request)
    plane = random_plane(weights[0], surface.trained, request.seed or 0)
    side = np.linspace(-request.reach, request.reach, request.points)
    with _progress(len(side) ** 2, surface) as tell:
        losses = surface.grid(plane, side, side, tell)
    labels = ("along a random direction, in sizes of the weights", "along another one")
    return Scene(x=side, y=side, losses=losses, **{**_about(run, surface, ()), "labels": labels})


def _line(request: Request) -> Profile:
    (first, one), (second, two) = _ends(request)
    surface, (start, end) = _materials(request)
    places = np.linspace(0.0, 1.0, request.points)
    losses = surface.along(line_between(start, end, surface.trained), [(place,) for place in places])
    return Profile(
        title=f"{first} to {second}",
        loss_name=_loss_name(one),
        images=_count(surface),
        places=places,
        losses=losses,
        names=(first, second),
        ends=(surface.of_snapshot(start), surface.of_snapshot(end)),
        logged=(_last_logged(one, request), _last_logged(two, request)),
    )


def _ends(request: Request) -> list[tuple[str, Run]]:
    return named_runs(read_runs(run_ids=request.runs, metrics=[names.PROBE_LOSS, names.TRAIN_LOSS]))


def _materials(request: Request) -> tuple[LossSurface, list[dict[str, Any]]]:
    """Return the surface of the first run, and the last weights of every run that is named."""
    saved = [find_saved(run.run_id, "last") for _, run in _ends(request)]
    same_loss([(name, one.config) for (name, _), one in zip(_ends(request), saved, strict=True)])
    first = saved[0]
    images = request.images or images_of(first.config)
    surface = surface_of(first.config, first.path, images, request.allowed, request.device)
    return surface, [dict(one.weights) for one in saved]


def _surface(request: Request, config: dict[str, Any], run_id: str) -> LossSurface:
    images = request.images or images_of(config)
    return surface_of(config, Path(f"run {run_id[:8]}"), images, request.allowed, request.device)


def _with_logged(walk: Trajectory, config: dict[str, Any], first: dict[str, Any], request: Request) -> Trajectory:
    """Return a path without the logged losses where those are of other images."""
    alike = same_images(config, first) and request.images in (0, images_of(config))
    return walk if alike else replace(walk, run=replace(walk.run, histories={}))


def _last_logged(run: Run, request: Request) -> float:
    """Return the probe loss that a run logged last."""
    steps, losses = logged_losses(run)
    return float(losses[-1]) if len(steps) and not request.images else nan


def _about(run: Run, surface: LossSurface, notes: Sequence[str]) -> dict[str, Any]:
    experiments = experiments_of([run])
    return {
        "title": experiments[0].name if experiments else run.name,
        "loss_name": _loss_name(run),
        "images": _count(surface),
        "labels": ("along the first principal component", "along the second principal component"),
        "notes": tuple(notes),
    }


def _loss_name(run: Run) -> str:
    return run.params.get("criterion", "loss")


def _count(surface: LossSurface) -> int:
    return sum(len(labels) for _, labels in surface.batches)


@contextmanager
def _progress(points: int, surface: LossSurface) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, and say at the end how long it took."""
    started, done = time.monotonic(), 0
    with tqdm(total=points, desc="landscape", unit="point", disable=None, leave=False) as bar:

        def tell(count: int) -> None:
            nonlocal done
            done += count
            bar.total = max(bar.total, done)
            bar.update(count)

        yield tell
    print(f"the loss of {_count(surface):,} images at {done:,} points took {time.monotonic() - started:.0f} s")


def _show_scene(request: Request, scene: Scene) -> None:
    from lit_lossopt.landscape.words import scene_words, show

    show(scene_words(scene), scene)
    from lit_lossopt.landscape.picture import write_map

    _written("--picture", str(request.picture), partial(write_map, scene))
    if request.page:
        from lit_lossopt.landscape.page import write_page

        _written("--html", request.page, partial(write_page, scene))
    if request.tables:
        from lit_lossopt.landscape.tables import write_tables

        _written("--csv", request.tables, partial(write_tables, scene))


def _show_profile(request: Request, profile: Profile) -> None:
    from lit_lossopt.landscape.picture import write_profile
    from lit_lossopt.landscape.words import profile_words

    print("\n".join(["", *profile_words(profile)]))
    _written("--picture", str(request.picture), partial(write_profile, profile))
    if request.tables:
        from lit_lossopt.landscape.tables import write_profile_table

        _written("--csv", request.tables, partial(write_profile_table, profile))


def _written(flag: str, place: str, write: Callable[[Path], object]) -> None:
    path = given_path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise UserError(f"landscape {flag} {place}: cannot be written: {error.strerror or error}") from error
    print(f"{flag.removeprefix('--')}: {place}")
