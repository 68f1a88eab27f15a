"""Trainings of tests draw no confusion matrix: a fifth of a short training's time would go into that picture."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from lit_lossopt.sweeps.engines import rehearsal
from lit_lossopt.training.callbacks import pictures
from tests.support.migrations import read_migrations_once


def empty_figure(*_: Any, **__: Any) -> Figure:
    """Return a picture of nothing."""
    return Figure(figsize=(1, 1))


def rehearse() -> None:
    """Prepare the process from which trainings are forked, and let these draw nothing and open stores fast."""
    rehearsal.rehearse()
    read_migrations_once()
    setattr(pictures, "confusion_figure", empty_figure)  # noqa: B010  # its module does not export it
