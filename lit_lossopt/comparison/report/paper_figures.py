"""The figures of a comparison as files for papers.

Matplotlib draws the same numbers as the page shows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.report.curves import extremes
from lit_lossopt.comparison.report.figure_spec import Dots, Figure, Heat, Line, Mark, Panel, Style, style
from lit_lossopt.comparison.report.figures import figures, looks

MOST_ARMS = 8
RAW_POINTS = 40_000
WIDTH, HEIGHT, DOTS_PER_INCH = 7.2, 3.6, 200
DASHES: dict[str, Any] = {
    "solid": "-", "dash": (0, (5, 2.5)), "dashdot": (0, (6, 2, 1.5, 2)), "dot": (0, (1.2, 1.6)),
    "longdash": (0, (9, 3)), "longdashdot": (0, (9, 2, 1.5, 2)),
}  # fmt: skip
MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "pentagon": "p",
    "hexagon": "h", "star": "*",
}  # fmt: skip
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e3e3e3",
    "axes.axisbelow": True, "svg.fonttype": "none", "svg.hashsalt": "lit_lossopt", "axes.titlesize": 9,
    "axes.edgecolor": "#595e66", "text.parse_math": False,
}  # fmt: skip


def write_figures(comparison: Comparison, folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write each figure in each format, with its caption beside it.

    Args:
        comparison: what is drawn; the first axis of each panel, the best eight arms.
        folder: where; it is made.
        formats: endings that matplotlib knows.

    Returns:
        The files, captions last.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    look = looks(comparison)
    written: list[Path] = []
    captions: list[str] = []
    for figure in figures(comparison):
        written += write_figure(figure, look, folder, formats)
        parts = (f"{figure.key}: {figure.title}.", figure.conclusion, figure.reading, _left_out(comparison))
        captions.append(" ".join(filter(None, parts)))
    if captions:
        path = folder / "captions.txt"
        path.write_text("\n\n".join(textwrap.fill(caption, 100) for caption in captions) + "\n", encoding="utf-8")
        written.append(path)
    return written


def write_figure(figure: Figure, look: Mapping[str, int], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write one figure in each format, and return the files."""
    paths = [folder / f"{figure.key}.{ending}" for ending in formats]
    with rc_context(STYLE):
        canvas = draw(figure, look)
        for path in paths:
            # Without a date the same comparison gives the same file.
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            canvas.savefig(path, dpi=DOTS_PER_INCH, metadata=metadata)
            # The places of everything are found once: that is most of the time.
            canvas.set_layout_engine("none")
    return paths


