"""What a landscape shows, in sentences and as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lit_lossopt.comparison.report.terminal import PIPED_WIDTH
from lit_lossopt.core.numbers import UNKNOWN, counted, per_cent, significant
from lit_lossopt.core.terminal_text import on_one_line
from lit_lossopt.landscape.scene import Profile, Scene, Walk

HEADS = ("loss at the end", "on the plane there", "moved", "off the plane", "in the plane")
# Below it a plane says little of the paths.
_LITTLE = 0.5
# In shares of the larger loss: less is rounding.
_NO_BARRIER = 0.01


def scene_words(scene: Scene) -> list[str]:
    """Return what is said of a map, the most important first."""
    if not scene.walks:
        return [_around(scene), *scene.notes]
    return [_lead(scene), _fidelity(scene), *scene.notes]


def row_of(walk: Walk) -> tuple[str, ...]:
    """Return the cells of a path, in the order of ``HEADS``."""
    return (
        significant(float(walk.losses[-1])),
        significant(float(walk.on_plane[-1])),
        significant(float(walk.moved[-1])),
        significant(float(walk.distances[-1])),
        UNKNOWN if isnan(walk.explained) else per_cent(walk.explained),
    )


def profile_words(profile: Profile) -> list[str]:
    """Return what is said of the line between two runs."""
    first, second = map(on_one_line, profile.names)
    ends = f"{significant(profile.ends[0])} at {first} and {significant(profile.ends[1])} at {second}"
    return [f"The loss of {profile.images:,} training images is {ends}.", _barrier(profile), *profile.notes]


def _barrier(profile: Profile) -> str:
    barrier = profile.barrier
    if not isfinite(barrier):
        return "Somewhere between them it is not finite."
    if barrier <= _NO_BARRIER * max(map(abs, profile.ends)):
        return "There is no barrier between them."
    top = int(profile.rise.argmax())
    place, loss = per_cent(float(profile.places[top])), significant(float(profile.losses[top]))
    return (
        f"At {place} of the way it is {loss}. That is a barrier of {significant(barrier)} above the straight line "
        "between both losses."
    )


def show(said: Sequence[str], scene: Scene) -> None:
    """Print sentences and the table of paths."""
    console = Console(width=None if Console().is_terminal else PIPED_WIDTH, highlight=False)
    piped = not console.is_terminal
    console.print()
    for place, sentence in enumerate(said):
        console.print(Text(on_one_line(sentence), style="bold" if place == 0 else ""), soft_wrap=piped)
    if scene.walks:
        console.print()
        console.print(_table(scene, plain=piped))


def _around(scene: Scene) -> str:
    low, high = scene.range
    return (
        f"The loss of {scene.title} is {significant(scene.middle)} at its last weights. On this plane around them it "
        f"lies between {significant(low)} and {significant(high)}."
    )


def _lead(scene: Scene) -> str:
    start = significant(float(scene.walks[0].losses[0]))
    # Losses of walks are finite: they end where they diverge.
    best = min(scene.walks, key=lambda walk: walk.losses[-1])
    end = significant(float(best.losses[-1]))
    if len(scene.walks) == 1:
        return f"{best.name} begins at a loss of {start} and ends at {end}."
    who = counted(len(scene.walks), "run")
    lowest = f"{best.name} ends lowest, at {end}"
    if len({walk.steps[-1] for walk in scene.walks}) > 1:
        lowest += f" behind {int(best.steps[-1]):,} steps. Not all have as many"
    return f"{who[:1].upper()}{who[1:]} begin at one place, with a loss of {start}. {lowest}."


def _fidelity(scene: Scene) -> str:
    share = per_cent(scene.explained) if isfinite(scene.explained) else UNKNOWN
    mean = ", in the mean over the runs" if len(scene.walks) > 1 else ""
    much = "" if scene.explained >= _LITTLE else " It says little of the paths."
    return (
        f"The map is a plane that holds {share} of what the weights moved{mean}. The true loss of a run is that at its "
        f"own weights, which lie off the plane.{much}"
    )


def _table(scene: Scene, *, plain: bool) -> Table:
    table = Table(box=None if plain else box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("walk", overflow="fold")
    for heading in HEADS:
        table.add_column(heading, justify="right")
    for walk in scene.walks:
        table.add_row(Text(on_one_line(walk.name)), *map(Text, row_of(walk)))
    return table
