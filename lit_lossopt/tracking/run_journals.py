"""The journals of runs, found by any id of a run.

Here it is also told whether another process uses one.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.files import is_locked, try_lock_byte
from lit_lossopt.tracking.journal import Journal, JournalBusyError
from lit_lossopt.tracking.journal_reading import LOG, iterate_entries

# Of which one byte for each set of settings is locked while a run of them is being resumed or begun.
CLAIMS = ".claims"


def free_journal(name: str) -> Journal:
    """Open a journal of a run that nobody writes.

    While another process writes the run's own journal, it is a new one beside it.
    """
    root = Path(names.JOURNAL_FOLDER)
    try:
        return Journal(root / name)
    except JournalBusyError:
        return Journal(root / f"{name}.{uuid.uuid4().hex[:8]}")


def journal_of(root: Path, run: str) -> Path:
    """Return the folder of a run's journal, by any of its ids.

    If there is none, the run's id names a new folder.
    """
    journals = journals_of(root, run, beginnings=False)
    return journals[0] if journals else root / run


def journals_of(root: Path, run: str, *, beginnings: bool = True) -> list[Path]:
    """Return the folders of the journals that a run writes to.

    A journal has an id before its run is made. After that its folder gets the run's, if that is free. Either id will
    do, or the beginning of one if ``beginnings`` is set.
    """

    def fits(name: str) -> bool:
        return name == run or (beginnings and name.startswith(run))

    folders = sorted(folder for folder in root.glob("*") if (folder / LOG).is_file())
    named = [folder for folder in folders if fits(folder.name)]
    return named or [folder for folder in folders if any(map(fits, _ids_in(folder)))]


def final_id(root: Path, run: str) -> str:
    """Return the id that the store gave a run.

    If no journal tells it, the given id comes back.
    """
    folders = journals_of(root, run, beginnings=False)
    return next(
        (entry["run"] for folder in folders for entry in iterate_entries(folder) if entry["kind"] == "created"), run
    )


def is_open_elsewhere(folder: Path) -> bool:
    """Return True if another process has a journal open.

    That process trains the run, or delivers it.
    """
    return is_locked(folder / LOG)


def claim(root: Path, settings: str) -> Callable[[], None]:
    """Keep other processes from beginning a run of these settings.

    The claim ends with the process at the latest. If the folder cannot be written, nothing is claimed. The person is
    told of that later.

    Returns:
        A function that ends the claim.

    Raises:
        JournalBusyError: another process has claimed them.
    """
    # Places of files are below 2 ** 63: 15 hexadecimal digits have 60 bits.
    place = int(hashlib.sha256(settings.encode()).hexdigest()[:15], 16)
    try:
        root.mkdir(parents=True, exist_ok=True)
        release = try_lock_byte(root / CLAIMS, place)
    except OSError:
        return lambda: None
    if release is None:
        raise JournalBusyError(root)
    return release


def _ids_in(folder: Path) -> list[str]:
    keys = {"run": "journal", "created": "run"}
    return [str(entry[keys[entry["kind"]]]) for entry in iterate_entries(folder) if entry["kind"] in keys]
