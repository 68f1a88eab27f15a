"""What was typed after ``lossopt import``. Nothing heavy is imported for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag, parse_flags
from lit_lossopt.tracking.experiment import check_experiment
from lit_lossopt.tracking.importing.formats import FORMATS, TABLE
from lit_lossopt.tracking.importing.name_pattern import EXAMPLE, NamePattern

COMMAND, EXPERIMENT = "import", "imported"
_NAMES = tuple(one.name for one in FORMATS)
FLAGS = (
    Flag("--experiment", "NAME", f"MLflow experiment that gets the runs ({EXPERIMENT})", {"default": EXPERIMENT}),
    Flag(
        "--columns",
        "ROLE=COLUMN,…",
        "what the columns of any table are: step=COLUMN, time=, run=, metric= and value= of a long table, or a name of "
        "yours, as loss=COLUMN,seed=COLUMN",
        {"action": "append", "default": []},
    ),
    Flag(
        "--params",
        "NAME=VALUE,…",
        "what you know of all these runs, as optimizer=adam,seed=1",
        {"action": "append", "default": []},
    ),
    Flag("--name-pattern", "TEXT", f"settings in the names of folders and runs, as {EXAMPLE}", {"default": ""}),
    Flag(
        "--rename",
        "THEIRS=OURS,…",
        "metrics under another name, as val_acc=val/accuracy, so that runs of several programs can be compared",
        {"action": "append", "default": []},
    ),
    Flag(
        "--format",
        "NAME",
        f"of the files, where they do not tell: {', '.join(_NAMES)}",
        {"choices": _NAMES, "default": "", "metavar": "NAME"},
    ),
    Flag("--dry-run", "", "say what would become of each run, and write nothing", {"action": "store_true"}),
)
# A comma inside a value stays, as in betas=(0.9,0.999).
_BETWEEN_PAIRS = re.compile(r",(?=[^,=]+=)")


@dataclass(frozen=True)
class Request:
    """What is to be imported.

    Attributes:
        paths: files and folders, as typed.
        experiment: that gets the runs.
        columns: role → column of a table.
        params: that a person has said of all runs.
        pattern: what names of runs say. None: nothing.
        renames: name of a metric in its file → its name in the store.
        format: the name of the format, or empty.
        dry_run: whether nothing is written.
    """

    paths: tuple[str, ...]
    experiment: str
    columns: Mapping[str, str]
    params: Mapping[str, str]
    pattern: NamePattern | None
    renames: Mapping[str, str]
    format: str
    dry_run: bool


def parse_request(words: Sequence[str]) -> Request:
    """Return what was asked for.

    >>> parse_request(["run.csv", "--params", "optimizer=adam,betas=(0.9,0.999)"]).params
    {'optimizer': 'adam', 'betas': '(0.9,0.999)'}

    Raises:
        UserError: something else was typed.
    """
    given = parse_flags(COMMAND, words, FLAGS, "paths*")
    if not given.paths:
        raise UserError(
            "import: name the files or folders, as lossopt import lightning_logs; see: lossopt import --help"
        )
    _check_experiment(given.experiment)
    columns = _pairs("--columns", "ROLE=COLUMN", given.columns)
    _check_format(given.format, has_columns=bool(columns))
    return Request(
        paths=tuple(given.paths),
        experiment=given.experiment,
        columns=columns,
        params=_pairs("--params", "NAME=VALUE", given.params),
        pattern=NamePattern(given.name_pattern) if given.name_pattern else None,
        renames=_pairs("--rename", "THEIRS=OURS", given.rename),
        format=given.format,
        dry_run=given.dry_run,
    )


def _check_experiment(name: str) -> None:
    try:
        check_experiment(name)
    except UserError as error:
        raise UserError(str(error).replace("tracking.experiment=", "import --experiment ", 1)) from error


def _check_format(name: str, *, has_columns: bool) -> None:
    if has_columns and name not in ("", TABLE.name):
        raise UserError(f"import --columns: of --format {name} the columns are known; leave one of both out")
    if name == TABLE.name and not has_columns:
        raise UserError(f"import --format {name}: say what its columns are, as --columns step=COLUMN,loss=COLUMN")


def _pairs(flag: str, form: str, typed: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in (text for word in typed for text in _BETWEEN_PAIRS.split(word)):
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UserError(f"import {flag} {text}: must have the form {form}, with commas between several")
        if name in pairs:
            raise UserError(f"import {flag}: {name} stands in it twice; leave one out")
        pairs[name] = value
    return pairs
