"""What the entries of a journal hold.

Points and tags become entries. Points are counted in entries, and an entry is taken apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.tracking.journal_lines import Entry


def points_entry(points: Sequence[Sequence[Any]]) -> Entry:
    """Return an entry of points (name, value, step, milliseconds)."""
    return {"kind": "points", "points": [list(point) for point in points]}


def tags_entry(tags: Mapping[str, Any]) -> Entry:
    """Return an entry of tags."""
    return {"kind": "tags", "tags": {name: str(value) for name, value in tags.items()}}


def count_points(entries: Iterable[Entry]) -> Counter[str]:
    """Return metric → number of its points in a journal.

    >>> dict(count_points([{"kind": "points", "points": [["train/loss", 0.5, 1, 1000]]}]))
    {'train/loss': 1}
    """
    seen: Counter[str] = Counter()
    for entry in entries:
        if entry["kind"] == "points":
            seen.update(point[0] for point in entry["points"])
    return seen


def last_steps(entries: Iterable[Entry]) -> dict[str, int]:
    """Return metric → its last step in a journal.

    Entries of kind ``stored`` count too. They tell of steps that only the store has, because the disk was full.
    """
    latest: dict[str, int] = {}
    for entry in entries:
        for name, step in entry["steps"].items() if entry["kind"] == "stored" else ():
            latest[name] = max(step, latest.get(name, -1))
        for name, _, step, _ in entry["points"] if entry["kind"] == "points" else ():
            latest[name] = max(step, latest.get(name, -1))
    return latest


def apart(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries of one metric, tag or parameter each.

    Then one that is refused takes no other with it.
    """
    parts: list[Entry] = []
    for entry in entries:
        if entry["kind"] == "points":
            metrics = dict.fromkeys(point[0] for point in entry["points"])
            parts += [{"kind": "points", "points": [p for p in entry["points"] if p[0] == name]} for name in metrics]
        elif entry["kind"] in ("params", "tags"):
            parts += [{"kind": entry["kind"], entry["kind"]: {n: v}} for n, v in entry[entry["kind"]].items()]
        else:
            parts.append(entry)
    return parts


def refusal_entry(refused: Sequence[str]) -> Entry:
    """Return the entry of what the store refused."""
    return tags_entry({names.TAG_REFUSED: f"{len(refused)}: {refused[0]}"})
