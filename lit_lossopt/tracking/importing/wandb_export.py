"""What people take out of Weights & Biases.

The button of a chart gives a table with a column for each run, ``run - metric``. ``wandb.Api().run().scan_history()``
gives the rows of one run, with ``_step`` and most often ``_runtime`` and ``_timestamp``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.numbers import listed
from lit_lossopt.tracking.importing.cells import as_milliseconds, as_value, series_of, span_of, steps_of, times_of
from lit_lossopt.tracking.importing.records import Candidate, Columns, ForeignRun, Format, Found, Series, Source, Times
from lit_lossopt.tracking.importing.tables import Table, read_table

_BETWEEN, _BOUNDS = " - ", ("__MIN", "__MAX")
_STEP, _TIME, _RUNTIME = "_step", "_timestamp", "_runtime"
_EPOCH = "epoch"
# What W&B calls the x axes of a chart.
_STEPS = ("step", "_step", "global_step", "trainer/global_step", "train/global_step")
_TIMES = ("relative time", "wall time", "_runtime", "_timestamp")
# So many rows history() draws from longer runs.
_DRAWN = 500
# Loggers that count their training steps themselves. W&B's own step counts calls of its log then.
_OWN_STEPS = ("trainer/global_step", "train/global_step")


def is_chart(file: Candidate) -> bool:
    """Return True if a file is the export of a chart."""
    axis, *columns = file.header or ("",)
    return bool(columns) and _BETWEEN not in axis and all(_BETWEEN in name for name in columns)


def is_history(file: Candidate) -> bool:
    """Return True if a file is a run's history."""
    return _STEP in file.header


def chart_sources(files: Sequence[Found]) -> list[Source]:
    """Return all exports of charts as one source.

    A run has a column in each of them.
    """
    if not files:
        return []
    typed = ", ".join(dict.fromkeys(found.typed for found in files))
    return [Source(tuple(found.path for found in files), "", typed)]


def read_charts(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the runs of exported charts.

    Raises:
        UserError: a table cannot be read.
    """
    metrics: dict[str, dict[str, Series]] = {}
    left_out: Counter[str] = Counter()
    notes: dict[str, None] = {}
    tables = [read_table(path) for path in source.files]
    axis = _axis(tables)
    for table in tables:
        own = next(iter(table.columns))
        notes.update(dict.fromkeys((*table.notes, *_of_axis(own))))
        _add_columns(table, steps_of(table.columns[own], own, left_out), metrics, left_out)
    if axis.rpartition("/")[2] == _EPOCH:
        _add_epochs(metrics)
    # What is left out is of all runs together, so it is told once.
    return [
        ForeignRun(run, {}, found, part=run, notes=tuple(notes), left_out=Counter() if place else left_out)
        for place, (run, found) in enumerate(metrics.items())
    ]


def _add_columns(
    table: Table, steps: Sequence[int | None], metrics: dict[str, dict[str, Series]], left_out: Counter[str]
) -> None:
    """Add the metrics of a chart to those of its runs."""
    for column, cells in list(table.columns.items())[1:]:
        run, between, name = column.rpartition(_BETWEEN)
        if not between:
            left_out[f"column {column!r}, whose name is not 'run - metric'"] += 1
        elif column.endswith(_BOUNDS):
            _count_bound(table, column, left_out)
        elif name in metrics.setdefault(run, {}):
            left_out[f"metric {name!r} of run {run!r}, which another file has"] += len(cells)
        elif name != _STEP:
            metrics[run][name] = series_of(column, cells, steps, (), left_out)


def _axis(tables: Sequence[Table]) -> str:
    """Return what the charts have as their x axis.

    Raises:
        UserError: it is a time, or they have several. Steps of a run cannot be told from its epochs then.
    """
    axes = {next(iter(table.columns)).lower(): table.path for table in reversed(tables)}
    for axis, path in axes.items():
        if axis.startswith(_TIMES):
            raise UserError(
                f"import {path}: its first column is {axis!r}, and times are no steps; choose Step as the chart's x "
                "axis, and export it again"
            )
    if len(axes) > 1:
        shown = listed([f"{axis!r} ({path})" for axis, path in axes.items()])
        raise UserError(f"import: the charts have several x axes, {shown}; export all of them with one")
    return next(iter(axes))


def _of_axis(axis: str) -> list[str]:
    return [] if axis.lower() in _STEPS else [f"The step is {axis!r}, the x axis of its chart."]


def _add_epochs(metrics: dict[str, dict[str, Series]]) -> None:
    """Give runs along epochs their epochs as a metric, by which comparisons know it."""
    for series in metrics.values():
        longest = max(series.values(), key=len, default=Series())
        if len(longest) and _EPOCH not in series:
            series[_EPOCH] = Series(longest.steps, array("d", map(float, longest.steps)))


def _count_bound(table: Table, column: str, left_out: Counter[str]) -> None:
    """Count a column of lowest or highest values.

    It tells something only where the export holds means.
    """
    values = table.columns.get(column[: -len(_BOUNDS[0])], ())
    bounds = table.columns[column]
    differing = sum(as_value(one) != as_value(other) for one, other in zip(values, bounds, strict=False) if one)
    if differing:
        left_out["values of columns __MIN and __MAX (this export holds means, of runs or of steps)"] += differing
    else:
        left_out["columns __MIN and __MAX, which say the same"] += 1


def read_history(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the run of a history.

    Raises:
        UserError: the table cannot be read, or has no steps.
    """
    table = read_table(source.path)
    counted = next((name for name in _OWN_STEPS if any(table.columns.get(name, ()))), _STEP)
    if counted not in table.columns:
        raise UserError(f"import {source.path}: there is no column {_STEP!r}, so this is no history of W&B")
    left_out: Counter[str] = Counter()
    steps = steps_of(table.columns[counted], counted, left_out)
    times = times_of(table.columns.get(_TIME, ()), _TIME, left_out)
    of_the_table = {_STEP, _TIME, _RUNTIME, counted}
    metrics = {
        name: series_of(name, cells, steps, times, left_out)
        for name, cells in table.columns.items()
        if name and name not in of_the_table
    }
    notes = list(table.notes)
    if counted != _STEP:
        notes.append(f"The step is {counted}, because W&B's own step counts calls of its log.")
    if table.rows == _DRAWN:
        notes.append(f"It has {_DRAWN} rows, to which W&B's history() cuts longer runs. scan_history() gives all.")
    return [ForeignRun(source.label, {}, metrics, _times(table, metrics), notes=notes, left_out=left_out)]


def _times(table: Table, metrics: dict[str, Series]) -> Times | None:
    """Return when a run began and ended.

    The seconds since its start tell when it began.
    """
    span = span_of(list(metrics.values()))
    first = zip(table.columns.get(_TIME, ()), table.columns.get(_RUNTIME, ()), strict=False)
    for cell, seconds in first:
        moment, since = as_milliseconds(cell), as_value(seconds)
        if span and moment is not None and since is not None and since >= 0:
            return Times(min(span.start, round(moment - 1000 * since)), span.end)
    return span


CHART = Format(
    "wandb-chart",
    "a chart's export of W&B (columns 'run - metric')",
    (".csv",),
    is_chart,
    read_charts,
    chart_sources,
)
HISTORY = Format(
    "wandb-history",
    "a run's history of W&B (a column _step)",
    (".csv",),
    is_history,
    read_history,
)
