"""Which journal is that of a run, and how long ago it was written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from lit_lossopt import names
from lit_lossopt.tracking.journal import LOG, Entry, Journal, JournalBusyError, iterate_entries


def free_journal(name: str) -> Journal:
    """Open the journal of a run, or one beside it while another process writes it."""
    root = Path(names.JOURNAL_FOLDER)
    try:
        return Journal(root / name)
    except JournalBusyError:
        return Journal(root / f"{name}.{uuid.uuid4().hex[:8]}")


def journal_of(root: Path, run: str) -> Path:
    """Return the folder of a run's journal, which was renamed when the run was made."""
    for folder in root.glob("*"):
        header = next(iterate_entries(folder), None) if (folder / LOG).is_file() else None
        if folder.name != run and header and header["kind"] == "run" and header["journal"] == run:
            return folder
    return root / run


def seconds_since(entries: Sequence[Entry]) -> float:
    """Return the seconds since a journal was last added to, as far as its entries tell."""
    times = [entry["milliseconds"] for entry in entries if "milliseconds" in entry]
    times += [point[3] for entry in entries if entry["kind"] == "points" for point in entry["points"]]
    return time.time() - max(times) / 1000 if times else 0.0
