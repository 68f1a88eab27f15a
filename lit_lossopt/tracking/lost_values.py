"""What of a run is lost.

That is what was logged, and is neither on the disk nor in the store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lit_lossopt.tracking.delivery import Delivery
from lit_lossopt.tracking.entries import count_points, last_steps
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import iterate_entries

SHOWN = 4
# Metrics whose last steps find a place in the room that a journal holds, beside its last words.
NOTED = 100
# What entries of a journal are called.
_WORDS = {"params": "group of parameters", "tags": "group of tags", "file": "file", "folder": "folder"}


@dataclass
class Lost:
    """What is lost of a run.

    Attributes:
        points: metric → number of its values.
        others: kind of a journal's entry → how many.
        earlier: what an earlier attempt has said to be lost, in words.
    """

    points: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    earlier: str = ""

    def __bool__(self) -> bool:
        """Return True if anything is lost."""
        return bool(self.points or self.others or self.earlier)

    @property
    def values(self) -> int:
        """How many values are lost."""
        return self.points.total()

    def text(self) -> str:
        """Return what is lost, in words."""
        shown = ", ".join(f"{name} {count:,}" for name, count in self.points.most_common(SHOWN))
        more = f", and of {len(self.points) - SHOWN} more metrics" if len(self.points) > SHOWN else ""
        parts = [self.earlier] if self.earlier else []
        parts += [f"{_number(self.values, 'value')} ({shown}{more})"] if self.points else []
        parts += [_number(count, _WORDS[kind]) for kind, count in sorted(self.others.items())]
        return " and ".join(parts)

    def add_earlier(self, before: Lost) -> None:
        """Add what earlier attempts have lost."""
        self.points.update(before.points)
        self.earlier = before.earlier

    def add(self, kind: str, count: int) -> None:
        """Add the entries of a kind."""
        if count:
            self.others[kind] += count


def is_of_values(text: str) -> bool:
    """Return True if a text tells of lost values alone.

    They are trained and logged again.

    >>> is_of_values("2 values (train/loss 2)"), is_of_values("1 file")
    (True, False)
    """
    return not any(re.search(rf"\d {word}s?\b", text) for word in _WORDS.values())


def count_lost(delivery: Delivery, expected: Mapping[str, int], found: Mapping[str, int] | None, last: int) -> Lost:
    """Return what is lost of a run.

    Disk and store hold the same sequence of entries, each up to some place, so of a metric there are as many points as
    the one that holds more of them has.

    Args:
        delivery: of the run's journal.
        expected: metric → number of points that were logged.
        found: metric → number of points in the store, or None if it does not say.
        last: number of entries at the end that have a place of their own.
    """
    journal = delivery.journal
    if not journal.is_short:
        return Lost()
    memory = journal.in_memory()
    confirmed = max(0, delivery.position - (journal.size() - len(memory)))
    kept = count_points(iterate_entries(journal.folder))
    stored = Counter(found) if found is not None else kept + count_points(memory[:confirmed])
    lost = Lost(Counter(expected) - (kept | stored))
    unwritten = Counter(entry["kind"] for entry in memory[confirmed : len(memory) - last]) + journal.dropped
    for kind in _WORDS:
        lost.add(kind, unwritten[kind])
    return lost


def stored_only(delivery: Delivery) -> list[Entry]:
    """Return an entry of what only the store has, if anything.

    A run that goes on would log it again, at another time, and the store would hold it twice.
    """
    memory = delivery.journal.in_memory()
    confirmed = max(0, delivery.position - (delivery.journal.size() - len(memory)))
    steps = last_steps(memory[:confirmed])
    return [{"kind": "stored", "steps": dict(list(steps.items())[:NOTED])}] if steps else []


def _number(count: int, what: str) -> str:
    first, _, rest = what.partition(" ")
    return f"{count:,} {first}{'' if count == 1 else 's'} {rest}".rstrip()
