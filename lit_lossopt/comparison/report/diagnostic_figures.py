"""What figures of diagnostics show: why an arm behaves as it does.

As in ``figures``, a function's docstring says after its first sentence what to conclude.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite, nan

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Comparison
from lit_lossopt.comparison.measures.diagnostics import ByLayer, Floats, by_layer, median_at, steps_of
from lit_lossopt.comparison.report.figure_spec import NONE, STEP, Axis, Figure, Heat, Line, Mark, Panel
from lit_lossopt.core import names
from lit_lossopt.core.numbers import listed, named, significant

# Arms whose heat maps are shown.
MOST_ARMS = 8
# Shown at first: single steps go far beyond.
MOST_ALPHA = 2.0
_STEPS = (Axis(STEP, "step"),)


def gradient_flow(comparison: Comparison) -> Figure | None:
    """Show how large the gradient of each layer is, arm by arm, on one colour scale.

    Read a column from the top, the outputs, to the bottom, the images. Where colours darken on the way down, gradients
    vanish before they reach the first layers, and those learn little. Where they brighten, gradients explode. Along a
    row the gradient of a layer shrinks as the loss is learned. Each colour is the median over the arm's runs that were
    measured.
    """
    return _heat_figure(comparison, "gradient_flow", names.FLOW_GRADIENT, "Gradient flow", "gradient norm")


def update_ratio(comparison: Comparison) -> Figure | None:
    """Show by how much of its size each layer moves at a step, arm by arm, on one colour scale.

    The update ratio is ‖Δw‖ / ‖w‖. About 0.001 is healthy. Far less, and the rate is too low for this layer, or no
    gradient reaches it. Near 1, and a step replaces what the layer has learned. Each colour is the median over the
    arm's runs that were measured.
    """
    return _heat_figure(comparison, "update_ratio", names.FLOW_UPDATE, "Size of the updates", "update ratio")


def step_geometry(comparison: Comparison) -> Figure | None:
    """Show where steps end, measured on their own batch.

    α of −1 is no move, 0 ends at the minimum along the step, 1 at the same height on the far side. Values about 0.2 are
    usual for the best runs, and an arm that stays below −0.9 could take longer steps. Line: median over the arm's runs
    that were measured; band: the lowest and the highest run.
    """
    panel = _line_panel(comparison, names.ALPHA, "α of a step", ("minimum along the step", 0.0), logarithmic=False)
    if panel is None:
        return None
    said = [f"{significant(value, 2)} in {arm.name}" for arm, value in _medians(comparison, names.ALPHA)]
    conclusion = f"In the median α is {listed(said)}." if said else ""
    return Figure("step_geometry", "Step geometry", conclusion, (panel,))


def stability(comparison: Comparison) -> Figure | None:
    """Show how near training comes to the edge of stability.

    The needle is the sharpness times the rate, divided by the largest value at which the optimizer is still stable. In
    full-batch training it rises to 1 and stays there. In training on batches it usually stays below, and the gap says
    nothing. Adam and RMSprop scale each weight by its own gradients. Their needle is that of the scaled Hessian, and it
    is far above 1 while some weights have hardly had a gradient, as in the first steps. Line: median over the arm's
    runs that were measured; band: the lowest and the highest run.
    """
    panels = [
        panel
        for name, label, mark in (
            (names.NEEDLE, "stability needle", ("edge of stability", 1.0)),
            (names.SHARPNESS, "sharpness λ", None),
        )
        if (panel := _line_panel(comparison, name, label, mark, logarithmic=True))
    ]
    said = [f"{significant(value, 2)} in {arm.name}" for arm, value in _medians(comparison, names.NEEDLE)]
    conclusion = f"In the median the needle is at {listed(said)}." if said else ""
    return Figure("stability", "Edge of stability", conclusion, tuple(panels)) if panels else None


def _heat_figure(comparison: Comparison, key: str, quantity: str, title: str, label: str) -> Figure | None:
    measured = [
        (arm, grid)
        for arm in comparison.arms[:MOST_ARMS]
        if len((grid := by_layer((trial.run for trial in arm.trials), quantity)).steps)
    ]
    ends = _scale(np.concatenate([[nan], *(grid.values.ravel() for _, grid in measured)]))
    if ends is None:
        return None
    panels = tuple(
        Panel(arm.name, _STEPS, label, heat=Heat(grid.steps, grid.layers, grid.values, ends, label))
        for arm, grid in measured
    )
    return Figure(key, title, _extremes(measured, label), panels)


def _scale(values: Floats) -> tuple[float, float] | None:
    """Return the ends of the scale of all panels, or None where nothing is positive."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return None
    low, high = float(positive.min()), float(positive.max())
    # What vanishes altogether would take all colours from the rest.
    low = max(low, high * 1e-8)
    return (low, high) if high > 1.01 * low else (low / 2, high * 2)


