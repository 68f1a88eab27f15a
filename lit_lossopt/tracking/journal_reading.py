"""The files of a journal, as they are read.

Another process may be writing the journal meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lit_lossopt.tracking.held_room import read_held
from lit_lossopt.tracking.journal_lines import Entry, from_line, whole_lines

LOG, DELIVERED, FILES, VERIFIED, POSTPONED = "log.jsonl", "delivered", "files", "verified", "postponed"


def iterate_entries(folder: Path, position: int = 0) -> Iterator[Entry]:
    """Yield the whole entries of a journal.

    It may be open in another process.

    Args:
        folder: the journal's.
        position: number of the first entry.
    """
    number = 0
    for line in whole_lines(folder / LOG):
        if number >= position:
            yield from_line(line)
        number += 1
    yield from read_held(folder, number)[max(0, position - number) :]


def entries_between(folder: Path, start: int, end: int) -> list[Entry]:
    """Return the entries between two places in a journal's file.

    Raises:
        OSError: it cannot be read.
    """
    with (folder / LOG).open("rb") as file:
        file.seek(start)
        return [from_line(line) for line in file.read(end - start).splitlines(keepends=True)]


def read_entries(folder: Path) -> list[Entry]:
    """Return the whole entries of a journal."""
    return list(iterate_entries(folder))


def read_delivered(folder: Path) -> int:
    """Return how many entries the store has confirmed."""
    try:
        return int((folder / DELIVERED).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
