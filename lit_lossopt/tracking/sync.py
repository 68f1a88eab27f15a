"""Delivers what journals hold and their store does not.

That is needed after a locked database, a dead server or a killed process.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.names import Exit, Status, Verdict
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.delivery import Delivery
from lit_lossopt.tracking.entries import count_points, tags_entry
from lit_lossopt.tracking.journal import Journal, JournalBusyError
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import LOG, VERIFIED, iterate_entries
from lit_lossopt.tracking.places import home_of, store_here
from lit_lossopt.tracking.run_journals import journals_of
from lit_lossopt.tracking.run_store import RunGoneError, is_final
from lit_lossopt.tracking.store import Store
from lit_lossopt.tracking.unsent import remove_parts_of

TRIES = 3


def sync(wanted: list[str]) -> int:
    """Deliver the journals of runs.

    A run whose process was killed is marked KILLED. Delivering again changes nothing.

    Args:
        wanted: run ids, beginnings of them, or journal folders. Empty: all in ``mlruns/journal``.

    Returns:
        The exit status, 1 if something could not be delivered.

    Raises:
        UserError: there is no such journal.
    """
    quiet_stores()
    folders = _folders(wanted)
    states = [sync_journal(folder) for folder in folders]
    left = states.count("left")
    print(
        f"{len(folders)} journals: {states.count('whole')} were whole, {states.count('delivered')} delivered, "
        f"{states.count('busy')} open elsewhere, {left} not delivered"
    )
    return Exit.FAILED if left else Exit.DONE


def sync_journal(folder: Path, *, stopped: bool = False) -> str:
    """Deliver one journal.

    Args:
        folder: the journal's.
        stopped: a person has ended its process. Otherwise a process that is gone without a word was killed.

    Returns:
        ``whole``, ``delivered``, ``busy`` or ``left``.
    """
    try:
        journal = Journal(folder, existing=True)
    except JournalBusyError:
        print(f"{folder.name}: another process has it open; its run is still going, or another sync is at work")
        return "busy"
    except OSError as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        return "left"
    try:
        return _deliver(journal, stopped)
    finally:
        journal.close()


def _deliver(journal: Journal, stopped: bool) -> str:
    if _is_verified(journal):
        return "whole"
    address = next((entry for entry in iterate_entries(journal.folder) if "uri" in entry), None)
    if address is None:
        # A process that was killed before it said what it would log.
        return "whole"
    uri = store_here(address, home_of(journal.folder))
    remove_parts_of(journal.folder)
    store = Store(uri)
    delivery = Delivery(journal, store)
    if not _has_ended(journal.folder):
        try:
            journal.append(*_end_of_killed(delivery, store, stopped))
        except Exception as error:  # noqa: BLE001  # whatever a store says is for the person to read
            return _left(journal.folder.name, uri, one_line(str(error), 200))
    begun, former = delivery.position, journal.folder.name
    problem = _run(delivery) or _verify(delivery)
    name = delivery.run_id or journal.folder.name
    was = f" (called {former} before its store had answered)" if former == delivery.header.get("journal") else ""
    if delivery.refused:
        tell(f"{name}: {uri} refused {len(delivery.refused)} entries: {delivery.refused[0]}", sys.stderr)
    if problem:
        return _left(name, uri, problem)
    print(redact(f"{name}{was}: {delivery.position - begun} entries delivered to {uri}"))
    return "delivered"


def _left(name: str, uri: str, problem: str) -> str:
    tell(redact(f"{name}: not delivered to {uri}: {problem}"), sys.stderr)
    return "left"


def _is_verified(journal: Journal) -> bool:
    """Return True if the store was seen to hold all of a journal."""
    try:
        return int((journal.folder / VERIFIED).read_text(encoding="ascii")) == journal.size()
    except (OSError, ValueError):
        return False


def _run(delivery: Delivery) -> str:
    """Send all that is left, and return what went wrong, if anything."""
    failures = 0
    while True:
        try:
            if not delivery.step():
                return ""
            failures = 0
        except RunGoneError as error:
            failures += 1
            if "deleted" in str(error) or not delivery.header or failures == TRIES:
                return str(error)
            # Another database stands where the run was: the journal has all that it needs.
            delivery.start_over()
        except Exception as error:  # noqa: BLE001  # whatever a store says is for the person to read
            failures += 1
            if failures == TRIES or is_final(error):
                return one_line(str(error), 200)
            time.sleep(failures)


def _verify(delivery: Delivery) -> str:
    """Compare counts, and send everything again if some are missing."""
    try:
        expected = count_points(iterate_entries(delivery.journal.folder))
        missing = delivery.verify(expected)
        problem = ""
        if missing:
            delivery.send_again()
            problem = _run(delivery)
            missing = delivery.verify(expected)
        if delivery.postponed():
            problem = f"{len(delivery.postponed())} files: {delivery.problem}"
    except Exception as error:  # noqa: BLE001  # as above
        return one_line(str(error), 200)
    return problem or (f"{missing} values are still missing" if missing else "")


def _has_ended(folder: Path) -> bool:
    """Return True if a journal's last session came to an end.

    A journal that only added to a run counts as ended.
    """
    last = "end"
    for entry in iterate_entries(folder):
        last = entry["kind"] if entry["kind"] in ("run", "running", "end") else last
    return last == "end"


def _end_of_killed(delivery: Delivery, store: Store, stopped: bool) -> list[Entry]:
    """Return the entries that end a journal of a dead process.

    They say that it was killed, unless the store knows an end. The store does if the disk took no more of the journal
    and the status was sent all the same.
    """
    begins = [entry for entry in iterate_entries(delivery.journal.folder) if entry["kind"] in ("run", "running")]
    end = store.end_of(delivery.run_id or begins[0]["journal"]) if begins else None
    if end and end[1] >= begins[-1]["milliseconds"]:
        return [{"kind": "end", "status": end[0], "milliseconds": end[1]}]
    # How often processes of the run were found killed before, and now.
    kills = sum(entry.get("killed", False) for entry in iterate_entries(delivery.journal.folder)) + (not stopped)
    now = time.time_ns() // 1_000_000
    return [
        tags_entry({names.TAG_VERDICT: Verdict.INTERRUPTED, names.TAG_KILLED: kills}),
        {"kind": "end", "status": Status.KILLED, "killed": not stopped, "milliseconds": now},
    ]


def _folders(wanted: list[str]) -> list[Path]:
    root = Path(names.JOURNAL_FOLDER)
    known = sorted(path for path in root.glob("*") if (path / LOG).is_file())
    folders = []
    for name in wanted:
        matching = journals_of(root, name) or [given_path(name)]
        if not (matching[0] / LOG).is_file():
            raise UserError(f"sync {name}: there is no such journal in {root.absolute()}; it holds {len(known)}")
        folders += matching
    if not wanted and not known:
        print(f"no journals in {root.absolute()}")
    return folders if wanted else known
