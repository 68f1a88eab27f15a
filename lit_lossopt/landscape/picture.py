"""The map as a file for a paper, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from lit_lossopt.comparison.report.figure_spec import style
from lit_lossopt.comparison.report.paper_figures import DASHES, DOTS_PER_INCH, MARKERS, STYLE, shortened
from lit_lossopt.core.files import whole_file
from lit_lossopt.core.numbers import per_cent, significant
from lit_lossopt.landscape.heights import Heights, heights_of
from lit_lossopt.landscape.scene import Profile, Scene, Walk

WIDTH, HEIGHT = 9.0, 5.2
# Pale on the heights, blue in the valley: every colour of a walk is seen on both.
GROUND = LinearSegmentedColormap.from_list("ground", ["#9dbfdd", "#c4dae9", "#e4eae8", "#f4ebd8", "#f8ecd6"])
_SOFT = "#595e66"


def write_map(scene: Scene, path: Path) -> None:
    """Write the map of a scene, with curves of loss and distance beside it where there are walks.

    Raises:
        OSError: it cannot be written.
    """
    _save(_map_figure(scene), path)


def write_profile(profile: Profile, path: Path) -> None:
    """Write the loss along a line.

    Raises:
        OSError: it cannot be written.
    """
    with rc_context(STYLE):
        canvas = Figure(figsize=(WIDTH * 0.7, HEIGHT * 0.7), layout="constrained")
        axes = canvas.subplots()
        axes.plot(profile.places, profile.losses, color=style(0).colour, linewidth=1.8)
        for place, (name, loss) in enumerate(zip(profile.names, profile.ends, strict=True)):
            axes.plot([place], [loss], color=style(place).colour, marker="o", markersize=7, clip_on=False, zorder=4)
            side = "left" if place == 0 else "right"
            axes.annotate(
                f"{shortened(name, 40)}\n{significant(loss)}", (place, loss), (6 - 12 * place, 8),
                textcoords="offset points", ha=side, fontsize=8, color=style(place).colour,
            )  # fmt: skip
        axes.margins(y=0.2)
        axes.set(xlabel="share of the way between both weights", ylabel=_loss_label(profile.loss_name, profile.images))
    _save(canvas, path)


def _map_figure(scene: Scene) -> Figure:
    heights = heights_of(scene)
    with rc_context(STYLE):
        canvas = Figure(figsize=(WIDTH if scene.walks else WIDTH * 0.65, HEIGHT), layout="constrained")
        if not scene.walks:
            _draw_ground(canvas.subplots(), scene, heights)
            return canvas
        cells = canvas.add_gridspec(2, 2, width_ratios=(1.75, 1))
        ground = canvas.add_subplot(cells[:, 0])
        _draw_ground(ground, scene, heights)
        for place, walk in enumerate(scene.walks):
            _draw_walk(ground, walk, place)
        ground.plot(scene.walks[0].x[:1], scene.walks[0].y[:1], "o", color="#1c1e21", markersize=5, zorder=6)
        ground.annotate(
            "start", (float(scene.walks[0].x[0]), float(scene.walks[0].y[0])), (-7, 0), textcoords="offset points",
            fontsize=8.5, color="#1c1e21", zorder=7, ha="right", va="center",
        )  # fmt: skip
        _draw_losses(canvas.add_subplot(cells[0, 1]), scene)
        _draw_distances(canvas.add_subplot(cells[1, 1]), scene)
        canvas.legend(
            [_handle(place) for place in range(len(scene.walks))], [shortened(walk.name, 40) for walk in scene.walks],
            loc="outside upper center", ncols=min(4, len(scene.walks)), frameon=False, handlelength=3,
        )  # fmt: skip
    return canvas


def _draw_ground(axes: Axes, scene: Scene, heights: Heights) -> None:
    losses = np.ma.masked_invalid(heights.cut(scene.losses))
    norm: Normalize = (
        LogNorm(heights.low, heights.high) if heights.logarithmic else Normalize(heights.low, heights.high)
    )
    axes.grid(visible=False)
    axes.set_facecolor("#dddddd")
    axes.pcolormesh(scene.x, scene.y, losses, norm=norm, cmap=GROUND, shading="gouraud", rasterized=True)
    if len(heights.levels) > 1:
        lines = axes.contour(
            scene.x, scene.y, losses, heights.levels, norm=norm, colors="#66758a", linewidths=0.6, alpha=0.85
        )
        axes.clabel(lines, fontsize=7, fmt=significant, colors=_SOFT)
    axes.set_aspect("equal")
    axes.set(xlabel=_axis(scene.labels[0]), ylabel=_axis(scene.labels[1]))
    held = f"\nthe plane holds {per_cent(scene.explained)} of what the weights moved" if scene.walks else ""
    if heights.cuts:
        held += f"; cut off above {significant(heights.high)}"
    axes.set_title(f"{_loss_label(scene.loss_name, scene.images)}{held}", loc="left", color=_SOFT, fontsize=8.5)


def _draw_walk(axes: Axes, walk: Walk, place: int) -> None:
    look = style(place)
    axes.plot(walk.x, walk.y, color="white", linewidth=3.4, alpha=0.85, zorder=3)
    axes.plot(walk.x, walk.y, color=look.colour, linewidth=1.7, zorder=4)
    axes.plot(walk.x[1:-1], walk.y[1:-1], ".", color=look.colour, markersize=2.6, zorder=4)
    axes.plot(
        walk.x[-1:], walk.y[-1:], color=look.colour, marker=MARKERS[look.marker], markersize=8, markeredgecolor="white",
        markeredgewidth=1, zorder=5,
    )  # fmt: skip


def _draw_losses(axes: Axes, scene: Scene) -> None:
    for place, walk in enumerate(scene.walks):
        look = style(place)
        axes.plot(walk.steps, walk.losses, color=look.colour, linewidth=1.5, zorder=3)
        axes.plot(walk.steps, walk.on_plane, color=look.colour, linewidth=1, linestyle=DASHES["dot"], zorder=2)
    if all(np.all(values > 0) for walk in scene.walks for values in (walk.losses, walk.on_plane)):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("loss at the weights; dotted: on the plane", loc="left", color=_SOFT, fontsize=8.5)


def _draw_distances(axes: Axes, scene: Scene) -> None:
    for place, walk in enumerate(scene.walks):
        look = style(place)
        axes.plot(walk.steps, walk.moved, color=look.colour, linewidth=1.5, zorder=3)
        axes.plot(walk.steps, walk.distances, color=look.colour, linewidth=1, linestyle=DASHES["dot"], zorder=2)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="step")
    axes.set_title("distance from the start; dotted: off the plane", loc="left", color=_SOFT, fontsize=8.5)


def _handle(place: int) -> Line2D:
    look = style(place)
    return Line2D([], [], color=look.colour, marker=MARKERS[look.marker], markersize=5, linewidth=1.7)


def _axis(label: str) -> str:
    return label[:1].upper() + label[1:]


def _loss_label(name: str, images: int) -> str:
    return f"{name} of {images:,} training images"


def _save(canvas: Figure, path: Path) -> None:
    with rc_context(STYLE), whole_file(path) as part:
        # Without a date the same scene gives the same file.
        metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
        canvas.savefig(part, format=path.suffix[1:].lower(), dpi=DOTS_PER_INCH, metadata=metadata)
