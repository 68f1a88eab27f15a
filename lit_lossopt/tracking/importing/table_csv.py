"""Any table whose columns a person has named, by ``--columns``.

It is wide, with a column for each metric, or long, with a column of metrics' names and one of values. Columns that say
what a run is split it into runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.importing.cells import as_value, series_of, span_of, steps_of, times_of
from lit_lossopt.tracking.importing.parameter_names import is_parameter
from lit_lossopt.tracking.importing.records import Columns, ForeignRun, Format, Series, Source
from lit_lossopt.tracking.importing.tables import Table, read_table

STEP, TIME, RUN, METRIC, VALUE = ROLES = ("step", "time", "run", "metric", "value")
AS_PARAMETER, AS_METRIC = "param:", "metric:"
_EPOCH = "epoch"


@dataclass(frozen=True)
class _Roles:
    """What each column of a table is.

    Attributes:
        fixed: role → column.
        params: parameter → column.
        metrics: metric → column.
    """

    fixed: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, str]


def read(source: Source, columns: Columns) -> list[ForeignRun]:
    """Return the runs of a table.

    Raises:
        UserError: it cannot be read, or its columns are not named so that its runs can be told.
    """
    table = read_table(source.path)
    roles = _roles(table, columns)
    left_out: Counter[str] = Counter()
    _count_unnamed(table, roles, left_out)
    steps = steps_of(table.columns[roles.fixed[STEP]], roles.fixed[STEP], left_out)
    times = times_of(table.columns[roles.fixed[TIME]], roles.fixed[TIME], left_out) if TIME in roles.fixed else []
    groups = _groups(table, roles)
    runs = [_run(source, table, roles, key, rows, steps, times, left_out) for key, rows in groups.items()]
    notes = _notes(table, roles, columns)
    # What is left out is of all runs together, so it is told once.
    return [
        ForeignRun(
            name, params, metrics, span_of(list(metrics.values())), part, notes, Counter() if place else left_out
        )
        for place, (name, params, metrics, part) in enumerate(runs)
    ]


def _notes(table: Table, roles: _Roles, columns: Columns) -> tuple[str, ...]:
    """Return what was read so without being said."""
    notes = [] if STEP in columns else [f"The step is {roles.fixed[STEP]!r}, as --columns names none."]
    if not table.is_ended:
        notes.append("Its last line has no end. If its program was still writing it, import it again later.")
    return (*table.notes, *notes)


def _roles(table: Table, columns: Columns) -> _Roles:
    """Return what each column is.

    Raises:
        UserError: a column is not there, or it is not said which counts the steps.
    """
    for column in columns.values():
        table.column(column)
    fixed = {role: column for role, column in columns.items() if role in ROLES}
    named = {name: column for name, column in columns.items() if name not in ROLES}
    params = {name.removeprefix(AS_PARAMETER): at for name, at in named.items() if _sets(table, name, at)}
    metrics = {name.removeprefix(AS_METRIC): at for name, at in named.items() if not _sets(table, name, at)}
    if STEP not in fixed and _EPOCH in metrics:
        fixed[STEP] = metrics[_EPOCH]
    if STEP not in fixed:
        raise UserError(f"import --columns: say which column of {table.path} counts the steps, as step={_guess(table)}")
    if (METRIC in fixed) != (VALUE in fixed):
        raise UserError("import --columns: a long table has both, metric=COLUMN for names and value=COLUMN for numbers")
    if METRIC not in fixed and not metrics:
        used = {*fixed.values(), *params.values()}
        free = [name for name in table.columns if name and name not in used and not is_parameter(name)]
        metrics = {name: name for name in free if any(table.columns[name])}
    return _Roles(fixed, params, metrics)


def _sets(table: Table, name: str, column: str) -> bool:
    """Return True if a column says what a run is.

    That is a text, or a setting by its name, unless the person says otherwise.
    """
    if name.startswith((AS_PARAMETER, AS_METRIC)):
        return name.startswith(AS_PARAMETER)
    cells = [cell for cell in table.columns[column] if cell]
    return is_parameter(name) or bool(cells and all(as_value(cell) is None for cell in cells))


def _word(column: str) -> str:
    """Return a parameter's name for a column."""
    return "seed" if "seed" in column.lower() else column


