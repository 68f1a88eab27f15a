"""What the axis of a comparison is called."""

from __future__ import annotations

from math import isnan

import numpy as np

from lit_lossopt.comparison.comparison import Comparison, Trial

_LABELS = {"step": "step", "epoch": "epoch", "example": "examples seen"}


def to_target(comparison: Comparison) -> str:
    """Return ``steps to target``, or epochs, or examples."""
    return f"{comparison.axis}s to target"


def axis_label(comparison: Comparison) -> str:
    """Return the label below a curve.

    It is ``step``, ``epoch`` or ``examples seen``.
    """
    return "as logged, by step or by epoch" if comparison.no_speed else _LABELS[comparison.axis]


def by_axis(comparison: Comparison) -> str:
    """Return the title of a panel, as ``by steps``."""
    return "as logged" if comparison.no_speed else f"by {comparison.axis}s"


def shown_place(place: float) -> str:
    """Return a place on the axis as it is shown.

    Examples are ``1,200`` steps and ``17.5`` epochs.
    """
    return f"{place:,.0f}" if place >= 100 or place == round(place) else f"{place:.3g}"


def place_of_best(trial: Trial) -> float:
    """Return where on the axis the best evaluation lies.

    Where there is no axis, it is the logged step.
    """
    found = np.flatnonzero(trial.curve.steps == trial.best_step)
    known = len(found) and len(trial.axis) == len(trial.curve.steps) and not isnan(trial.axis[found[0]])
    return float(trial.axis[found[0]]) if known else float(trial.best_step)
