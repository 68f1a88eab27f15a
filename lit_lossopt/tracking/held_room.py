"""Room for a journal's last entries.

It is held from the start, so that a disk that is full at the end still takes them. The file ``ending`` is written over
in place, which needs no further block. It names the number of the log's lines that its entries follow. Whoever opens
the journal for writing puts them into the log before anything else, so whatever stands behind those lines begins with
them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lit_lossopt.tracking.journal_lines import Entry, from_line, to_line

ENDING = "ending"
# Bytes that are held, and the characters of a tag that are kept where the entries do not fit.
HELD_BYTES, SHORT = 16 * 2**10, 200


def hold_room(folder: Path) -> None:
    """Hold the room, as far as the disk gives it."""
    with suppress(OSError):
        file = os.open(folder / ENDING, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, bytes(HELD_BYTES), 0)
        finally:
            os.close(file)


def give_up_room(folder: Path) -> None:
    """Give the room back to the disk."""
    with suppress(OSError):
        (folder / ENDING).unlink(missing_ok=True)


def write_held(folder: Path, after: int, entries: Sequence[Entry]) -> bool:
    """Write entries into the room.

    Args:
        folder: the journal's.
        after: number of the log's lines that they follow.
        entries: the last ones.

    Returns:
        Whether they are on the disk.
    """
    shortened = [
        {**entry, "tags": {name: text[:SHORT] for name, text in entry["tags"].items()}} if "tags" in entry else entry
        for entry in entries
    ]
    for shown in (list(entries), shortened):
        line = to_line({"kind": "ending", "after": after, "entries": shown})
        if len(line) > HELD_BYTES:
            continue
        with suppress(OSError), (folder / ENDING).open("r+b", buffering=0) as file:
            return os.pwrite(file.fileno(), line, 0) == len(line)
    return False


def read_held(folder: Path, written: int) -> list[Entry]:
    """Return the entries in the room that the log does not have."""
    try:
        with (folder / ENDING).open("rb") as file:
            room = from_line(file.readline())
    except OSError:
        return []
    if room["kind"] != "ending":
        return []
    entries: list[Entry] = room["entries"]
    return entries[max(0, written - int(room["after"])) :]
