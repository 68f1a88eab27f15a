"""Places that a run writes to, tried before it exists."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.addresses import check_file_store, sqlite_path

# A small run's journal, database, pictures and checkpoints.
NEEDED_BYTES = 32 * 2**20
_PROBE_BYTES = 64 * 2**10


def probe_places(places: Iterable[tuple[Path, str]]) -> None:
    """Write a little into each folder, and look at what is free.

    A folder that is missing is made.

    Args:
        places: folders, each with what goes there.

    Raises:
        UserError: one is read-only or full. The message says which, for what, and how many bytes are free.
    """
    for folder, purpose in places:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Without a name where the system can do that: a kill leaves nothing behind.
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"{folder.absolute()}: {purpose} cannot be written there ({error.strerror}, {_free(folder)}); make "
                "room or permit it, or work in another folder"
            ) from error
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free < NEEDED_BYTES:
                raise UserError(
                    f"{folder.absolute()}: {free:,} bytes are free, too few for {purpose} ({NEEDED_BYTES:,} are "
                    "wanted); make room, or work in another folder"
                )


def _free(folder: Path) -> str:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        return f"{shutil.disk_usage(existing).free:,} bytes free"
    except OSError:
        return "free space unknown"


def places_of_a_run(tracking_uri: str) -> list[tuple[Path, str]]:
    """Return (folder, purpose) of each place that a run writes to.

    Raises:
        UserError: the store is one of files, which MLflow no longer opens.
    """
    check_file_store(tracking_uri)
    places = [
        (Path(names.JOURNAL_FOLDER), "the journal of the run"),
        (Path(tempfile.gettempdir()), "temporary files (TMPDIR)"),
    ]
    database = sqlite_path(tracking_uri)
    return [*places, (database.parent, f"the database {database.name}")] if database else places
