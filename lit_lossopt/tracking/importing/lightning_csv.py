"""Lightning's CSVLogger.

It writes ``metrics.csv`` with one row for each call that logs, and ``hparams.yaml`` beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.importing.cells import series_of, steps_of
from lit_lossopt.tracking.importing.hparams import read_hparams
from lit_lossopt.tracking.importing.records import Candidate, Columns, ForeignRun, Format, Found, Source, label_of
from lit_lossopt.tracking.importing.tables import read_table

FILE, _STEP = "metrics.csv", "step"


def is_lightning(file: Candidate) -> bool:
    """Return True if a file is one of CSVLogger."""
    return file.path.name == FILE and _STEP in file.header


def read(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the run of a ``metrics.csv``.

    Raises:
        UserError: it cannot be read, or has no steps.
    """
    table = read_table(source.path, ends_lines=True)
    if _STEP not in table.columns:
        raise UserError(f"import {source.path}: there is no column {_STEP!r}, so this is none of Lightning's CSVLogger")
    left_out: Counter[str] = Counter()
    steps = steps_of(table.columns[_STEP], _STEP, left_out)
    metrics = {
        name: series_of(name, cells, steps, (), left_out) for name, cells in table.columns.items() if name != _STEP
    }
    params = read_hparams(source.path.parent, left_out)
    return [ForeignRun(source.label, params, metrics, notes=table.notes, left_out=left_out)]


def sources(files: Sequence[Found]) -> list[Source]:
    """Return a source for each file.

    The folder names the run, unless the file has a name of its own.
    """
    return [
        Source((path,), path.absolute().parent.as_posix() if path.name == FILE else label_of(path), typed)
        for path, typed in files
    ]


FORMAT = Format(
    "lightning-csv",
    "metrics.csv of Lightning's CSVLogger, with hparams.yaml beside it",
    (".csv",),
    is_lightning,
    read,
    sources,
)
