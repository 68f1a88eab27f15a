"""Tables as text: a header, and a column of cells for each name.

Commas, semicolons and tabs separate cells. A line that is not whole is refused, with its number.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lit_lossopt.core.errors import UserError, did_you_mean

_SEPARATORS = ",;\t"
# The first line of a table with many runs may be long.
_LONGEST_HEADER = 2**20


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        path: its file.
        columns: name → its cells ``[rows]``, in the order of the file.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]

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
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_LONGEST_HEADER)
        return tuple(next(csv.reader([line], delimiter=_separator(line)), ()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()


def read_table(path: Path, *, ends_lines: bool = False) -> Table:
    """Return a file's table.

    Args:
        path: the file.
        ends_lines: whether the program ends each line, so that a last line without an end is half a line.

    Raises:
        UserError: the file cannot be read, a line is not whole, or two columns have one name.
    """
    text = _text(path)
    header, rows = _rows(path, text)
    double = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if double is not None:
        raise UserError(f"import {path}: the column {double!r} stands in it twice; give one of them another name")
    if ends_lines and not text.endswith("\n"):
        raise _broken(path, text.count("\n") + 1, "its end is missing")
    return Table(path, dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ()))


def _rows(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(first), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = []
        for row in reader:
            if len(row) != len(header) and row:
                cells = "cell" if len(row) == 1 else "cells"
                raise _broken(path, reader.line_num, f"it has {len(row)} {cells}, and the header has {len(header)}")
            if row:
                rows.append(row)
    except csv.Error as error:
        raise _broken(path, reader.line_num, str(error)) from error
    if not any(header):
        raise UserError(f"import {path}: the file is empty; leave it out")
    return header, rows


def _text(path: Path) -> str:
    try:
        # Line ends stay, because those inside quotes belong to cells.
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except OSError as error:
        raise UserError(f"import {path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"import {path}: byte {error.start} is no UTF-8, so this is no table of text; save it as UTF-8"
        ) from error
    return text


def _broken(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"import {path}, line {line}: the line is broken: {why}. Its program may still write it, or was killed while "
        "it wrote; wait, or remove that line"
    )


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)
