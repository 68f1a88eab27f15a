"""A figure as the page's script reads it.

Numbers are in base64, so that every point fits.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from lit_lossopt.comparison.report.curves import extremes, regular
from lit_lossopt.comparison.report.figure_spec import Dots, Figure, Floats, Heat, Line, Mark, Panel, Raw, Style

# Four bytes a value, a third more as base64: 5 MB, as much as plotly. That is every step of 200 runs of 5,000 steps.
MOST_POINTS = 1_000_000
# Arms that are drawn. More lines cannot be told apart, and a reader has to find each among the others.
MOST_ARMS = 30


def with_first_arms(figure: Figure, arms: Sequence[str]) -> Figure:
    """Return the figure with the first arms alone, if there are very many.

    The reading says so. What the figure concludes stays, because it is of all arms. Figures of families stay whole.

    Args:
        figure: of all arms.
        arms: their names, best first.
    """
    if len(arms) <= MOST_ARMS or figure.of_families:
        return figure
    names = set(arms[:MOST_ARMS])
    panels = tuple(_of_arms(panel, names, len(arms)) for panel in figure.panels)
    if panels == figure.panels:
        return figure
    said = f"Drawn are the {MOST_ARMS} of {len(arms)} arms that end best. The table of arms has all."
    return replace(figure, panels=panels, reading=f"{figure.reading} {said}")


def _of_arms(panel: Panel, names: Collection[str], arms: int) -> Panel:
    lines = tuple(line for line in panel.lines if line.arm in names)
    raws = tuple(raw for raw in panel.raws if raw.arm in names)
    dots = tuple(some for some in panel.dots if some.arm in names)
    if (len(lines), len(raws), len(dots)) == (len(panel.lines), len(panel.raws), len(panel.dots)):
        return panel
    # A row is an arm, and rows are in the order of arms.
    rows = panel.rows[: len(names)] if len(panel.rows) == arms else panel.rows
    return replace(panel, lines=lines, raws=raws, dots=dots, rows=rows)


def thinned(figure: Figure, most: int = MOST_POINTS) -> Figure:
    """Return the figure with about ``most`` raw points at most.

    The lowest and highest of equal stretches are kept.

    The caption says so if any are left out.
    """
    points = sum(len(raw.values) for panel in figure.panels for raw in panel.raws)
    if points <= most:
        return figure
    # Irregular steps are stored beside the values, so each point kept costs twice as much.
    share = most / (2 * points)
    panels = [replace(panel, raws=tuple(_thin(raw, share) for raw in panel.raws)) for panel in figure.panels]
    kept = sum(len(raw.values) for panel in panels for raw in panel.raws)
    said = f"Of {points:,} logged values {kept:,} are in this page: the lowest and the highest of equal stretches."
    return replace(figure, panels=tuple(panels), reading=f"{figure.reading} {said}")


def _thin(raw: Raw, share: float) -> Raw:
    kept = extremes(raw.steps, raw.values, max(8, int(share * len(raw.values) / 2)))
    return replace(raw, steps=raw.steps[kept], values=raw.values[kept])


def figure_data(figure: Figure, look: Mapping[str, int]) -> dict[str, Any]:
    """Return what the script draws a figure from.

    ``look`` gives the place of each name's style.
    """
    return {"key": figure.key, "panels": [_panel(panel, look) for panel in figure.panels]}


def style_data(styles: Sequence[Style]) -> list[dict[str, str]]:
    """Return the styles as plain values."""
    return [
        {"colour": style.colour, "dark": style.dark, "dash": style.dash, "marker": style.marker} for style in styles
    ]


def _panel(panel: Panel, look: Mapping[str, int]) -> dict[str, Any]:
    keys = [axis.key for axis in panel.axes]
    return {
        "title": panel.title,
        "axes": [[axis.key, axis.label] for axis in panel.axes],
        "yLabel": panel.y_label,
        "xLog": panel.x_log,
        "yLog": panel.y_log,
        "yRange": panel.y_range,
        "yLimit": panel.y_limit if isfinite(panel.y_limit) else None,
        "xWhole": panel.x_whole,
        "rows": list(panel.rows),
        "lines": [_line(line, look, keys) for line in panel.lines],
        "raws": [_raw(raw, look, keys) for raw in panel.raws],
        "dots": [_dots(dots, look) for dots in panel.dots],
        "marks": [_mark(mark, look) for mark in panel.marks],
        "heat": _heat(panel.heat) if panel.heat else None,
    }


def _line(line: Line, look: Mapping[str, int], keys: Sequence[str]) -> dict[str, Any]:
    return {
        "arm": line.arm,
        "look": look[line.arm],
        "x": {key: packed(line.x[key]) for key in keys},
        "y": packed(line.y),
        "low": packed(line.low),
        "high": packed(line.high),
        "runs": line.runs,
        "steps": line.steps,
    }


def _raw(raw: Raw, look: Mapping[str, int], keys: Sequence[str]) -> dict[str, Any]:
    even = regular(raw.steps)
    clocks = {key: [packed(part) for part in raw.clocks[key]] for key in keys if key in raw.clocks}
    steps = {"even": even} if even else {"steps": packed(raw.steps)}
    return {"label": raw.label, "look": look[raw.arm], **steps, "y": packed(raw.values), "clocks": clocks}


def _dots(dots: Dots, look: Mapping[str, int]) -> dict[str, Any]:
    return {
        "arm": dots.arm,
        "look": look[dots.arm],
        "x": packed(dots.x),
        "y": packed(dots.y),
        "low": packed(dots.low),
        "high": packed(dots.high),
        "texts": list(dots.texts),
        "strong": dots.strong,
        "crossed": dots.crossed,
    }


def _mark(mark: Mark, look: Mapping[str, int]) -> dict[str, Any]:
    ends = [[number if isfinite(number) else None for number in point] for point in (mark.start, mark.end)]
    return {"text": mark.text, "start": ends[0], "end": ends[1], "look": look.get(mark.arm), "open": mark.open_ends}


def _heat(heat: Heat) -> dict[str, Any]:
    return {
        "x": packed(heat.x),
        "rows": list(heat.rows),
        "values": packed(heat.values.ravel()),
        "ends": list(heat.ends),
        "label": heat.label,
    }


def packed(values: Floats) -> str:
    """Return ``values [n]`` as float32 in base64.

    It is little-endian. Steps are exact in it up to 2^24.
    """
    with np.errstate(over="ignore"):
        return base64.b64encode(np.asarray(values).astype("<f4").tobytes()).decode("ascii")
