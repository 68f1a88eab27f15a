"""The lines of a journal.

Each has a checksum and one entry in JSON.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def to_line(entry: Entry) -> bytes:
    r"""Return an entry's line.

    A value that JSON cannot hold is written as text.

    >>> to_line({"kind": "end"})
    b'aae1e05b {"kind":"end"}\n'

    Raises:
        TypeError: a key is no text.
        ValueError: a container holds itself.
    """
    # A number of numpy or torch as Python's own, and anything else as a text.
    text = json.dumps(
        entry, separators=(",", ":"), default=lambda value: value.item() if hasattr(value, "item") else str(value)
    ).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def from_line(line: bytes) -> Entry:
    """Return a line's entry.

    A line that was altered keeps its place, without content.

    >>> from_line(b"00000000 {}")
    {'kind': 'damaged'}
    """
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return {"kind": "damaged"}
    try:
        entry: Entry = json.loads(text)
    except ValueError:
        return {"kind": "damaged"}
    return entry


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that have an end, if it exists."""
    if path.is_file():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