def _guess(table: Table) -> str:
    known = (word for name in table.columns for word in ("step", "iter", _EPOCH) if word in name.lower())
    word = next(known, "")
    return next((name for name in table.columns if word and word in name.lower()), "COLUMN")


def _groups(table: Table, roles: _Roles) -> dict[tuple[str, ...], list[int]]:
    """Return what a run is → its rows.

    Raises:
        UserError: nearly every row would be a run.
    """
    columns = [roles.fixed[RUN]] if RUN in roles.fixed else []
    columns += roles.params.values()
    if not columns:
        return {(): list(range(table.rows))}
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*(table.columns[name] for name in columns), strict=True)):
        groups.setdefault(key, []).append(row)
    if len(groups) > max(1, table.rows // 2):
        most = max(columns, key=lambda name: len(set(table.columns[name])))
        example = table.columns[most][-1][:40]
        raise UserError(
            f"import {table.path}: column {most!r} (as {example!r}) differs so often that its {table.rows} rows would "
            f"be {len(groups)} runs. If it changes within a run, write {AS_METRIC}{most}={most}"
        )
    return groups


def _run(
    source: Source,
    table: Table,
    roles: _Roles,
    key: Sequence[str],
    rows: Sequence[int],
    all_steps: Sequence[int | None],
    all_times: Sequence[int | None],
    left_out: Counter[str],
) -> tuple[str, dict[str, str], dict[str, Series], str]:
    """Return name, parameters, metrics and part of one run."""
    said, texts = (key[0], key[1:]) if RUN in roles.fixed else ("", key)
    params = {name: text.strip() for name, text in zip(roles.params, texts, strict=True) if text.strip()}
    shown = " ".join(f"{name}={text}" for name, text in params.items())
    name = said or (f"{source.label} {shown}" if shown else source.label)
    steps = [all_steps[row] for row in rows]
    times = [all_times[row] for row in rows] if all_times else []
    read_metrics = _long if METRIC in roles.fixed else _wide
    return name, params, read_metrics(table, roles, rows, steps, times, left_out), json.dumps([said, params])


def _wide(
    table: Table,
    roles: _Roles,
    rows: Sequence[int],
    steps: Sequence[int | None],
    times: Sequence[int | None],
    left_out: Counter[str],
) -> dict[str, Series]:
    cells = {name: [table.columns[column][row] for row in rows] for name, column in roles.metrics.items()}
    return {name: series_of(name, own, steps, times, left_out) for name, own in cells.items()}


def _long(
    table: Table,
    roles: _Roles,
    rows: Sequence[int],
    steps: Sequence[int | None],
    times: Sequence[int | None],
    left_out: Counter[str],
) -> dict[str, Series]:
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(table.columns[roles.fixed[METRIC]][row].strip(), []).append(place)
    if "" in places:
        left_out["rows that name no metric"] += len(places.pop(""))
    values = table.columns[roles.fixed[VALUE]]
    metrics = {}
    for name, own in places.items():
        cells = [values[rows[place]] for place in own]
        moments = [times[place] for place in own] if times else []
        metrics[name] = series_of(name, cells, [steps[place] for place in own], moments, left_out)
    return metrics | _wide(table, roles, rows, steps, times, left_out)


def _count_unnamed(table: Table, roles: _Roles, left_out: Counter[str]) -> None:
    used = {*roles.fixed.values(), *roles.params.values(), *roles.metrics.values()}
    for name, cells in table.columns.items():
        if name not in used:
            # Nobody but the person knows whether a rate or a seed tells runs apart or changes within one.
            how = f"; if it tells runs apart, write {_word(name)}={name}" if is_parameter(name) else ""
            left_out[f"column {name!r}, which --columns does not name{how}"] += sum(map(bool, cells))


FORMAT = Format(
    "table",
    "any table whose columns are named by --columns",
    (".csv", ".tsv", ".txt", ".log"),
    # Only a person can say what its columns are.
    lambda _: False,
    read,
)
