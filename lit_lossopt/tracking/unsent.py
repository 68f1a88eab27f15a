"""Checkpoints that wait for a store on another machine.

They lie under ``mlruns/unsent`` until the store holds them too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.files import remove_parts
from lit_lossopt.core.names import Status, Verdict
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.places import here, home_of, local_artifacts

UNSENT = "unsent"


def unsent_folder(ids: Sequence[str]) -> Path:
    """Return where a run's checkpoints wait.

    A folder that is there under any of its ids is kept. Otherwise the last id names a new one.
    """
    root = Path(names.RUNS_FOLDER) / UNSENT
    return next((root / name for name in ids if (root / name).is_dir()), root / ids[-1])


def remove_delivered(journal: Path, holds: Callable[[Path, str], bool]) -> None:
    """Remove the folders of a run that its store holds too.

    If the store keeps them on another machine, a run that may go on keeps its folders here, because it goes on from
    them.

    Args:
        journal: the run's, open for writing.
        holds: tells whether the store has each file of a folder under a name.
    """
    entries, home = read_entries(journal), home_of(journal)
    root = home / names.RUNS_FOLDER / UNSENT
    for entry in entries:
        if entry["kind"] != "folder":
            continue
        place = here(Path(entry["path"]), home)
        if place.is_relative_to(root) and place.is_dir():
            remove_parts(place)
            if (_is_local(entries, home) or _is_over(entries)) and holds(place, entry["folder"]):
                shutil.rmtree(root / place.relative_to(root).parts[0], ignore_errors=True)
    with suppress(OSError):
        root.rmdir()


def remove_parts_of(journal: Path) -> None:
    """Remove the part files that killed saves of a run have left.

    Its journal must be open for writing in this process.
    """
    entries, home = read_entries(journal), home_of(journal)
    created = [entry for entry in entries if entry["kind"] == "created"]
    places = [local_artifacts(entry["artifacts"], home) for entry in created]
    ids = {journal.name, *(entry["run"] for entry in created)}
    ids |= {entry["journal"] for entry in entries if entry["kind"] == "run"}
    for place in (*places, *(home / names.RUNS_FOLDER / UNSENT / name for name in ids)):
        if place is not None:
            remove_parts(place / names.CHECKPOINT_FOLDER)


def _is_local(entries: Sequence[Entry], home: Path) -> bool:
    artifacts = [entry["artifacts"] for entry in entries if entry["kind"] == "created"]
    return bool(artifacts) and local_artifacts(artifacts[-1], home) is not None


def _is_over(entries: Sequence[Entry]) -> bool:
    """Return True if a run has ended by itself or diverged."""
    ends = [entry for entry in entries if entry["kind"] in ("running", "end")]
    verdicts = [entry["tags"].get(names.TAG_VERDICT) for entry in entries if entry["kind"] == "tags"]
    said = next((verdict for verdict in reversed(verdicts) if verdict), "")
    return (
        bool(ends) and ends[-1]["kind"] == "end" and (ends[-1]["status"] == Status.FINISHED or said == Verdict.DIVERGED)
    )
