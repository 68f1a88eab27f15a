"""Every number of a landscape, as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lit_lossopt.comparison.report.csv_files import write_rows
from lit_lossopt.landscape.scene import Profile, Scene, Walk


def write_tables(scene: Scene, folder: Path) -> list[Path]:
    """Write ``surface.csv`` and, if there are paths, ``walks.csv``. Return the files.

    ``surface.csv`` has a row for each point of the grid. ``walks.csv`` has one for each snapshot, with the loss at the
    weights that the run had, the loss at their foot in the plane, the distance from the plane, and the probe loss that
    the run logged at that step, if it logged one.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    surface = [
        {"x": x, "y": y, "loss": scene.losses[row, column]}
        for row, y in enumerate(scene.y)
        for column, x in enumerate(scene.x)
    ]
    written = [write_rows(folder / "surface.csv", surface)]
    if scene.walks:
        rows = [row for walk in scene.walks for row in _rows(walk)]
        written.append(write_rows(folder / "walks.csv", rows))
    return written


def write_profile_table(profile: Profile, folder: Path) -> list[Path]:
    """Write ``line.csv``, a row for each point of a line. Return the file.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"place": place, "loss": loss} for place, loss in zip(profile.places, profile.losses, strict=True)]
    return [write_rows(folder / "line.csv", rows)]


def _rows(walk: Walk) -> list[dict[str, object]]:
    logged = dict(zip(walk.logged_steps.tolist(), walk.logged.tolist(), strict=True))
    return [
        {
            "walk": walk.name,
            "run_id": walk.run_id,
            "step": int(step),
            "x": walk.x[place],
            "y": walk.y[place],
            "loss": walk.losses[place],
            "loss_on_plane": walk.on_plane[place],
            "distance_from_plane": walk.distances[place],
            "distance_from_start": walk.moved[place],
            "logged_loss": logged.get(step, np.nan),
        }
        for place, step in enumerate(walk.steps.tolist())
    ]
