"""Foreign runs as they are stored.

Names that MLflow refuses are changed, parameters that a person has said are added, and each run gets its mark.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.importing.records import ForeignRun, Format, Series, Source, Times
from lit_lossopt.tracking.importing.request import Request

_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
_LONGEST_NAME, LONGEST_VALUE = 250, 6000
_PARTS_OF_NAME = 2
_REPEATED = (
    "Some steps stand more than once. The later value counts, as after a restart. If runs are mixed, say what tells "
    "them apart."
)

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class PreparedRun:
    """A run as it will be stored.

    Attributes:
        name: of the run.
        params: name → text.
        metrics: metric → its points. Each has some. A run without metrics is not stored.
        times: when it was trained. None if that is not known.
        sha256: of the content that was read.
        source: its files.
        program: the name of the format.
        renamed: name of a metric or parameter → the one that it gets.
        left_out: what was not read → number of values.
        notes: what was read as something else.
        theirs: the metrics' names in the file.
        empty: those of them that have no values.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, Series]
    times: Times | None
    sha256: str
    source: Source
    program: str
    renamed: Mapping[str, str]
    left_out: Mapping[str, int]
    notes: Sequence[str]
    theirs: Sequence[str]
    empty: Sequence[str]


def prepare(run: ForeignRun, source: Source, program: Format, request: Request) -> PreparedRun:
    """Return a run as it will be stored.

    Args:
        run: as it was read.
        source: its files.
        program: its format.
        request: what a person has said of it.

    Raises:
        UserError: what was said and what was read differ.
    """
    named = request.pattern.params_of(run.name) if request.pattern else {}
    params = _joined(_joined(run.params, named, run.name, "--name-pattern"), request.params, run.name, "--params")
    read = {name: series for name, series in run.metrics.items() if len(series)}
    metrics, renamed = _storable_names(_renamed(read, request.renames, run.name))
    texts, more = _storable_names({name: redact(text)[:LONGEST_VALUE] for name, text in params.items() if text})
    return PreparedRun(
        name=_short(run.name),
        params=texts,
        metrics=metrics,
        times=run.times,
        sha256=digest(run.part, run.params, read),
        source=source,
        program=program.name,
        renamed={**renamed, **more},
        left_out=run.left_out,
        notes=(*run.notes, _REPEATED) if any(len(set(one.steps)) < len(one) for one in read.values()) else run.notes,
        theirs=tuple(run.metrics),
        empty=tuple(name for name in run.metrics if name not in read),
    )


def _renamed(metrics: Mapping[str, Series], renames: Mapping[str, str], run: str) -> dict[str, Series]:
    named: dict[str, Series] = {}
    for name, series in metrics.items():
        new = renames.get(name, name)
        if new in named or (new != name and new in metrics and new not in renames):
            raise UserError(f"import --rename {name}={new}: run {run} has a metric of that name; take another")
        named[new] = series
    return named


def storable_name(name: str) -> str:
    """Return a name that MLflow takes.

    >>> storable_name("/top-1 (%)/val/")
    'top-1 ___/val'
    """
    parts = [part for part in _NOT_IN_NAMES.sub("_", name).split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:_LONGEST_NAME] or "_"


def _storable_names(things: Mapping[str, Kept]) -> tuple[dict[str, Kept], dict[str, str]]:
    """Return things under names that MLflow takes, and which names were changed.

    Where two would then have one name, the second gets a number.
    """
    kept: dict[str, Kept] = {}
    renamed: dict[str, str] = {}
    for name, thing in things.items():
        good, number = storable_name(name), 2
        while good in kept or (good != name and good in things):
            good, number = f"{storable_name(name)[: _LONGEST_NAME - 4]}_{number}", number + 1
        kept[good] = thing
        if good != name:
            renamed[name] = good
    return kept, renamed


def _joined(known: Mapping[str, str], more: Mapping[str, str], run: str, flag: str) -> dict[str, str]:
    for name, text in more.items():
        if known.get(name, text) != text:
            raise UserError(
                f"import {flag} {name}={text}: of run {run} it is known that {name} is {known[name]}; leave out "
                "one of them"
            )
    return {**known, **more}


def _short(name: str) -> str:
    """Return the end of a path, which names a run."""
    return (
        "/".join(name.split("/")[-_PARTS_OF_NAME:])[-_LONGEST_NAME:] if name.startswith("/") else name[:_LONGEST_NAME]
    )


def digest(part: str, params: Mapping[str, str], metrics: Mapping[str, Series]) -> str:
    """Return the SHA-256 of a file's content.

    It does not depend on where the file lies, or on what a person says of it.
    """
    digest = hashlib.sha256()
    for text in (part, *(word for name in sorted(params) for word in (name, params[name]))):
        digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogateescape"))
    for name in sorted(metrics):
        series = metrics[name]
        digest.update(f"{len(name)}:{name}:{len(series)}:{len(series.milliseconds)}".encode("utf-8", "surrogateescape"))
        for column in (series.steps, series.values, series.milliseconds):
            digest.update(column)
    return digest.hexdigest()
