"""A figure of a comparison as a figure of plotly, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lit_lossopt.comparison.report.curves import extremes
from lit_lossopt.comparison.report.figure_spec import Dots, Figure, Floats, Heat, Line, Mark, Panel, Style, style

# More points of a run than that are thinned to the lowest and the highest of equal stretches.
_MOST_OF_A_RUN = 2_000
_HEIGHT, _HEIGHT_OF_ROW, _MARGIN = 380, 34, 140
_GREY = "#595e66"


def plotly_figure(figure: Figure, look: Mapping[str, int]) -> go.Figure:
    """Return the figure with its panels below each other.

    Args:
        figure: what is drawn, along the first axis of each panel.
        look: arm → the place of its style.
    """
    heights = [_height(panel) for panel in figure.panels]
    titles = [panel.title for panel in figure.panels]
    drawn = make_subplots(rows=len(heights), cols=1, subplot_titles=titles, row_heights=heights)
    named: set[str] = set()
    for row, panel in enumerate(figure.panels, 1):
        for trace in _traces(panel, look):
            # One entry of the legend for each arm, in whatever panel it comes first.
            arm = trace.legendgroup
            trace.showlegend = bool(trace.showlegend is not False and arm and arm not in named)
            named |= {arm} if trace.showlegend else set()
            drawn.add_trace(trace, row=row, col=1)
        _set_axes(drawn, panel, row)
        for mark in panel.marks:
            _draw_mark(drawn, mark, row, look)
    drawn.update_layout(template="plotly_white", title=figure.title, height=sum(heights) + _MARGIN, hovermode="closest")
    return drawn


def _height(panel: Panel) -> int:
    rows = panel.rows or (panel.heat.rows if panel.heat else ())
    return 110 + _HEIGHT_OF_ROW * len(rows) if rows else _HEIGHT


def _traces(panel: Panel, look: Mapping[str, int]) -> Iterator[Any]:
    if panel.heat:
        yield _heat(panel.heat)
        return
    key = panel.axes[0].key
    for raw in panel.raws:
        x = raw.along(key)
        kept = extremes(x, raw.values, _MOST_OF_A_RUN // 2)
        colour = style(look[raw.arm]).colour
        yield go.Scattergl(
            x=x[kept], y=raw.values[kept], mode="lines", name=raw.label, legendgroup=raw.arm, showlegend=False,
            line={"color": colour, "width": 0.7}, opacity=0.25,
        )  # fmt: skip
    for line in panel.lines:
        yield from _line(line, key, style(look[line.arm]))
    for dots in panel.dots:
        yield _dots(dots, rows=bool(panel.rows), look=style(look[dots.arm]))


def _line(line: Line, key: str, look: Style) -> Iterator[Any]:
    x = line.x[key]
    if len(line.low):
        edges = np.concatenate([line.low, line.high[::-1]])
        known = np.isfinite(edges)
        yield go.Scatter(
            x=np.concatenate([x, x[::-1]])[known], y=edges[known], fill="toself", mode="none", hoverinfo="skip",
            fillcolor=look.colour, opacity=0.14, name=line.arm, legendgroup=line.arm, showlegend=False,
        )  # fmt: skip
    yield go.Scatter(
        x=x, y=line.y, mode="lines", name=line.arm, legendgroup=line.arm,
        line={"color": look.colour, "dash": look.dash, "width": 2, "shape": "hv" if line.steps else "linear"},
    )  # fmt: skip


def _dots(dots: Dots, *, rows: bool, look: Style) -> Any:
    marker = {"color": look.colour, "symbol": "x" if dots.crossed else look.marker, "size": 10 if dots.strong else 6}
    reach: dict[str, Any] = {}
    if len(dots.low):
        reach = {"type": "data", "symmetric": False, "array": dots.high - dots.y, "arrayminus": dots.y - dots.low}
    x, y = (dots.y, dots.x) if rows else (dots.x, dots.y)
    return go.Scatter(
        x=x, y=y, mode="markers", marker=marker, text=list(dots.texts), hoverinfo="text", name=dots.arm,
        legendgroup=dots.arm, opacity=1.0 if dots.strong or dots.crossed else 0.6,
        **({"error_x" if rows else "error_y": reach} if reach else {}),
    )  # fmt: skip


def _heat(heat: Heat) -> Any:
    shown: Floats = np.log10(np.where(heat.values > 0, heat.values, np.nan))
    low, high = np.log10(heat.ends)
    ticks = np.arange(np.ceil(low), high + 1e-9)
    bar = {"title": heat.label, "tickvals": ticks, "ticktext": [f"1e{tick:.0f}" for tick in ticks]}
    return go.Heatmap(
        x=heat.x, y=list(heat.rows), z=shown, zmin=low, zmax=high, colorscale="Viridis", colorbar=bar, showlegend=False
    )


def _set_axes(drawn: go.Figure, panel: Panel, row: int) -> None:
    if panel.rows:
        drawn.update_xaxes(title_text=panel.y_label, row=row, col=1)
        places = list(range(len(panel.rows)))
        ends = [len(places) - 0.5, -0.5]
        drawn.update_yaxes(tickvals=places, ticktext=list(panel.rows), range=ends, row=row, col=1)
        return
    drawn.update_xaxes(title_text=panel.axes[0].label, type="log" if panel.x_log else "linear", row=row, col=1)
    if panel.heat:
        return
    drawn.update_yaxes(title_text=panel.y_label, type="log" if panel.y_log else "linear", row=row, col=1)
    if panel.y_range:
        ends = list(np.log10(panel.y_range)) if panel.y_log else list(panel.y_range)
        drawn.update_yaxes(range=ends, row=row, col=1)


def _draw_mark(drawn: go.Figure, mark: Mark, row: int, look: Mapping[str, int]) -> None:
    colour = style(look[mark.arm]).colour if mark.arm else _GREY
    (x0, y0), (x1, y1) = mark.start, mark.end
    if np.isfinite(x0) and np.isfinite(y0):
        trace = go.Scatter(
            x=[x0, x1], y=[y0, y1], mode="lines", line={"color": colour, "width": 4}, hovertext=mark.text,
            showlegend=False,
        )  # fmt: skip
        drawn.add_trace(trace, row=row, col=1)
    elif np.isfinite(y0):
        drawn.add_hline(
            y=y0, line={"color": colour, "dash": "dot", "width": 1}, annotation_text=mark.text, row=row, col=1
        )
    else:
        drawn.add_vline(x=x0, line={"color": colour, "dash": "dash", "width": 1}, row=row, col=1)
