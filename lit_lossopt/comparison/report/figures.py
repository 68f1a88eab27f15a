"""What each figure of a comparison shows.

A new figure needs one function here and one entry in ``FIGURES``.

A function's docstring says, after its first sentence, what to conclude from the figure: it stands in the caption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from operator import attrgetter

import numpy as np

from lit_lossopt.comparison.comparison import Comparison, Estimate, Trial
from lit_lossopt.comparison.report import conclusions
from lit_lossopt.comparison.report.diagnostic_figures import (
    gradient_flow,
    stability,
    step_geometry,
    update_ratio,
)
from lit_lossopt.comparison.report.figure_parts import (
    by_criterion,
    loss_range,
    rate_dots,
    rate_marks,
    row_panel,
    window_levels,
)
from lit_lossopt.comparison.report.figure_spec import EXAMPLES, SECONDS, STEP, Axis, Figure, Line, Mark, Panel
from lit_lossopt.comparison.report.phrases import axis_label, by_axis, to_target
from lit_lossopt.comparison.report.race_figure import race
from lit_lossopt.comparison.report.series import (
    axes_of,
    change_line,
    loss_line,
    metric_line,
    raw_curves,
    raw_losses,
)
from lit_lossopt.comparison.report.trunks import drawn_once
from lit_lossopt.comparison.report.units import ripple_name, unit
from lit_lossopt.comparison.report.verdict.convergence import final, speed
from lit_lossopt.comparison.report.verdict.oscillation import oscillation as who_oscillates

LABELS = {SECONDS: "training seconds", EXAMPLES: "examples seen"}


def metric(comparison: Comparison) -> Figure | None:
    """Show the compared metric at each evaluation.

    Look where each line reaches the target (dotted), along the axis and by the clock, where an arm with costly steps
    falls back. Whether a lead can be claimed stands in the table of differences, which compares the arms seed by seed.
    Line: median over the seeds; band: the lowest and the highest seed; faint: each run. A run that diverged stays at
    its last finite value. The line of a branch begins where it leaves the line that it shares with another arm.
    """
    trials = _trials(comparison)
    if not any(len(trial.curve.steps) for trial in trials):
        return None
    shown, axes = unit(comparison.metric), axes_of(trials, comparison.axis)
    arms = drawn_once(comparison.arms)
    lines = tuple(metric_line(arm, axes, shown.factor) for arm in arms)
    raws = tuple(raw for arm in arms for raw in raw_curves(arm, shown.factor))
    level = shown.factor * comparison.target
    target = (Mark(f"target {shown.text(comparison.target)}", (nan, level), (nan, level)),) if isfinite(level) else ()
    label = f"{comparison.metric}{shown.axis}"
    whole = Panel(by_axis(comparison), (), label, lines, raws, marks=target, y_limit=shown.limit)
    panels = [replace(whole, axes=_axes(comparison, [axis for axis in axes if axis != SECONDS]))]
    if SECONDS in axes:
        panels.append(replace(whole, title="by training seconds", axes=_axes(comparison, [SECONDS])))
    said = " ".join(final(comparison))
    return Figure("metric", f"{comparison.metric} at each evaluation", said, tuple(panels), many_points=False)


def target(comparison: Comparison) -> Figure | None:
    """Show what each run needed to reach the target.

    Runs further left took less. Dots of two arms may overlap and yet differ seed by seed, since a hard seed is hard for
    both. Whether one is faster stands in the table of differences. Small: runs; large: their median, with its interval
    where one is known. Runs that never reached the target have no dot; they are counted beside the arm's name.
    """
    if not any(isfinite(trial.steps_to_target) for trial in _trials(comparison)):
        return None
    missed = [len(arm.trials) - arm.reached for arm in comparison.arms]
    rows = [f"{arm.name} ({n} never)" if n else arm.name for arm, n in zip(comparison.arms, missed, strict=True)]
    steps, seconds = attrgetter("steps_to_target"), attrgetter("seconds_to_target")
    panels = [row_panel(comparison, rows, to_target(comparison), steps, steps)]
    if any(isfinite(trial.seconds_to_target) for trial in _trials(comparison)):
        panels.append(row_panel(comparison, rows, "training seconds to target", seconds, seconds))
    title = f"{comparison.axis.capitalize()}s and seconds to the target"
    return Figure("target", title, " ".join(speed(comparison)), tuple(panels))


def loss(comparison: Comparison) -> Figure | None:
    """Show the training loss of each step.

    Look how fast and how smoothly each line falls. Nothing is claimed from this figure. Line: median over the seeds of
    the running mean (a fiftieth of the run to either side, less at its start); band: the lowest and the highest seed;
    faint: the loss of each batch. A run that diverged counts as infinite from there on, so a line ends where half of
    its runs have. Values of different losses cannot be compared, so each loss has its own panel.
    """
    panels: list[Panel] = []
    said: list[str] = []
    for criterion, arms in by_criterion(drawn_once(comparison.arms)).items():
        trials = [trial for arm in arms for trial in arm.trials if len(trial.losses.steps)]
        if trials:
            axes = axes_of(trials, comparison.axis)
            lines = tuple(loss_line(arm, axes) for arm in arms)
            raws = tuple(raw for arm in arms for raw in raw_losses(arm) if len(raw.steps))
            shown = loss_range(lines, raws)
            positive = shown is not None and shown[0] > 0
            panels.append(
                Panel(criterion, _axes(comparison, axes), "loss of a batch", lines, raws, y_log=positive, y_range=shown)
            )  # fmt: skip
            said += conclusions.last_losses(criterion, lines)
    if not panels:
        return None
    title = "Training loss of each step"
    return Figure("loss", title, " ".join(said), tuple(panels), middle_name="smoothed", raw_name="raw")


def oscillation(comparison: Comparison) -> Figure | None:
    """Show how much the metric and the loss go up and down.

    Oscillates means here that the training loss, measured on the same images after a step and after the next, climbs
    back: 0.8 says that 0.8 of each unit of descent was climbed up again. Where runs have no such measurement, look at
    the roughness: how far evaluations lie from the line between their neighbours, in the second half of training, so
    that an arm that is still improving does not count as restless. Ripple describes only: what is left of the loss of
    each step without its trend and without what all arms of the seed share (they are taken to have seen the same
    batches), as a share of the descent. Small: runs; large: their mean.
    """
    shown, trials = unit(comparison.metric), _trials(comparison)
    panels: list[Panel] = []
    names = [arm.name for arm in comparison.arms]
    if any(len(trial.curve.steps) > 2 for trial in trials):
        axes = axes_of(trials, comparison.axis)
        lines = tuple(change_line(arm, axes, shown.factor) for arm in drawn_once(comparison.arms))
        label = f"|change| of {comparison.metric}{shown.difference_axis}"
        panels.append(Panel("from one evaluation to the next", _axes(comparison, axes), label, lines))
    if any(isfinite(trial.climb_back) for trial in trials):
        climb = attrgetter("climb_back")
        panels.append(row_panel(comparison, names, "climb-back, share of the descent", climb, climb))
    if any(isfinite(trial.roughness) for trial in trials):
        label = f"roughness of {comparison.metric}{shown.difference_axis}"
        summary = lambda arm: Estimate(shown.factor * arm.roughness.value)  # noqa: E731  # beside its twin
        panels.append(row_panel(comparison, names, label, lambda trial: shown.factor * trial.roughness, summary))
    if any(isfinite(trial.ripple) for trial in trials):
        ripple = attrgetter("ripple")
        panels.append(row_panel(comparison, names, f"{ripple_name(comparison)} of the loss", ripple, ripple))
    said = " ".join(who_oscillates(comparison))
    climbs = any(isfinite(trial.climb_back) for trial in trials)
    title = "Oscillation" if climbs else "Roughness of the evaluations"
    return Figure("oscillation", title, said, tuple(panels)) if panels else None


def sensitivity(comparison: Comparison) -> Figure | None:
    """Show the final value against the learning rate.

    The wider an arm's bar, the less its learning rate matters. Bar (its height says nothing): the rates around the best
    one at which the final value stays at 95 % of the best; where it ends in an arrow, the tried rates end, and it may
    be wider. Cross: a run that diverged. Vertical line: the smallest diverging rate above the best; its distance from
    the best is the room for error.
    """
    if not comparison.sensitivity:
        return None
    shown = unit(comparison.metric)
    lines = tuple(
        Line(curve.family, {"rate": curve.rates}, shown.factor * curve.finals) for curve in comparison.sensitivity
    )
    dots = tuple(dot for curve in comparison.sensitivity for dot in rate_dots(curve, shown))
    levels = window_levels(comparison.sensitivity, shown)
    marks = tuple(
        mark for curve, level in zip(comparison.sensitivity, levels, strict=True) for mark in rate_marks(curve, level)
    )
    label = f"final {comparison.metric}{shown.axis}"
    panel = Panel(
        "", (Axis("rate", "learning rate"),), label, lines, dots=dots, marks=marks, x_log=True, y_limit=shown.limit
    )
    said = conclusions.windows(comparison.sensitivity)
    return Figure("sensitivity", "Learning-rate sensitivity", said, (panel,), lists_marks=True, of_families=True)


def budget(comparison: Comparison) -> Figure | None:
    """Show the expected best final value after k tuning trials.

    With k trials to spend, take the arm whose line is best at k; where lines cross, the answer depends on the
    budget. Computed from the trials made, as if k of them had been drawn without replacement.
    """
    curves = [curve for curve in comparison.budgets if len(curve.expected)]
    if not curves:
        return None
    shown = unit(comparison.metric)
    lines = tuple(
        Line(
            curve.family, {"trials": np.arange(1.0, len(curve.expected) + 1)}, shown.factor * curve.expected, steps=True
        )
        for curve in curves
    )
    panel = Panel(
        "",
        (Axis("trials", "tuning trials"),),
        f"expected best {comparison.metric}{shown.axis}",
        lines,
        x_whole=True,
        y_limit=shown.limit,
    )
    said = conclusions.best_of_budget(curves, comparison.higher_is_better)
    return Figure("budget", "What a tuning budget buys", said, (panel,), of_families=True)


FIGURES: tuple[Callable[[Comparison], Figure | None], ...] = (
    race, metric, target, loss, oscillation, gradient_flow, update_ratio, step_geometry, stability, sensitivity,
    budget,
)  # fmt: skip


def figures(comparison: Comparison) -> list[Figure]:
    """Return every figure for which there are data.

    Each says what to conclude from it.
    """
    made = [(make, make(comparison)) for make in FIGURES] if comparison.arms else []
    return [
        replace(figure, reading=" ".join((make.__doc__ or "").partition("\n\n")[2].split()))
        for make, figure in made
        if figure
    ]


def looks(comparison: Comparison) -> Mapping[str, int]:
    """Return the place of the style for every drawn name.

    A family looks like its best arm.
    """
    places = {arm.name: place for place, arm in enumerate(comparison.arms)}
    for arm in comparison.arms:
        places.setdefault(arm.family, places[arm.name])
    families = [*(curve.family for curve in comparison.sensitivity), *(curve.family for curve in comparison.budgets)]
    for family in families:
        places.setdefault(family, len(set(places.values())))
    return places


def _trials(comparison: Comparison) -> list[Trial]:
    return [trial for arm in comparison.arms for trial in arm.trials]


def _axes(comparison: Comparison, keys: Sequence[str]) -> tuple[Axis, ...]:
    labels = {**LABELS, STEP: axis_label(comparison)}
    return tuple(Axis(key, labels[key]) for key in keys)
