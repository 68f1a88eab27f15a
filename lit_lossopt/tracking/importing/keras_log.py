"""What Keras keeps of a training.

Its CSVLogger writes a table with a row for each epoch. ``history.history`` is a mapping of lists, kept as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.tracking.importing.cells import series_of, steps_of
from lit_lossopt.tracking.importing.parameter_names import is_parameter
from lit_lossopt.tracking.importing.records import Candidate, Columns, ForeignRun, Format, Series, Source
from lit_lossopt.tracking.importing.tables import read_table

_EPOCH, _LOSS = "epoch", "loss"
# Callbacks that change the rate log it in each epoch.
_RATES = {"lr", "learning_rate"}
# Comparisons read it. Without it nobody could tell whether epoch 0 is before the first epoch or after it.
_NOTE = f"Keras counts epochs from 0 and logs after each. So {names.EPOCHS} = epoch + 1 was added."
_NOT_FROM_0 = f"Its epochs do not begin at 0, so nobody can tell how many were done. No {names.EPOCHS} was added."


def is_csv(file: Candidate) -> bool:
    """Return True if a file is one of Keras' CSVLogger."""
    settings = any(map(is_parameter, set(file.header) - _RATES))
    return file.header[:1] == (_EPOCH,) and _LOSS in file.header and not settings


def is_history(file: Candidate) -> bool:
    """Return True if a file may be a history kept as JSON."""
    return file.path.suffix == ".json" and "history" in file.path.name.lower()


def read_csv(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the run of a table of CSVLogger.

    Raises:
        UserError: it cannot be read, or has no epochs.
    """
    table = read_table(source.path, ends_lines=True)
    if _EPOCH not in table.columns:
        raise UserError(f"import {source.path}: there is no column {_EPOCH!r}, so this is none of Keras' CSVLogger")
    left_out: Counter[str] = Counter()
    steps = steps_of(table.columns[_EPOCH], _EPOCH, left_out)
    metrics = {name: series_of(name, cells, steps, (), left_out) for name, cells in table.columns.items()}
    return [_run(source, metrics, left_out, table.notes)]


def read_history(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the run of a history kept as JSON.

    Raises:
        UserError: it cannot be read, or is no mapping of lists.
    """
    lists, left_out = _lists(source.path)
    epochs = max(map(len, lists.values()))
    metrics = {_EPOCH: _numbered(range(epochs), list(range(epochs)))}
    for name, values in lists.items():
        if len(values) != epochs:
            text = f"values of {name!r}, which are not as many as the epochs: which epochs they are of is not known"
            left_out[text] += len(values)
        elif name != _EPOCH:
            metrics[name] = _numbered(range(epochs), values)
    return [_run(source, metrics, left_out)]


def _lists(path: Path) -> tuple[dict[str, list[float | None]], Counter[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"import {path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"import {path}: it is no whole JSON: {one_line(str(error), 150)}; write it anew") from error
    left_out: Counter[str] = Counter()
    lists: dict[str, list[float | None]] = {}
    for name, values in content.items() if isinstance(content, dict) else ():
        if isinstance(values, list) and values and all(map(_is_cell, values)):
            lists[name] = values
        else:
            left_out[f"{name!r}, which is no list of numbers"] += len(values) if isinstance(values, list) else 1
    if not lists:
        raise UserError(
            f"import {path}: no lists of numbers in it; json.dump(history.history, file) writes a history of Keras"
        )
    return lists, left_out


def _is_cell(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return value is None or isinstance(value, float)


def _numbered(steps: Sequence[int], values: Sequence[float | None]) -> Series:
    series = Series()
    for step, value in zip(steps, values, strict=True):
        if value is not None:
            series.add(step, float(value))
    return series


def _run(
    source: Source, metrics: Mapping[str, Series], left_out: Counter[str], notes: Sequence[str] = ()
) -> ForeignRun:
    epochs = list(dict.fromkeys(metrics[_EPOCH].steps))
    if epochs and min(epochs) != 0:
        return ForeignRun(source.label, {}, metrics, notes=(*notes, _NOT_FROM_0), left_out=left_out)
    done = _numbered(epochs, [float(epoch + 1) for epoch in epochs])
    return ForeignRun(source.label, {}, {**metrics, names.EPOCHS: done}, notes=(*notes, _NOTE), left_out=left_out)


CSV = Format(
    "keras-csv",
    "a table of Keras' CSVLogger (epoch first, and loss)",
    (".csv", ".log", ".tsv"),
    is_csv,
    read_csv,
)
HISTORY = Format(
    "keras-history",
    "a history.json, as json.dump(history.history) writes it",
    (".json",),
    is_history,
    read_history,
)
