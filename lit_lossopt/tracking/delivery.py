"""Delivery from a journal to its store.

Entries are sent in order, and again until the store has confirmed them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lit_lossopt.core.errors import one_line
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.entries import apart, count_points
from lit_lossopt.tracking.journal import Journal, Stretch
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import FILES, POSTPONED, VERIFIED, iterate_entries
from lit_lossopt.tracking.places import home_of, moved_header
from lit_lossopt.tracking.run_store import RunStore, is_final
from lit_lossopt.tracking.unsent import remove_delivered

# About a thousand points, which a store takes in a call.
ENTRIES_AT_ONCE, BYTES_AT_ONCE = 200, 48 * 2**10
# A file may be refused for ever.
FILE_TRIES = 3
_FILE_KINDS = ("file", "folder")
# What says which run it is, and files, are sent alone.
_ALONE = ("run", "created", *_FILE_KINDS)


class Delivery:
    """Sends what a journal holds to its store.

    Neither a refused entry nor a file keeps values waiting. An entry that the store refuses for itself (a metric's
    name, a changed parameter) is left out and counted. A file that cannot be stored is put off.

    Args:
        journal: open for writing.
        store: where its run is, or will be made.
    """

    def __init__(self, journal: Journal, store: RunStore) -> None:
        self.journal = journal
        self.store = store
        self.position = journal.delivered
        self.run_id: str | None = None
        self.artifact_uri: str | None = None
        self.header: Entry = {}
        self.problem = ""
        self.gone = ""
        self.refused: list[str] = []
        # Metric → number of points that the store held when it was last asked.
        self.found: dict[str, int] | None = None
        self._file_failures = 0
        self._postponed = _read_postponed(journal.folder)
        self._not_there: set[str] = set()
        for entry in iterate_entries(journal.folder):
            self._remember(entry)

    def step(self) -> bool:
        """Send the next entries, and return True if there were any.

        Raises:
            Exception: the store's trouble. Nothing is counted as sent then.
        """
        stretch = self.journal.stretch(self.position, ENTRIES_AT_ONCE, BYTES_AT_ONCE)
        together = stretch.before(_ALONE)
        if together.kinds and self.run_id is not None:
            self._send_lines(together)
            self._advance(len(together.kinds))
            return True
        entries = self._next(1 if stretch.kinds else ENTRIES_AT_ONCE)
        if not entries:
            return False
        kind = entries[0]["kind"]
        if kind in ("run", "created"):
            self._begin(entries[0])
        elif self.run_id is None:
            raise RuntimeError("the journal does not say to which run it belongs")
        elif kind in _FILE_KINDS:
            self._send_file(entries[0])
        else:
            self._send(entries)
        self._advance(len(entries))
        return True

    def verify(self, expected: Mapping[str, int]) -> int:
        """Return how many points the store lacks, after all was sent.

        If none is missing, the journal is marked as whole and copies of files are removed. A second run that a server
        made for one journal is deleted.

        Args:
            expected: metric → number of points that were logged.

        Raises:
            Exception: the store's trouble.
        """
        if self.run_id is None:
            return sum(expected.values())
        if self.header:
            self.store.remove_twins(self.run_id, self.header)
        self._send_postponed()
        found = self.found = self.store.counts(self.run_id)
        missing = sum(max(0, count - found.get(name, 0)) for name, count in expected.items())
        self.store.mark_undelivered(self.run_id, missing)
        if not missing and not self.postponed():
            shutil.rmtree(self.journal.folder / FILES, ignore_errors=True)
            home = home_of(self.journal.folder)
            remove_delivered(
                self.journal.folder, lambda place, name: self.store.holds(str(self.run_id), place, name, home)
            )
            with suppress(OSError):
                (self.journal.folder / VERIFIED).write_text(f"{self.position}\n", encoding="ascii")
        return missing

    def note(self, error: Exception) -> None:
        """Keep the latest trouble in one line, without passwords."""
        self.problem = one_line(redact(str(error)), 200)

    def give_up(self) -> None:
        """Send nothing more, because of the latest trouble."""
        self.gone = self.problem

    def send_again(self) -> None:
        """Send everything again, to the same run."""
        self.position = 0

    def start_over(self) -> None:
        """Send everything again, to a new run.

        That helps where the store does not know the old one.
        """
        self._not_there.add(str(self.run_id))
        self.position, self.run_id, self.artifact_uri = 0, None, None

    def behind(self) -> bool:
        """Return True if the journal holds more than was sent."""
        return self.journal.size() > self.position

    def waiting(self) -> int:
        """Return how many points are not confirmed."""
        return sum(count_points(iterate_entries(self.journal.folder, self.position)).values())

    def postponed(self) -> list[Entry]:
        """Return the entries of files that could not be stored."""
        return list(self._postponed)

    def forget_postponed(self) -> int:
        """Drop files that are put off, if the disk takes no note of them.

        Returns:
            How many are dropped.
        """
        dropped = [] if self._note_postponed() else self._postponed
        self._postponed = [entry for entry in self._postponed if entry not in dropped]
        return len(dropped)

    def _advance(self, count: int) -> None:
        self.position += count
        self.journal.acknowledge(self.position)

    def _next(self, at_most: int) -> list[Entry]:
        """Return the next entries that can be sent together.

        They may be in memory only.
        """
        entries = self.journal.entries(self.position, at_most)
        alone = [n for n, entry in enumerate(entries) if entry["kind"] in _ALONE]
        return entries[: max(1, alone[0])] if alone else entries

    def _send_lines(self, stretch: Stretch) -> None:
        """Send entries by their places in the journal's file."""
        try:
            self.store.send_lines(str(self.run_id), self.journal.folder, stretch.places[0], stretch.places[-1])
        except Exception as error:
            if not is_final(error):
                raise
            self._send_apart(self.journal.entries(self.position, len(stretch.kinds)))

    def _send(self, entries: Sequence[Entry]) -> None:
        try:
            self.store.send(str(self.run_id), entries, self.journal.folder)
        except Exception as error:
            if not is_final(error):
                raise
            self._send_apart(entries)

    def _send_apart(self, entries: Sequence[Entry]) -> None:
        self.store.check_run(str(self.run_id))
        for entry in apart(entries):
            try:
                self.store.send(str(self.run_id), [entry], self.journal.folder)
            except Exception as error:
                if not is_final(error):
                    raise
                self.refused.append(redact(one_line(str(error), 200)))

    def _send_file(self, entry: Entry) -> None:
        try:
            self.store.send(str(self.run_id), [entry], self.journal.folder)
        except Exception as error:
            self.store.check_run(str(self.run_id))
            self._file_failures += 1
            self.note(error)
            if self._file_failures < FILE_TRIES and not is_final(error) and not isinstance(error, ImportError):
                raise
            self._postpone([*self.postponed(), entry])
        self._file_failures = 0

    def _send_postponed(self) -> None:
        left = []
        for entry in self.postponed():
            try:
                self.store.send(str(self.run_id), [entry], self.journal.folder)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is said at the end
                self.note(error)
                left.append(entry)
        if left != self.postponed():
            self._postpone(left)

    def _postpone(self, entries: list[Entry]) -> None:
        self._postponed = entries
        self._note_postponed()

    def _note_postponed(self) -> bool:
        """Note which files are put off, for whoever delivers next.

        Returns:
            Whether the disk took the note.
        """
        if self._postponed == _read_postponed(self.journal.folder):
            return True
        try:
            (self.journal.folder / POSTPONED).write_text(json.dumps(self._postponed), encoding="utf-8")
        except OSError:
            return False
        return True

    def _begin(self, entry: Entry) -> None:
        self._remember(entry)
        if self.run_id is None:
            self.run_id, self.artifact_uri = self.store.create_run(self.header)
            self.journal.append({"kind": "created", "run": self.run_id, "artifacts": self.artifact_uri})
            self.journal.rename(self.run_id)

    def _remember(self, entry: Entry) -> None:
        if entry["kind"] == "run":
            self.header = moved_header(entry, home_of(self.journal.folder))
        elif entry["kind"] == "created" and entry["run"] not in self._not_there:
            self.run_id, self.artifact_uri = entry["run"], entry["artifacts"]


def _read_postponed(journal: Path) -> list[Entry]:
    try:
        postponed: list[Entry] = json.loads((journal / POSTPONED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return postponed
