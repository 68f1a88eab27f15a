"""Runs and comparisons as objects of a program or a notebook.

They are immutable. What a notebook shows of them is the verdict, the table and the main figure.
"""

from __future__ import annotations

import base64
import copy
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.command import Shown
from lit_lossopt.comparison.comparison import Arm, Contrast
from lit_lossopt.comparison.inspection.command import curves_of
from lit_lossopt.comparison.inspection.summary import sentences
from lit_lossopt.comparison.report.figure_spec import Figure
from lit_lossopt.comparison.report.figures import figures, looks
from lit_lossopt.comparison.report.tables import Cell, arm_table
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean, printable
from lit_lossopt.core.frozen import Frozen
from lit_lossopt.core.paths import given_path
from lit_lossopt.tracking.reading.runs import History, read_runs
from lit_lossopt.tracking.reading.runs import Run as ReadRun

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
# The page has all of them. A notebook is narrow.
_COLUMNS = 7
_PANDAS = "to_frame needs pandas: pip install pandas"


@dataclass(frozen=True, eq=False)
class Run:
    """A training with everything that was recorded of it.

    Attributes:
        run_id: of MLflow.
        name: of MLflow.
        verdict: ``completed``, ``diverged``, ``collapsed``, ``interrupted`` or ``failed``.
        params: setting → text, as MLflow has them.
        tags: name → text.
        metrics: metric → its value at the last step.
        histories: metric → steps ``[n]`` int64 and values ``[n]`` float64.
    """

    run_id: str
    name: str
    verdict: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    histories: Mapping[str, History]
    _read: ReadRun

    @classmethod
    def read(cls, run_id: str) -> Run:
        """Return a run of the store.

        Args:
            run_id: its id, or the beginning of one.

        Raises:
            UserError: there is no such run.
        """
        (run,) = read_runs(run_ids=[run_id], metrics=None)
        _freeze(run)
        return cls(
            run.run_id,
            run.name,
            run.tags.get(names.TAG_VERDICT, ""),
            run.params,
            run.tags,
            run.metrics,
            run.histories,
            run,
        )

    @property
    def losses(self) -> Floats:
        """The training loss of every step ``[n]``."""
        history = self.histories.get(names.TRAIN_LOSS)
        return history.values if history else np.empty(0)  # noqa: PD011  # no table

    @cached_property
    def words(self) -> tuple[str, ...]:
        """How it ended and what its diagnostics found, a sentence each."""
        return tuple(sentences(self._read))

    def to_frame(self) -> DataFrame:
        """Return a table with a row for each value: metric, step, value.

        Raises:
            UserError: pandas is not installed.
        """
        rows = [
            (metric, step, value)
            for metric, history in self.histories.items()
            for step, value in zip(history.steps.tolist(), history.values.tolist(), strict=True)  # noqa: PD011  # no table
        ]
        return _frame(rows, ("metric", "step", "value"))

    def figure(self, name: str = "loss") -> Any:
        """Return a figure of plotly, as ``loss`` or ``metric``.

        Raises:
            UserError: the run has no such figure.
        """
        return _drawn(curves_of(self._read), name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page of this run.

        Raises:
            UserError: it has no curves, or the page cannot be written.
        """
        from lit_lossopt.comparison.report.page import write_page

        _save(path, partial(write_page, curves_of(self._read), self.words))

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}, {self.name!r}, {self.verdict})"

    def _repr_html_(self) -> str:
        try:
            picture = _picture(curves_of(self._read), "loss")
        except UserError:
            # A run that was never evaluated has no curves, and is shown all the same.
            picture = ""
        return _page_part(self.words, "", picture)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What may be said of several arms."""

    _shown: Shown

    def __post_init__(self) -> None:
        for arm in self.arms:
            for trial in arm.trials:
                _freeze(trial.run)
                for array in (trial.curve.values, trial.losses.values, trial.seconds, trial.examples, trial.axis):  # noqa: PD011  # no table
                    array.setflags(write=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The verdict, a sentence each. The first stands for all."""
        return tuple(self._shown.words)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, best first by their mean final value."""
        return self._shown.comparison.arms

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Every two arms against each other, by final value, speed and oscillation."""
        return self._shown.comparison.contrasts

    @property
    def record(self) -> Mapping[str, Any]:
        """Everything as plain values, as ``lossopt compare --json`` writes it. It is a copy."""
        return copy.deepcopy(self._shown.record)

    def to_frame(self) -> DataFrame:
        """Return a table with a row for each run: its arm, its seed, and what was measured.

        Raises:
            UserError: pandas is not installed.
        """
        wanted = ("arm", "seed", "learning_rate", "verdict", "final", "best", "best_step", "area", "steps_to_target",
                  "seconds_to_target", "examples_to_target", "ripple", "roughness", "climb_back")  # fmt: skip
        rows = [
            (trial.run.run_id, *(getattr(trial, name) for name in wanted)) for arm in self.arms for trial in arm.trials
        ]
        return _frame(rows, ("run_id", *wanted))

    def figure(self, name: str = "metric") -> Any:
        """Return a figure of plotly, as ``metric``, ``loss``, ``target`` or ``sensitivity``.

        Raises:
            UserError: the comparison has no such figure.
        """
        return _drawn(self._shown.comparison, name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page of the comparison.

        Raises:
            UserError: it cannot be written.
        """
        from lit_lossopt.comparison.report.page import write_page

        _save(path, partial(write_page, self._shown.comparison, self.words, record=self._shown.record))

    def __repr__(self) -> str:
        return f"Comparison({self.words[0]!r}, arms={[arm.name for arm in self.arms]})"

    def _repr_html_(self) -> str:
        comparison = self._shown.comparison
        table = arm_table(comparison)
        rows = [(row.name, [_cell(cell) for cell in row.cells[:_COLUMNS]]) for row in table.rows]
        return _page_part(self.words, _table(table.heads[:_COLUMNS], rows), _picture(comparison, "metric"))


def _freeze(run: ReadRun) -> None:
    """Make what a run holds read-only."""
    for name in ("params", "tags", "metrics", "histories"):
        object.__setattr__(run, name, Frozen(getattr(run, name)))
    for history in run.histories.values():
        for array in (history.steps, history.values, history.milliseconds):  # noqa: PD011  # no table
            array.setflags(write=False)


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError(_PANDAS) from error
    return pd.DataFrame(rows, columns=list(columns))


def _save(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    try:
        write(given_path(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"save {os.fspath(path)!r}: cannot be written: {getattr(error, 'strerror', '') or error}"
        ) from error


def _spec(comparison: Any, name: str) -> Figure:
    known = {figure.key: figure for figure in figures(comparison)}
    if name not in known:
        raise UserError(
            f"figure {name!r}: there is none{did_you_mean(str(name), known)}; there are: {', '.join(known)}"
        )
    return known[name]


def _drawn(comparison: Any, name: str) -> Any:
    from lit_lossopt.comparison.report.plotly_figure import plotly_figure

    return plotly_figure(_spec(comparison, name), looks(comparison))


def _picture(comparison: Any, name: str) -> str:
    """Return a figure as an image in HTML, which needs no script, or nothing where there is no such figure."""
    from matplotlib import rc_context

    from lit_lossopt.comparison.report.paper_figures import STYLE, draw

    figure = next((figure for figure in figures(comparison) if figure.key == name), None)
    if figure is None:
        return ""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        draw(figure, looks(comparison)).savefig(buffer, dpi=110, format="png")
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(figure.title)}" src="data:image/png;base64,{picture}">'


def _page_part(words: Iterable[str], table: str, picture: str) -> str:
    first, *others = (escape(printable(sentence)) for sentence in words)
    said = "".join(f"<p>{sentence}</p>" for sentence in others)
    return f"<div><p><strong>{first}</strong></p>{said}{table}{picture}</div>"


def _cell(cell: Cell) -> str:
    below = f"<br><small>{escape(printable(cell.below))}</small>" if cell.below else ""
    return f"<td style='white-space:nowrap'>{escape(printable(cell.text))}{below}</td>"


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    top = "".join(f'<th title="{escape(meaning)}">{escape(head)}</th>' for head, meaning in heads)
    body = "".join(f"<tr><th>{escape(printable(name))}</th>{''.join(cells)}</tr>" for name, cells in rows)
    return f"<table><thead><tr><th></th>{top}</tr></thead><tbody>{body}</tbody></table>"
