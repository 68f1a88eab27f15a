"""Tables as text: a header, and a column of cells for each name.

Commas, semicolons and tabs separate cells. A line that is not whole is refused, with its number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.numbers import named

_SEPARATORS = ",;\t"
# The first line of a table with many runs may be long.
_LONGEST_HEADER = 2**20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# How files begin that hold tables, but no text.
_KINDS = {
    b"\x1f\x8b": "it is compressed; unpack it first, as gunzip does",
    b"PK\x03\x04": "it is a workbook or an archive; save its table as CSV",
    b"PAR1": "it is a Parquet file; save it as CSV, as pandas' to_csv does",
}
_WITH_COMMA = re.compile(r"\s*[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?\s*")
_WITH_POINT = re.compile(r"\s*[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?\s*")
# These may be thousands.
_GROUPED = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        path: its file.
        columns: name → its cells ``[rows]``, in the order of the file.
        notes: what was read as something else, a sentence each.
        is_ended: whether its last line has an end.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    is_ended: bool = True

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str, flag: str = "--columns") -> tuple[str, ...]:
        """Return the cells of a column.

        Raises:
            UserError: there is no such column.
        """
        if name not in self.columns:
            known = ", ".join(islice(self.columns, 12)) + (", …" if len(self.columns) > 12 else "")
            near = did_you_mean(name, self.columns)
            raise UserError(f"import {flag} {name}: {self.path} has no such column{near}; there are: {known}")
        return self.columns[name]


def header_of(path: Path) -> tuple[str, ...]:
    """Return the columns in a file's first line.

    There are none if the file is no text.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            line = file.readline(_LONGEST_HEADER)
        return tuple(next(csv.reader([line], delimiter=_separator(line)), ()))
    except (UnicodeError, csv.Error):
        return ()


def other_kind(path: Path) -> str:
    """Return what a file is and what to do, if it is known to be no text.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    return next((text for mark, text in _KINDS.items() if start.startswith(mark)), "")


def read_table(path: Path, *, ends_lines: bool = False) -> Table:
    """Return a file's table.

    Args:
        path: the file.
        ends_lines: whether the program ends each line, so that a last line without an end is half a line.

    Raises:
        UserError: the file cannot be read, a line is not whole, or two columns have one name.
    """
    text = _text(path)
    header, rows, separator = _rows(path, text)
    is_ended = text.endswith(("\n", "\r"))
    if ends_lines and not is_ended:
        raise _broken(path, text.count("\n") + 1, "its end is missing")
    columns = _columns(path, header, list(zip(*rows, strict=True)) if rows else [()] * len(header))
    pointed = _with_points(columns) if separator != "," and "," in text else {}
    note = (f"Commas were read as decimal commas in {named([repr(name) for name in pointed])}.",) if pointed else ()
    return Table(path, {**columns, **pointed}, note, is_ended)


def _columns(path: Path, header: Sequence[str], cells: Sequence[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the columns by name.

    Those with neither name nor cells are what spreadsheets leave at the end of lines.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for name, own in zip(header, cells, strict=True):
        if name in columns:
            if not name and not any(own):
                continue
            which = f"the column {name!r} stands in it twice" if name else "two columns have no name"
            raise UserError(f"import {path}: {which}; give one of them another name")
        if name or any(own):
            columns[name] = own
    return columns


def _with_points(columns: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the columns of numbers with decimal commas, with points in them.

    A table in which any number has a point has no decimal commas. What may as well be thousands stays.
    """
    found = {}
    for name, cells in columns.items():
        if any("." in cell and _WITH_POINT.fullmatch(cell) for cell in cells):
            return {}
        texts = [cell for cell in cells if "," in cell]
        if texts and all(map(_WITH_COMMA.fullmatch, texts)) and not all(map(_GROUPED.fullmatch, texts)):
            found[name] = tuple([cell.replace(",", ".") for cell in cells])
    return found


def _rows(path: Path, text: str) -> tuple[list[str], list[list[str]], str]:
    """Return the header, the rows, and what separates cells."""
    separator = _separator(re.split(r"[\r\n]", text, maxsplit=1)[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = list(filter(None, reader))
    except csv.Error as error:
        raise _broken(path, reader.line_num, str(error)) from error
    if not any(header):
        raise UserError(f"import {path}: the file is empty; leave it out")
    if set(map(len, rows)) - {len(header)}:
        raise _of_other_length(path, text, separator, len(header))
    return header, rows, separator


def _of_other_length(path: Path, text: str, separator: str, wanted: int) -> UserError:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = next(row for row in reader if row and len(row) != wanted)
    cells = "cell" if len(row) == 1 else "cells"
    return _broken(path, reader.line_num, f"it has {len(row)} {cells}, and the header has {wanted}")


def _text(path: Path) -> str:
    try:
        kind = other_kind(path)
        if kind:
            raise UserError(f"import {path}: {kind}")
        # Line ends stay, because those inside quotes belong to cells.
        with path.open(encoding=_encoding(path), newline="") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"import {path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        where = f"byte {error.start} is no UTF-8" if isinstance(error, UnicodeDecodeError) else "it is no UTF-8"
        raise UserError(f"import {path}: {where}, so this is no table of text; save it as UTF-8") from error


def _encoding(path: Path) -> str:
    """Return UTF-16 if a file begins as spreadsheets begin it, and else UTF-8."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF_16 else "utf-8-sig"


def _broken(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"import {path}, line {line}: the line is broken: {why}. Its program may still write it, or was killed while "
        "it wrote; wait, or remove that line"
    )


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)
