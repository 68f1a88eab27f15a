"""What a figure shows, before anything draws it.

The page and the pictures for papers are drawn from the same figures.

Arms are told apart by colour, dash and marker together, so that colour is never the only cue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core.colours import COLOURS, DARK_COLOURS

Floats = NDArray[np.float64]

DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon", "star")
NONE: Floats = np.empty(0)
# Axes along which a run can be drawn.
STEP, SECONDS, EXAMPLES = "step", "seconds", "examples"


@dataclass(frozen=True)
class Style:
    """How an arm looks, in the words of plotly.

    ``dark`` is its colour on a dark ground.
    """

    colour: str
    dark: str
    dash: str
    marker: str


@dataclass(frozen=True)
class Line:
    """One arm's values along an axis, with a band.

    Attributes:
        arm: whose; it gives the style.
        x: axis → ``[n]``, for each axis of the panel.
        y: ``[n]``; the line is broken at NaN.
        low: ``[n]`` lower edge of the band, or empty; ``high`` likewise.
        runs: how many runs are behind it.
        steps: whether y changes at each x at once.
    """

    arm: str
    x: Mapping[str, Floats]
    y: Floats
    low: Floats = field(default_factory=lambda: NONE)
    high: Floats = field(default_factory=lambda: NONE)
    runs: int = 1
    steps: bool = False


@dataclass(frozen=True)
class Raw:
    """One run's values as they were logged.

    They are drawn faintly behind the lines.

    Attributes:
        arm: whose run.
        label: which run.
        steps: ``[n]``, rising.
        values: ``[n]``.
        clocks: axis → (steps, values) at which it was read; in between it is interpolated.
    """

    arm: str
    label: str
    steps: Floats
    values: Floats
    clocks: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)

    def along(self, axis: str) -> Floats:
        """Return where the values lie on an axis ``[n]``.

        It is NaN where the axis's clock was not running.
        """
        if axis == STEP:
            return self.steps
        if axis not in self.clocks:
            return np.full(len(self.steps), np.nan)
        found: Floats = np.interp(self.steps, *self.clocks[axis], left=np.nan, right=np.nan)
        return found


@dataclass(frozen=True)
class Dots:
    """Single values of runs or arms.

    There is one for each run, or one for each arm with its interval.

    Attributes:
        arm: whose.
        x: ``[n]``, or the row ``[n]`` in a panel of rows.
        y: ``[n]``.
        texts: what each says of itself.
        low: ``[n]`` ends of intervals of y, or empty; ``high`` likewise.
        strong: whether they are the summary and not the runs.
        crossed: drawn as a cross: a run that diverged.
    """

    arm: str
    x: Floats
    y: Floats
    texts: Sequence[str]
    low: Floats = field(default_factory=lambda: NONE)
    high: Floats = field(default_factory=lambda: NONE)
    strong: bool = False
    crossed: bool = False


@dataclass(frozen=True)
class Mark:
    """A line of reference between two points.

    NaN reaches to the edge of the panel.

    Attributes:
        text: what it says.
        start: x and y.
        end: x and y.
        arm: whose, or empty.
        open_ends: whether it goes on beyond its start, and beyond its end.
    """

    text: str
    start: tuple[float, float]
    end: tuple[float, float]
    arm: str = ""
    open_ends: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Axis:
    """What x can be.

    It has a key in the series, and a label.
    """

    key: str
    label: str


@dataclass(frozen=True)
class Heat:
    """Positive values of rows and columns, as colours on a logarithmic scale.

    Attributes:
        x: ``[n]``, rising.
        rows: names, the lowest one first.
        values: ``[rows, n]``; what is not positive has no colour.
        ends: lowest and highest value of the scale.
        label: what the values are.
    """

    x: Floats
    rows: tuple[str, ...]
    values: Floats
    ends: tuple[float, float]
    label: str


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what is in it.
        axes: choices of x; the first is shown at first.
        y_label: with its unit.
        lines: of arms.
        raws: of runs.
        dots: single values.
        marks: lines of reference.
        x_log: whether x is logarithmic at first.
        y_log: the same for y.
        y_range: shown at first; None: all.
        y_limit: largest value that y can have; what is drawn above it (bars) has no numbers on the axis.
        x_whole: whether x counts whole things.
        rows: names of rows; then y is drawn along the horizontal axis, and x is the row.
        heat: colours in place of lines.
    """

    title: str
    axes: tuple[Axis, ...]
    y_label: str
    lines: tuple[Line, ...] = ()
    raws: tuple[Raw, ...] = ()
    dots: tuple[Dots, ...] = ()
    marks: tuple[Mark, ...] = ()
    x_log: bool = False
    y_log: bool = False
    y_range: tuple[float, float] | None = None
    rows: tuple[str, ...] = ()
    y_limit: float = inf
    x_whole: bool = False
    heat: Heat | None = None


@dataclass(frozen=True)
class Figure:
    """Panels under one heading.

    Attributes:
        key: its name in files and addresses.
        title: heading.
        conclusion: what these data say.
        reading: what to conclude from such a figure, and how it was made.
        panels: at least one.
        middle_name: what the page calls the line through the middle of an arm's runs.
        raw_name: what the page calls the values of single runs.
        lists_marks: whether the page also lists the marks in words.
        many_points: whether single runs may take as many points as a page has room for.
        of_families: whether its lines are of families and not of arms.
    """

    key: str
    title: str
    conclusion: str
    panels: tuple[Panel, ...]
    reading: str = ""
    middle_name: str = "median"
    raw_name: str = "each run"
    lists_marks: bool = False
    many_points: bool = True
    of_families: bool = False


def style(index: int) -> Style:
    """Return the look of the arm of this place.

    The first six differ in each respect.
    """
    turn = index % len(COLOURS) + index // len(COLOURS)
    return Style(
        COLOURS[index % len(COLOURS)],
        DARK_COLOURS[index % len(COLOURS)],
        DASHES[turn % len(DASHES)],
        MARKERS[turn % len(MARKERS)],
    )
