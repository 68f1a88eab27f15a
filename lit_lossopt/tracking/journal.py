"""The journal of a run: an append-only file of all that its store should hold, safe from the moment it is appended.

A line is a checksum and one JSON entry. Lines are handed to the operating system at once, so a killed process loses
none of them; a torn or altered line is recognised and left out. Numbers are written so that reading gives them back to
the bit, NaN and infinities too. The file ``delivered`` counts the entries that the store has confirmed: delivery
repeats whatever is not confirmed, which the store takes without doubling it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.redaction import redact

Entry = dict[str, Any]
LOG, DELIVERED, FILES = "log.jsonl", "delivered", "files"
# Kept in memory while the disk takes no more; what comes beyond it is lost, counted, and said.
MAX_UNWRITTEN = 20_000


class JournalBusyError(Exception):
    """Another process is writing this journal."""


class Journal:
    """A journal opened for writing by one process.

    Appending never raises and never waits for a store. While the disk is full, entries stay in memory, and follow as
    soon as it takes them.

    Args:
        folder: made if it does not exist.

    Raises:
        JournalBusyError: another process has it open.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log = os.open(folder / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._log)
            raise JournalBusyError(folder) from error
        self._delivered = os.open(folder / DELIVERED, os.O_RDWR | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._unwritten: deque[Entry] = deque()
        self.lost = 0
        # Where each line begins, and the next one will.
        self._starts = [0]
        for line in _whole_lines(folder / LOG):
            self._starts.append(self._starts[-1] + len(line))
        os.ftruncate(self._log, self._starts[-1])

    @property
    def files(self) -> Path:
        """The folder for copies of files that wait for delivery."""
        path = self.folder / FILES
        path.mkdir(exist_ok=True)
        return path

    @property
    def delivered(self) -> int:
        """How many entries the store has confirmed."""
        return read_delivered(self.folder)

    def append(self, *entries: Entry) -> None:
        """Add entries, in order."""
        with self._lock:
            room = MAX_UNWRITTEN - len(self._unwritten)
            self._unwritten.extend(entries[:room])
            self.lost += len(entries[room:])
            self._write()

    def entries(self, position: int, limit: int) -> list[Entry]:
        """Return up to ``limit`` entries from number ``position`` on."""
        with self._lock:
            self._write()
            starts = self._starts[position : position + limit + 1]
            memory = list(self._unwritten) if len(starts) < 2 else []
            written = len(self._starts) - 1
        if len(starts) < 2:
            return memory[max(0, position - written) :][:limit]
        text = os.pread(self._log, starts[-1] - starts[0], starts[0])
        return [_parse(line) for line in text.splitlines(keepends=True)]

    def acknowledge(self, count: int) -> None:
        """Note that the store has confirmed the first ``count`` entries."""
        try:
            os.pwrite(self._delivered, f"{count:>15}\n".encode(), 0)
        except OSError:
            # Delivered once more after a restart, which does no harm.
            return

    def rename(self, name: str) -> None:
        """Give the folder another name beside its old one, if that is free."""
        with self._lock:
            target = self.folder.with_name(name)
            try:
                self.folder.rename(target)
            except OSError:
                return
            self.folder = target

    def close(self) -> None:
        """Write what is left, and let others open it."""
        with self._lock:
            self._write()
            self.lost += len(self._unwritten)
        os.close(self._delivered)
        os.close(self._log)

    def _write(self) -> None:
        """Write what waits, as far as the disk takes it."""
        while self._unwritten:
            line = _line(self._unwritten[0])
            try:
                done = os.write(self._log, line)
            except OSError:
                done = 0
            if done < len(line):
                _truncate(self._log, self._starts[-1])
                break
            self._starts.append(self._starts[-1] + done)
            self._unwritten.popleft()


def read_entries(folder: Path) -> list[Entry]:
    """Return the whole entries of a journal, which may be open elsewhere."""
    return [_parse(line) for line in _whole_lines(folder / LOG)]


def read_delivered(folder: Path) -> int:
    """Return how many entries the store has confirmed."""
    try:
        return int((folder / DELIVERED).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def points_entry(points: Sequence[Sequence[Any]]) -> Entry:
    """Return the entry of points (name, value, step, milliseconds)."""
    return {"kind": "points", "points": [list(point) for point in points]}


def tags_entry(tags: Mapping[str, Any]) -> Entry:
    """Return the entry of tags."""
    return {"kind": "tags", "tags": {name: str(value) for name, value in tags.items()}}


def _line(entry: Entry) -> bytes:
    text = redact(json.dumps(entry, ensure_ascii=False, separators=(",", ":"))).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _whole_lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _parse(line: bytes) -> Entry:
    """Return a line's entry; one that was altered keeps its place, without content."""
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return {"kind": "damaged"}
    entry: Entry = json.loads(text)
    return entry


def _truncate(file: int, size: int) -> None:
    try:
        os.ftruncate(file, size)
    except OSError:
        return