def draw(figure: Figure, look: Mapping[str, int]) -> Canvas:
    """Return a drawn figure.

    Its panels stand below each other. There is one legend for all.
    """
    heights = [_height(panel) for panel in figure.panels]
    canvas = Canvas(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
    all_axes = canvas.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(all_axes, figure.panels, strict=True):
        _draw_panel(axes, panel, look)
    names = list(dict.fromkeys(line.arm for panel in figure.panels for line in panel.lines if _shown(line.arm, look)))
    if names:
        handles = [_handle(style(look[name])) for name in names]
        labels = [shortened(name, 40) for name in names]
        _add_legend(canvas, handles, labels)
    return canvas


def _add_legend(canvas: Canvas, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put the legend above the panels.

    It has as many columns as the figure is wide enough for.
    """
    # Its width is known before the places of all else are, which take longest to find.
    renderer = FigureCanvasAgg(canvas).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib's own
    for columns in range(min(4, len(labels)), 0, -1):
        legend = canvas.legend(
            handles, labels, loc="outside upper center", ncols=columns, frameon=False, handlelength=3
        )
        if legend.get_window_extent(renderer).width <= canvas.bbox.width or columns == 1:
            return
        legend.remove()


def _height(panel: Panel) -> float:
    """Return the height of a panel in inches."""
    if panel.heat:
        return min(HEIGHT * 2, 0.9 + 0.22 * len(panel.heat.rows))
    return 0.9 + 0.3 * len(panel.rows) if panel.rows else HEIGHT


def _draw_heat(axes: Axes, panel: Panel, heat: Heat) -> None:
    axes.grid(visible=False)
    axes.set(xlabel=panel.axes[0].label, title=panel.title)
    every = -(-len(heat.rows) // 24)
    shown = range(0, len(heat.rows), every)
    axes.set_yticks(shown, [shortened(heat.rows[row], 28) for row in shown])
    # A colour reaches half way to the next measured step.
    middles = (heat.x[1:] + heat.x[:-1]) / 2 if len(heat.x) > 1 else np.empty(0)
    ends = (heat.x[0] - 0.5, *middles, heat.x[-1] + 0.5)
    positive = np.where(heat.values > 0, heat.values, np.nan)
    mesh = axes.pcolormesh(
        ends, np.arange(len(heat.rows) + 1) - 0.5, positive, norm=LogNorm(*heat.ends), cmap="viridis", rasterized=True
    )
    assert isinstance(axes.figure, Canvas)
    axes.figure.colorbar(mesh, ax=axes, label=heat.label, pad=0.02, format=lambda value, _: f"{value:g}")


def _draw_panel(axes: Axes, panel: Panel, look: Mapping[str, int]) -> None:
    if panel.heat:
        _draw_heat(axes, panel, panel.heat)
        return
    key = panel.axes[0].key
    _set_axes(axes, panel)
    _draw_raws(axes, panel, key, look)
    for line in panel.lines:
        if _shown(line.arm, look):
            _draw_line(axes, line, key, style(look[line.arm]))
    for dots in panel.dots:
        if panel.rows or _shown(dots.arm, look):
            _draw_dots(axes, dots, bool(panel.rows), style(look[dots.arm]))
    for mark in panel.marks:
        if not mark.arm or _shown(mark.arm, look):
            _draw_mark(axes, mark, look)
    if panel.rows:
        axes.set_xlim(left=0)
    elif panel.y_range:
        axes.set_ylim(panel.y_range if panel.y_log else (min(0.0, panel.y_range[0]), panel.y_range[1]))


def _set_axes(axes: Axes, panel: Panel) -> None:
    if panel.rows:
        axes.set_yticks(range(len(panel.rows)), [shortened(name, 34) for name in panel.rows])
        axes.set_ylim(len(panel.rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(panel.y_label)
        return
    axes.set(xlabel=panel.axes[0].label, ylabel=panel.y_label, title=panel.title)
    for scale, axis, logarithmic in (
        (axes.set_xscale, axes.xaxis, panel.x_log),
        (axes.set_yscale, axes.yaxis, panel.y_log),
    ):
        if logarithmic:
            scale("log")
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(NullFormatter())
    if isfinite(panel.y_limit):
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}" if value <= panel.y_limit else "")
    if panel.x_whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def shortened(name: str, most: int) -> str:
    """Return a name of at most ``most`` characters.

    Its end is cut off if it is longer.
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _draw_raws(axes: Axes, panel: Panel, key: str, look: Mapping[str, int]) -> None:
    shown = [raw for raw in panel.raws if _shown(raw.arm, look)]
    buckets = max(24, min(700, RAW_POINTS // (2 * max(1, len(shown)))))
    for raw in shown:
        x = raw.along(key)
        kept = extremes(x, raw.values, buckets)
        colour = style(look[raw.arm]).colour
        # Thousands of faint segments are a picture inside an SVG, so that it stays small.
        axes.plot(x[kept], raw.values[kept], color=colour, alpha=0.16, linewidth=0.5, rasterized=True)


def _draw_line(axes: Axes, line: Line, key: str, look: Style) -> None:
    few = len(line.y) <= 12
    axes.plot(
        line.x[key], line.y, color=look.colour, linestyle=DASHES[look.dash], linewidth=1.5, zorder=3,
        marker=MARKERS[look.marker] if few else None, markersize=4,
        drawstyle="steps-post" if line.steps else "default",
    )  # fmt: skip
    if len(line.low):
        high = np.where(np.isfinite(line.high), line.high, np.nan)
        axes.fill_between(line.x[key], line.low, high, color=look.colour, alpha=0.14, linewidth=0, zorder=2)


def _draw_dots(axes: Axes, dots: Dots, rows: bool, look: Style) -> None:
    size = 45 if dots.strong else 16
    marker = "X" if dots.crossed else MARKERS[look.marker]
    away = (-0.18 if dots.strong else 0.12) if rows else 0.0
    x, y = (dots.y, dots.x + away) if rows else (dots.x, dots.y)
    opacity = 1.0 if dots.strong or dots.crossed else 0.6
    axes.scatter(x, y, size, color=look.colour, marker=marker, alpha=opacity, linewidths=0, zorder=4, clip_on=False)
    if len(dots.low):
        reach = np.abs(np.array([dots.y - dots.low, dots.high - dots.y]))
        error = {"xerr": reach} if rows else {"yerr": reach}
        axes.errorbar(x, y, **error, fmt="none", ecolor=look.colour, elinewidth=1.1, capsize=2.5, zorder=4)


def _draw_mark(axes: Axes, mark: Mark, look: Mapping[str, int]) -> None:
    colour = style(look[mark.arm]).colour if mark.arm else "#595e66"
    (x0, y0), (x1, y1) = mark.start, mark.end
    if isfinite(x0) and isfinite(y0):
        axes.plot([x0, x1], [y0, y1], color=colour, linewidth=2.5, solid_capstyle="butt")
        for x, is_open, arrow in ((x0, mark.open_ends[0], "<"), (x1, mark.open_ends[1], ">")):
            axes.plot([x], [y0], color=colour, marker=arrow if is_open else "|", markersize=7, markeredgewidth=1.6)
    elif isfinite(y0):
        axes.axhline(y0, color=colour, linewidth=1, linestyle=":")
        across = axes.get_yaxis_transform()
        axes.text(0.01, y0, mark.text, transform=across, va="bottom", fontsize=8, color=colour)
    else:
        dash = DASHES[style(look[mark.arm]).dash] if mark.arm else "--"
        axes.axvline(x0, color=colour, linewidth=1, linestyle=dash)


def _handle(look: Style) -> Line2D:
    dash, marker = DASHES[look.dash], MARKERS[look.marker]
    return Line2D([], [], color=look.colour, linestyle=dash, marker=marker, markersize=4, linewidth=1.5)


def _shown(arm: str, look: Mapping[str, int]) -> bool:
    return look[arm] < MOST_ARMS


def _left_out(comparison: Comparison) -> str:
    more = len(comparison.arms) - MOST_ARMS
    return f"Curves of the best {MOST_ARMS} arms; {more} more are in the table." if more > 0 else ""
