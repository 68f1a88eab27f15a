"""Delivers what journals hold and their store does not: after a lock, a dead server, or a killed process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lit_lossopt import names
from lit_lossopt.errors import UserError, one_line
from lit_lossopt.redaction import redact
from lit_lossopt.tracking.delivery import Delivery, count_points
from lit_lossopt.tracking.journal import LOG, Journal, JournalBusyError, read_delivered, read_entries, tags_entry
from lit_lossopt.tracking.store import Store, is_final

TRIES = 3


def sync(wanted: list[str]) -> int:
    """Deliver the journals of the named runs, or all there are; return 1 if something could not be delivered.

    A run whose process was killed is marked KILLED. Delivering again changes nothing.

    Args:
        wanted: run ids, beginnings of them, or journal folders; empty: all in ``mlruns/journal``.

    Raises:
        UserError: there is no such journal.
    """
    folders = _folders(wanted)
    states = [_sync_one(folder) for folder in folders]
    left = states.count("left")
    print(
        f"{len(folders)} journals: {states.count('whole')} were whole, {states.count('delivered')} delivered, "
        f"{states.count('busy')} of runs still going, {left} not delivered"
    )
    return 1 if left else 0


def is_whole(folder: Path) -> bool:
    """Return whether the store has confirmed all of a journal, and the run ended."""
    entries = read_entries(folder)
    return read_delivered(folder) >= len(entries) and _has_ended(entries)


def _sync_one(folder: Path) -> str:
    try:
        journal = Journal(folder)
    except JournalBusyError:
        print(f"{folder.name}: its run is still going")
        return "busy"
    try:
        return _deliver(journal)
    except OSError as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        return "left"
    finally:
        journal.close()


def _deliver(journal: Journal) -> str:
    entries = read_entries(journal.folder)
    if not entries:
        return "whole"
    if not _has_ended(entries):
        journal.append(
            tags_entry({names.TAG_VERDICT: "interrupted"}),
            {"kind": "end", "status": "KILLED", "milliseconds": time.time_ns() // 1_000_000},
        )
    uri = next((entry["uri"] for entry in entries if "uri" in entry), "")
    delivery = Delivery(journal, Store(uri))
    begun = delivery.position
    problem = _run(delivery)
    if not problem and delivery.position == begun:
        return "whole"
    if not problem:
        problem = _verify(delivery)
    name = delivery.run_id or journal.folder.name
    if problem:
        print(redact(f"{name}: not delivered to {uri}: {problem}"), file=sys.stderr)
        return "left"
    print(redact(f"{name}: {delivery.position - begun} entries delivered to {uri}"))
    return "delivered"


def _run(delivery: Delivery) -> str:
    """Send all that is left; return what went wrong, or an empty text."""
    failures = 0
    while True:
        try:
            if not delivery.step():
                return ""
            failures = 0
        except Exception as error:  # noqa: BLE001  # whatever a store says is for the person to read
            failures += 1
            if failures == TRIES or is_final(error):
                return one_line(str(error), 200)
            time.sleep(failures)


def _verify(delivery: Delivery) -> str:
    """Compare counts with the store, and send everything once more if some are missing."""
    try:
        expected = count_points(read_entries(delivery.journal.folder))
        if not delivery.verify(expected):
            return ""
        delivery.position = 0
        problem = _run(delivery)
        missing = delivery.verify(expected)
        flag = tags_entry({names.TAG_UNDELIVERED: missing})
        delivery.store.send(str(delivery.run_id), [flag], delivery.journal.folder)
    except Exception as error:  # noqa: BLE001  # as above
        return one_line(str(error), 200)
    return problem or (f"{missing} values are still missing" if missing else "")


def _has_ended(entries: list[dict[str, object]]) -> bool:
    """Return whether a journal's last session came to an end; one that only added to a run has none."""
    kinds = [entry["kind"] for entry in entries if entry["kind"] in ("run", "running", "end")]
    return not kinds or kinds[-1] == "end"


def _folders(wanted: list[str]) -> list[Path]:
    root = Path(names.JOURNAL_FOLDER)
    known = sorted(path for path in root.glob("*") if (path / LOG).is_file())
    found = []
    for name in wanted:
        matching = [path for path in known if path.name.startswith(name)] or [Path(name)]
        if not (matching[0] / LOG).is_file():
            raise UserError(f"sync {name}: there is no such journal in {root.absolute()}; it holds {len(known)}")
        found += matching
    if not wanted and not known:
        print(f"no journals in {root.absolute()}")
    return found if wanted else known
