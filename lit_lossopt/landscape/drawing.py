"""From a request to files: runs are read, the loss is computed, and what was asked for is written."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.numbers import listed, named
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.terminal_text import is_bare_terminal
from lit_lossopt.landscape.choice import chosen_runs, named_runs
from lit_lossopt.landscape.materials import (
    config_of,
    images_of,
    last_weights,
    loss_differs,
    same_images,
    surface_of,
)
from lit_lossopt.landscape.plane import line_between, random_plane
from lit_lossopt.landscape.request import LINE, MOST_RUNS, RANDOM, Request
from lit_lossopt.landscape.scene import ANEW, Profile, Scene, walked_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import HOW, Trajectory, start_differs, trajectories
from lit_lossopt.tracking.reading.runs import Run, experiments_of, read_runs

_RANDOM_LABELS = ("along a random direction, in sizes of the weights", "along another one")


def draw(request: Request) -> int:
    """Write what was asked for, say what it shows, and return the exit status.

    Raises:
        UserError: there are no such runs, or nothing can be drawn of them.
    """
    # Before anything is computed: two threads that wait for each other are many times slower than one.
    torch.set_num_threads(request.threads)
    _check_places(request)
    if request.kind == LINE:
        _show_profile(request, _line(request))
    else:
        _show_scene(request, _random(request) if request.kind == RANDOM else _plane(request))
    return Exit.DONE


def _plane(request: Request) -> Scene:
    chosen = chosen_runs(request)
    notes: list[str] = []
    problem = None if request.runs else lambda name, error: notes.append(f"{name} is not on the map. {error}.")
    with trajectories(chosen, problem) as all_found:
        found = all_found if request.runs else _newest_of_each(all_found)
        notes += _without_snapshots(chosen, all_found, request)
        configs = {walk.run.run_id: config_of(walk.run.run_id) for walk in found}
        walks, apart = _on_one_map(found, configs, named=bool(request.runs))
        walks, cut = walks[:MOST_RUNS], walks[MOST_RUNS:]
        if cut:
            apart += f" There is room for {MOST_RUNS} runs. Left out: {named([walk.name for walk in cut])}."
        called = named_runs([walk.run for walk in walks])
        walks = [replace(walk, name=name) for walk, (name, _) in zip(walks, called, strict=True)]
        first = configs[walks[0].run.run_id]
        surface = _surface(request, first, walks[0].run)
        surface.check(walks[0].start, walks[0].name)
        logged = [_with_logged(walk, configs[walk.run.run_id], first, request) for walk in walks]
        about = _about(walks[0].run, surface, tuple(filter(None, (*notes, apart.strip()))))
        with _progress(request.points**2 + 2 * sum(map(len, walks)), surface) as tell:
            return walked_plane(logged, surface, request.points, about, tell)


def _without_snapshots(chosen: Sequence[tuple[str, Run]], found: Sequence[Trajectory], request: Request) -> list[str]:
    """Return a sentence on runs that have no snapshots.

    Raises:
        UserError: one of them was named, or no run has any.
    """
    there = {walk.run.run_id for walk in found}
    missing = [name for name, run in chosen if run.run_id not in there]
    if not found or (request.runs and missing):
        who = missing[0] if request.runs else "the experiment"
        raise UserError(f"landscape: {who} has no snapshots of its weights. To take them, {HOW}")
    return [f"Without snapshots, and so not on the map: {named(missing)}."] if missing else []


def _newest_of_each(found: Sequence[Trajectory]) -> list[Trajectory]:
    """Return the newest run of each setting."""
    return list({walk.run.tags.get(names.TAG_TRIAL_KEY, walk.run.run_id): walk for walk in found}.values())


def _on_one_map(
    found: Sequence[Trajectory], configs: Mapping[str, Mapping[str, Any]], *, named: bool
) -> tuple[list[Trajectory], str]:
    """Return the runs that share a map, and a sentence on those that do not.

    Where runs were named, all have to share it. Otherwise the largest set that does is taken, and of two equal
    ones the newer one.

    Raises:
        UserError: two runs that were named share none.
    """

    def reason(one: Trajectory, two: Trajectory) -> str:
        return loss_differs(configs[one.run.run_id], configs[two.run.run_id]) or start_differs(one, two)

    sets = [[walk for walk in found if not reason(walk, other)] for other in found]
    shared = sets[0] if named else max(reversed(sets), key=len)
    apart = [walk for walk in found if walk not in shared]
    if named and apart:
        raise UserError(
            f"landscape: {_both(found[0], apart[0])} {reason(found[0], apart[0])}, so they share no map. Name runs of "
            "one seed_everything, one network, one loss and the same images"
        )
    left = listed([f"{walk.name} ({walk.run.run_id[:8]})" for walk in apart[:3]])
    more = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
    note = f"{left}{more}: not on the map, as weights at the start, loss or images are others."
    return shared, note if apart else ""


def _both(first: Trajectory, other: Trajectory) -> str:
    return f"{first.name} ({first.run.run_id[:8]}) and {other.name} ({other.run.run_id[:8]})"


def _random(request: Request) -> Scene:
    ((name, run),) = _ends(request)
    config, weights = last_weights(run)
    surface = _surface(request, config, run)
    surface.check(weights, name)
    plane = random_plane(weights, surface.filters, request.seed or 0)
    side = np.linspace(-request.reach, request.reach, request.points)
    with _progress(len(side) ** 2, surface) as tell:
        losses = surface.grid(plane, side, side, tell)
    if not np.isfinite(losses).any():
        raise UserError(
            f"landscape --random: no loss around the last weights of {name} is finite. Take a smaller --reach"
        )
    about = _about(run, surface, (ANEW,) if surface.norms else ()) | {"title": name, "labels": _RANDOM_LABELS}
    return Scene(x=side, y=side, losses=losses, middle=surface.of_snapshot(weights), **about)


def _line(request: Request) -> Profile:
    (first, one), (second, two) = _ends(request)
    (config, start), (other, end) = last_weights(one), last_weights(two)
    reason = loss_differs(config, other)
    if reason:
        raise UserError(f"landscape --line: {first} and {second} {reason}, so no loss is that of both")
    surface = _surface(request, config, one)
    for weights, name in ((start, first), (end, second)):
        surface.check(weights, name)
    others = f"Both losses are of the training images of {first}. {second} was trained with another seed."
    places = np.linspace(0.0, 1.0, request.points)
    return Profile(
        loss_name=_loss_name(one),
        images=_count(surface),
        places=places,
        losses=surface.along(line_between(start, end, surface.trained), [(place,) for place in places]),
        names=(first, second),
        ends=(surface.of_snapshot(start), surface.of_snapshot(end)),
        notes=(*([] if same_images(config, other) else [others]), *([ANEW] if surface.norms else [])),
    )


def _ends(request: Request) -> list[tuple[str, Run]]:
    return named_runs(read_runs(run_ids=request.runs, metrics=[names.PROBE_LOSS, names.TRAIN_LOSS]))


def _surface(request: Request, config: Mapping[str, Any], run: Run) -> LossSurface:
    images = request.images or images_of(config)
    return surface_of(config, Path(f"run {run.run_id[:8]}"), images, request.allowed, request.device)


def _with_logged(walk: Trajectory, config: Mapping[str, Any], first: Mapping[str, Any], request: Request) -> Trajectory:
    """Return a path without the logged losses where those are of other images."""
    alike = same_images(config, first) and request.images in (0, images_of(config))
    return walk if alike else replace(walk, run=replace(walk.run, histories={}))


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
    hidden = not is_bare_terminal(sys.stderr)
    with tqdm(total=points, desc="landscape", unit="point", disable=hidden, leave=False) as bar:

        def tell(count: int) -> None:
            nonlocal done
            done += count
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


def _check_places(request: Request) -> None:
    """Refuse places that cannot be written, before anything is computed.

    Raises:
        UserError: one of them.
    """
    files = {"--picture": str(request.picture), "--html": request.page}
    for flag, place in {**files, "--csv": request.tables}.items():
        if place:
            _written(flag, place, partial(_try, folder=flag == "--csv"), silent=True)


def _try(path: Path, *, folder: bool) -> None:
    target = path if folder else path.parent
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target):
        pass
    if not folder and path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _written(flag: str, place: str, write: Callable[[Path], object], *, silent: bool = False) -> None:
    path = given_path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise UserError(f"landscape {flag} {place}: cannot be written: {error.strerror or error}") from error
    if not silent:
        print(f"{flag.removeprefix('--')}: {place}")