def _extremes(measured: Sequence[tuple[Arm, ByLayer]], label: str) -> str:
    """Return a sentence on the arm whose layers differ most, and on layers that have nothing at all."""
    spans, empty = [], []
    for arm, grid in measured:
        middle = np.array([_middle(row) for row in grid.values])
        none = [layer for layer, value in zip(grid.layers, middle, strict=True) if value == 0]
        empty += [f"In {arm.name} it is 0 at {named(none)}."] if none else []
        known = middle[np.isfinite(middle) & (middle > 0)]
        if len(known) > 1:
            least = grid.layers[int(np.nanargmin(np.where(middle > 0, middle, nan)))]
            spans.append((float(known.max() / known.min()), arm.name, least))
    if not spans:
        return " ".join([f"The {label} of layers differs.", *empty]) if empty else ""
    span, name, layer = max(spans)
    factor = significant(span)
    return " ".join(
        [f"The {label} of layers differs most in {name}: by a factor of {factor}, least at {layer}.", *empty]
    )


def _middle(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else nan


def _line_panel(
    comparison: Comparison, name: str, label: str, mark: tuple[str, float] | None, *, logarithmic: bool
) -> Panel | None:
    lines = tuple(_lines(comparison, name, positive=logarithmic))
    if not lines:
        return None
    marks = (Mark(mark[0], (nan, mark[1]), (nan, mark[1])),) if mark else ()
    # Where every run diverged at once there is no value at all.
    above = any(np.fmax.reduce(np.append(line.high, line.y), initial=-np.inf) > MOST_ALPHA for line in lines)
    shown = (-1.1, MOST_ALPHA) if above and not logarithmic else None
    return Panel(label, _STEPS, label, lines, marks=marks, y_log=logarithmic, y_range=shown)


def _lines(comparison: Comparison, name: str, *, positive: bool) -> Iterator[Line]:
    for arm in comparison.arms:
        runs = [trial.run for trial in arm.trials if name in trial.run.histories]
        steps = steps_of(runs, name)
        if len(steps):
            centre = median_at(runs, name, steps)
            rows = np.array([median_at([run], name, steps) for run in runs])
            several = len(runs) > 1
            low, high = (_extreme(of, rows) if several else NONE for of in (np.nanmin, np.nanmax))
            shown = np.where(centre > 0, centre, nan) if positive else centre
            yield Line(arm.name, {STEP: steps}, shown, low, high, runs=len(runs))


def _extreme(of: Callable[..., Floats], rows: Floats) -> Floats:
    empty = np.isnan(rows).all(axis=0)
    return np.where(empty, nan, of(np.where(empty, 0.0, rows), axis=0))


def _medians(comparison: Comparison, name: str) -> Iterator[tuple[Arm, float]]:
    for arm in comparison.arms[:MOST_ARMS]:
        values = [trial.run.histories[name].values for trial in arm.trials if name in trial.run.histories]
        known = np.concatenate([[], *values])
        known = known[np.isfinite(known)]
        if len(known) and isfinite(middle := float(np.median(known))):
            yield arm, middle
