"""The journal of a run.

It is a file to which all is appended that the run's store should hold. Each entry is safe once it is appended. A line
is a checksum and one JSON entry. Lines are handed to the operating system at once, so a killed process loses none of
them. A torn or altered line is recognised and left out. Numbers are written so that reading gives them back to the bit,
NaN and infinities too. The file ``delivered`` counts the entries that the store has confirmed. Delivery repeats
whatever is not confirmed, and the store takes it without doubling it.

The file ``ending`` holds room for the last entries from the start on. So a disk that is full at the end does not make a
finished run look like a killed one.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lit_lossopt.core.files import try_lock
from lit_lossopt.core.redaction import redact_leaves
from lit_lossopt.tracking.held_room import give_up_room, hold_room, read_held, write_held
from lit_lossopt.tracking.journal_lines import Entry, from_line, to_line, whole_lines
from lit_lossopt.tracking.journal_reading import (
    DELIVERED,
    FILES,
    LOG,
    read_delivered,
)

# Kept in memory while the disk takes no more; what comes beyond it is lost, counted, and said.
MAX_UNWRITTEN = 20_000
_KIND = re.compile(rb'[0-9a-f]{8} \{"kind":"(\w+)"')


class JournalBusyError(Exception):
    """Another process is writing this journal."""


class Stretch(NamedTuple):
    """Entries one after another in a journal's file.

    Attributes:
        kinds: of the entries.
        places: where each entry's line starts, and where the last one ends.
    """

    kinds: tuple[str, ...]
    places: tuple[int, ...]

    def before(self, kinds: Iterable[str]) -> Stretch:
        """Return the entries before the first of some kinds."""
        count = next((number for number, kind in enumerate(self.kinds) if kind in kinds), len(self.kinds))
        return Stretch(self.kinds[:count], self.places[: count + 1])


class Journal:
    """A journal that is open for writing in one process.

    Appending never raises and never waits for a store. While the disk is full, entries stay in memory, and follow as
    soon as it takes them.

    Args:
        folder: made if it does not exist, unless ``existing``.
        existing: open one that is there.

    Raises:
        JournalBusyError: another process has it open.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, existing: bool = False) -> None:
        if not existing:
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log = os.open(folder / LOG, os.O_RDWR | (0 if existing else os.O_CREAT) | os.O_APPEND, 0o644)
        if not try_lock(self._log):
            os.close(self._log)
            raise JournalBusyError(folder)
        self._delivered = os.open(folder / DELIVERED, os.O_RDWR | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._unwritten: deque[bytes] = deque()
        self._torn = self._ended = False
        self.problem = ""
        # Entries that are lost, by kind.
        self.dropped: Counter[str] = Counter()
        # Where each line begins, and the next one will.
        self._starts = [0]
        for line in whole_lines(folder / LOG):
            self._starts.append(self._starts[-1] + len(line))
        os.ftruncate(self._log, self._starts[-1])
        self._unwritten.extend(map(to_line, read_held(folder, len(self._starts) - 1)))
        self._write()
        if not self._unwritten:
            (give_up_room if existing else hold_room)(folder)
        with suppress(OSError):
            if os.fstat(self._delivered).st_size == 0:
                os.pwrite(self._delivered, _number(0), 0)

    @property
    def delivered(self) -> int:
        """How many entries the store has confirmed."""
        return min(read_delivered(self.folder), len(self._starts) - 1)

    @property
    def lost(self) -> int:
        """How many entries are lost.

        The disk took none of them, and memory is bounded.
        """
        return self.dropped.total()

    @property
    def is_short(self) -> bool:
        """Whether the disk lacks entries."""
        with self._lock:
            self._write()
            return bool(self._unwritten or self.dropped)

    def append(self, *entries: Entry, last: bool = False) -> None:
        """Add entries in order, without passwords.

        Args:
            entries: what to add.
            last: take them even if memory is full.
        """
        lines = [(entry["kind"], self._redacted(entry)) for entry in entries]
        with self._lock:
            for kind, line in lines:
                full = len(self._unwritten) >= MAX_UNWRITTEN and not last
                if line is None or self._ended or full:
                    self.dropped[kind] += 1
                else:
                    self._unwritten.append(line)
            self._write()

    def in_memory(self) -> list[Entry]:
        """Return the entries that are not on the disk yet.

        Their numbers follow those on the disk.
        """
        with self._lock:
            self._write()
            return [from_line(line) for line in self._unwritten]

    def end(self, last: Sequence[Entry]) -> bool:
        """Write what waits, or at least the last entries.

        If the disk does not take all, the last entries go into the room that was held for them. The rest is lost then,
        and nothing more is taken.

        Returns:
            Whether the last entries are on the disk.
        """
        with self._lock:
            self._write()
            if not self._unwritten:
                give_up_room(self.folder)
                return True
            self._ended = True
            self._unwritten.clear()
            return write_held(self.folder, len(self._starts) - 1, [redact_leaves(entry) for entry in last])

    def entries(self, position: int, limit: int) -> list[Entry]:
        """Return up to ``limit`` entries from number ``position`` on."""
        with self._lock:
            self._write()
            starts = self._starts[position : position + limit + 1]
            memory = list(self._unwritten) if len(starts) < 2 else []
            written = len(self._starts) - 1
        if len(starts) < 2:
            return [from_line(line) for line in memory[max(0, position - written) :][:limit]]
        text = os.pread(self._log, starts[-1] - starts[0], starts[0])
        return [from_line(line) for line in text.splitlines(keepends=True)]

    def stretch(self, position: int, limit: int, size: int) -> Stretch:
        """Return kinds and places of entries on the disk, unread.

        Args:
            position: number of the first.
            limit: how many at most.
            size: how many bytes at most. One entry alone may have more.
        """
        with self._lock:
            self._write()
            places = tuple(self._starts[position : position + limit + 1])
        if len(places) < 2:
            return Stretch((), places)
        places = places[:2] + tuple(place for place in places[2:] if place - places[0] <= size)
        text = os.pread(self._log, places[-1] - places[0], places[0])
        kinds = [_KIND.match(line) for line in text.splitlines()]
        return Stretch(tuple(kind[1].decode() if kind else "damaged" for kind in kinds), places)

    def size(self) -> int:
        """Return how many entries there are."""
        with self._lock:
            return len(self._starts) - 1 + len(self._unwritten)

    def acknowledge(self, count: int) -> None:
        """Note that the store has confirmed the first ``count`` entries."""
        try:
            # What is in memory only may be lost, and other entries may take its numbers.
            os.pwrite(self._delivered, _number(min(count, len(self._starts) - 1)), 0)
        except OSError:
            # Delivered once more after a restart, which does no harm.
            return

    def keep_file(self, content: bytes, name: str) -> str:
        """Write a file that waits for delivery.

        Returns:
            Its name below ``files``.

        Raises:
            OSError: it cannot be kept.
        """
        with self._lock:
            kept = f"{uuid.uuid4().hex[:8]}/{name}"
            copy = self.folder / FILES / kept
            try:
                copy.parent.mkdir(parents=True)
                copy.write_bytes(content)
            except OSError:
                shutil.rmtree(copy.parent, ignore_errors=True)
                raise
        return kept

    def rename(self, name: str) -> None:
        """Rename the folder, unless the name is taken."""
        with self._lock:
            target = self.folder.with_name(name)
            try:
                self.folder.rename(target)
            except OSError:
                return
            self.folder = target

    def close(self) -> None:
        """Write what is left, and let other processes open the journal."""
        with self._lock:
            self._write()
            if not self._unwritten and not self._ended:
                give_up_room(self.folder)
            self.dropped.update(from_line(line)["kind"] for line in self._unwritten)
        os.close(self._delivered)
        os.close(self._log)

    def _redacted(self, entry: Entry) -> bytes | None:
        """Return an entry's line without passwords, or None if it has none."""
        try:
            return to_line(entry if entry["kind"] == "points" else redact_leaves(entry))
        except (TypeError, ValueError):
            return None

    def _write(self) -> None:
        """Write what waits, as far as the disk takes it."""
        while self._unwritten:
            line = self._unwritten[0]
            try:
                if self._torn:
                    os.ftruncate(self._log, self._starts[-1])
                self._torn, rest = True, memoryview(line)
                while rest:
                    rest = rest[os.write(self._log, rest) :]
            except OSError as error:
                self.problem = error.strerror or str(error)
                break
            self._torn = False
            self._starts.append(self._starts[-1] + len(line))
            self._unwritten.popleft()
        if self._torn:
            with suppress(OSError):
                os.ftruncate(self._log, self._starts[-1])
                self._torn = False


def _number(count: int) -> bytes:
    return f"{count:>15}\n".encode()
