"""What is read of other programs' files.

A format reads a source, and gives foreign runs. Nothing here needs numpy or MLflow.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


@dataclass
class Series:
    """One metric of one run, in the order of its file.

    Attributes:
        steps: int64 ``[n]``.
        values: float64 ``[n]``, with NaN and infinities.
        milliseconds: int64 ``[n]``, since 1970. Empty if the file has no times.
    """

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    milliseconds: array[int] = field(default_factory=lambda: array("q"))

    def add(self, step: int, value: float, milliseconds: int | None = None) -> None:
        """Append a point."""
        self.steps.append(step)
        self.values.append(value)
        if milliseconds is not None:
            self.milliseconds.append(milliseconds)

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Times:
    """When a run was trained.

    Attributes:
        start: milliseconds since 1970.
        end: milliseconds since 1970, or None if the file does not tell.
    """

    start: int
    end: int | None = None


@dataclass(frozen=True)
class ForeignRun:
    """A run as a file of another program tells it.

    Attributes:
        name: what it is called.
        params: what the file says of its settings.
        metrics: metric → its points, by the program's own names.
        times: when it was trained. None if the file does not tell.
        part: which run of its file it is, if there are several.
        notes: what was read under another name or as something else, a sentence each.
        left_out: what was not read → number of values.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, Series]
    times: Times | None = None
    part: str = ""
    notes: Sequence[str] = ()
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """Files that one format reads together.

    Attributes:
        files: which are read.
        label: the run's name if there is one run in them. It is a path, and its last parts will do.
        typed: the path that a person typed.
    """

    files: tuple[Path, ...]
    label: str
    typed: str

    @property
    def path(self) -> Path:
        """The first file."""
        return self.files[0]


class Candidate(NamedTuple):
    """A file that may be a log.

    Attributes:
        path: of the file.
        header: the columns in its first line, if it is a table.
    """

    path: Path
    header: tuple[str, ...]


class Found(NamedTuple):
    """A file that is to be imported.

    Attributes:
        path: of the file.
        typed: the path that a person typed.
    """

    path: Path
    typed: str


# Roles of the columns of a table, each with what the column is called there.
Columns = Mapping[str, str]


@dataclass(frozen=True)
class Format:
    """A kind of file that can be imported.

    Attributes:
        name: as typed behind ``--format``.
        text: what is looked for.
        suffixes: of its files.
        recognises: whether a file is one.
        read: gives the runs of a source. Columns that were named by the person are given, too.
        sources: puts files together that are read together. By default each is read alone.
    """

    name: str
    text: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Candidate], bool]
    read: Callable[[Source, Columns], list[ForeignRun]]
    sources: Callable[[Sequence[Found]], list[Source]] = field(
        default=lambda files: [Source((path,), label_of(path), typed) for path, typed in files]
    )


def label_of(path: Path) -> str:
    """Return a file's path without its ending, as text.

    >>> label_of(Path("/runs/adam_1.csv"))
    '/runs/adam_1'
    """
    return path.absolute().with_suffix("").as_posix()
