"""From the journal to the store: in order, again and again until it is confirmed, and never in training's way."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from lit_lossopt.errors import UserError, one_line
from lit_lossopt.redaction import redact
from lit_lossopt.tracking.journal import FILES, Entry, Journal, read_entries
from lit_lossopt.tracking.store import Store, is_final

ENTRIES_AT_ONCE = 10
# Sending holds Python's lock: after t seconds of computing the thread leaves training alone for this many times t.
REST = 40
LONGEST_WAIT = 30.0
# A final answer may still come from a proxy in front of a server that restarts.
FINAL_ANSWERS = 3


class Delivery:
    """Sends what a journal holds to its store.

    Args:
        journal: open for writing.
        store: where its run is, or will be made.
    """

    def __init__(self, journal: Journal, store: Store) -> None:
        self.journal = journal
        self.store = store
        self.position = journal.delivered
        self.run_id: str | None = None
        self.artifact_uri: str | None = None
        self.header: Entry = {}
        self.problem = ""
        self.refused = ""
        for entry in read_entries(journal.folder):
            self._remember(entry)

    def step(self) -> bool:
        """Send the next entries, if there are any; return whether there were.

        Raises:
            Exception: the store's trouble; nothing is counted as sent.
        """
        entries = self.journal.entries(self.position, ENTRIES_AT_ONCE)
        if not entries:
            return False
        # What says which run it is comes alone.
        first = entries[0]["kind"]
        if first in ("run", "created"):
            entries = entries[:1]
            self._begin(entries[0])
        else:
            others = [n for n, entry in enumerate(entries) if entry["kind"] in ("run", "created")]
            entries = entries[: others[0]] if others else entries
            if self.run_id is None:
                raise RuntimeError("the journal does not say to which run it belongs")
            self.store.send(self.run_id, entries, self.journal.folder)
        self.position += len(entries)
        self.journal.acknowledge(self.position)
        return True

    def verify(self, expected: Mapping[str, int]) -> int:
        """Return how many of the expected points (metric → count) the store lacks, after all was sent.

        Where none is missing, copies of files are removed; a second run that a server made for one journal is deleted.

        Raises:
            Exception: the store's trouble.
        """
        if self.run_id is None:
            return sum(expected.values())
        if self.header:
            self.store.remove_twins(self.run_id, self.header)
        found = self.store.counts(self.run_id)
        missing = sum(max(0, count - found.get(name, 0)) for name, count in expected.items())
        if not missing:
            shutil.rmtree(self.journal.folder / FILES, ignore_errors=True)
        return missing

    def _begin(self, entry: Entry) -> None:
        self._remember(entry)
        if self.run_id is None:
            self.run_id, self.artifact_uri = self.store.create_run(entry)
            self.journal.append({"kind": "created", "run": self.run_id, "artifacts": self.artifact_uri})
            self.journal.rename(self.run_id)

    def _remember(self, entry: Entry) -> None:
        if entry["kind"] == "run":
            self.header = entry
        elif entry["kind"] == "created":
            self.run_id, self.artifact_uri = entry["run"], entry["artifacts"]


class Writer:
    """A thread that delivers a journal while training goes on.

    No exception leaves it. The store may be locked, slow or gone: it tries again, ever more slowly, and the journal
    holds what is not delivered.

    Args:
        delivery: what it runs.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.created = threading.Event()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="lossopt-writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that the journal has grown."""
        self._news.set()

    def drain(self, patience: float, at_most: float = float("inf")) -> bool:
        """Wait until all is delivered; give up after ``patience`` seconds without progress, or ``at_most`` in all.

        Return whether all is delivered and the thread has ended.
        """
        started = self._progress = time.monotonic()
        self._closing.set()
        self._news.set()
        while self._thread.is_alive():
            self._thread.join(0.02)
            now = time.monotonic()
            if now - self._progress > patience or now - started > at_most:
                break
        return not self._thread.is_alive() and not self.delivery.refused

    def _run(self) -> None:
        failures = finals = 0
        while True:
            self._news.clear()
            used = time.thread_time()
            try:
                sent = self.delivery.step()
            except Exception as error:  # noqa: BLE001  # whatever it is, training goes on
                failures += 1
                finals = FINAL_ANSWERS if isinstance(error, UserError) else finals + 1 if is_final(error) else 0
                self.delivery.problem = redact(one_line(str(error), 200))
                if finals == FINAL_ANSWERS:
                    self.delivery.refused = self.delivery.problem
                    self.created.set()
                    return
                self._pause(min(LONGEST_WAIT, 0.25 * 2**failures))
                continue
            failures = finals = 0
            self._progress = time.monotonic()
            if self.delivery.run_id is not None:
                self.delivery.problem = ""
                self.created.set()
            if sent:
                self._rest((time.thread_time() - used) * REST)
            elif self._closing.is_set():
                return
            else:
                self._news.wait()

    def _pause(self, seconds: float) -> None:
        """Wait before trying again; less if the end is near."""
        self._closing.wait(0.5 if self._closing.is_set() else seconds)
        if self._closing.is_set():
            time.sleep(0.1)

    def _rest(self, seconds: float) -> None:
        if not self._closing.is_set() and self.created.is_set():
            self._closing.wait(seconds)


def count_points(entries: Iterable[Entry]) -> Counter[str]:
    """Return metric → number of its points in a journal."""
    seen: Counter[str] = Counter()
    for entry in entries:
        add_points(seen, entry)
    return seen


def last_steps(entries: Iterable[Entry]) -> dict[str, int]:
    """Return metric → the last step of it in a journal."""
    found: dict[str, int] = {}
    for entry in entries:
        for name, _, step, _ in entry["points"] if entry["kind"] == "points" else ():
            found[name] = max(step, found.get(name, -1))
    return found


def add_points(seen: Counter[str], entry: Mapping[str, Any]) -> None:
    """Add an entry's points to a count."""
    if entry["kind"] == "points":
        seen.update(point[0] for point in entry["points"])
