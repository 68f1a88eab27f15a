"""Which run a training goes on with.

It finds the last checkpoint, or the unfinished run of the same settings, and keeps other processes from them. How
training then goes on is in ``continuation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Status, Verdict
from lit_lossopt.tracking.journal import JournalBusyError
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.journal_reading import LOG, iterate_entries, read_delivered, read_entries
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.run_journals import claim, is_open_elsewhere
from lit_lossopt.training.checkpoint_file import previous_of

# A journal's first entries: of which run it is, its parameters, and where its artifacts lie.
_HEAD = 8


def last_checkpoint(experiment: str) -> Path:
    """Return the newest last checkpoint of an experiment.

    It is one of its runs in the working folder.

    Raises:
        UserError: there is none.
    """
    checkpoints = sorted(_last_checkpoints(experiment), key=_modified)
    if not checkpoints:
        raise UserError(
            f"--ckpt_path last: no run of the experiment {experiment!r} has left a checkpoint under "
            f"{Path('mlruns').absolute()}; work in the folder where it ran, or name the file (a run "
            "that has ended has them in its store: mlflow artifacts download -r RUN -a checkpoints)"
        )
    return checkpoints[-1]


def unfinished_checkpoint(experiment: str, trial_key: str, tags: Mapping[str, str] | None = None) -> Path | None:
    """Return the last checkpoint of the newest run of these settings.

    It is None if that run has come to its end.

    A run that diverged has come to its end. One that was killed while the last of it was delivered has not: resumed,
    it delivers.

    Args:
        experiment: in MLflow.
        trial_key: the hash of the settings.
        tags: of the run of now. One of a sweep goes on with runs of the same sweep only, and any other with none of a
            sweep.

    Raises:
        UserError: another process trains, or delivers, such a run that has not come to its end.
    """
    sweep = (tags or {}).get(names.TAG_SWEEP)
    wanted = (experiment, trial_key, sweep)
    matching = [(folder, header) for folder, header in _headers() if _settings_of(header) == wanted]
    for folder, _ in matching:
        if is_open_elsewhere(folder) and not _has_ended(read_entries(folder)):
            raise UserError(
                f"--resume auto: run {folder.name} of these settings is being trained or delivered by another "
                "process; wait for it, or stop it"
            )
    if not matching:
        return None
    folder, header = matching[0]
    entries = read_entries(folder)
    if _has_ended(entries) and read_delivered(folder) >= len(entries):
        return None
    mine = [path for path in _last_checkpoints(experiment) if {folder.name, header["journal"]} & set(path.parts)]
    return max(mine, key=_modified, default=None)


def claim_settings(experiment: str, trial_key: str, tags: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Keep others from resuming or beginning a run like this.

    Other processes with these settings are meant. Return what lets them.

    Between the look for a run and the new one's journal there are seconds.

    Raises:
        UserError: another process has claimed them.
    """
    sweep = (tags or {}).get(names.TAG_SWEEP) or ""
    try:
        return claim(Path(names.JOURNAL_FOLDER), f"{experiment}\0{trial_key}\0{sweep}")
    except JournalBusyError as error:
        raise UserError(
            "--resume auto: another process is resuming or starting a run of these settings; wait for it, or stop it"
        ) from error


def _headers() -> list[tuple[Path, Entry]]:
    """Return the journals in this folder, the newest first.

    With each comes what says of which run it is.
    """
    headers = []
    for folder in sorted(Path(names.JOURNAL_FOLDER).glob("*"), key=_modified, reverse=True):
        first = islice(iterate_entries(folder), _HEAD) if (folder / LOG).is_file() else ()
        headers += [(folder, entry) for entry in first if entry["kind"] == "run"][:1]
    return headers


def _settings_of(header: Entry) -> tuple[str, str | None, str | None]:
    tags = header["tags"]
    return header["experiment"], tags.get(names.TAG_TRIAL_KEY), tags.get(names.TAG_SWEEP)


def _last_checkpoints(experiment: str) -> list[Path]:
    root = Path(names.RUNS_FOLDER)
    places = {
        *root.glob(f"{experiment}/*/artifacts/{names.CHECKPOINT_FOLDER}"),
        *root.glob(f"unsent/*/{names.CHECKPOINT_FOLDER}"),
        *(place for folder in root.glob("journal/*") for place in _place_elsewhere(folder, experiment)),
    }
    paths = [place / "last.ckpt" for place in places]
    return [path for path in paths if path.is_file() or previous_of(path).is_file()]


def _place_elsewhere(journal: Path, experiment: str) -> list[Path]:
    """Return where a run keeps its checkpoints elsewhere.

    Its experiment was then made in another folder.
    """
    entries = [entry for entry in islice(iterate_entries(journal), _HEAD) if entry["kind"] in ("run", "created")]
    if [entry.get("experiment") for entry in entries] != [experiment, None]:
        return []
    artifacts = local_artifacts(entries[1]["artifacts"], Path.cwd())
    outside = artifacts is not None and not artifacts.is_relative_to(Path(names.RUNS_FOLDER).absolute())
    return [artifacts / names.CHECKPOINT_FOLDER] if artifacts and outside else []


def _has_ended(entries: Sequence[Entry]) -> bool:
    """Return whether the last attempt came to its end.

    One that diverged did, as it would diverge again.
    """
    ends = [entry for entry in entries if entry["kind"] in ("running", "end")]
    verdicts = [entry["tags"].get(names.TAG_VERDICT) for entry in entries if entry["kind"] == "tags"]
    said = next((verdict for verdict in reversed(verdicts) if verdict), "")
    return bool(ends) and (
        ends[-1].get("status") == Status.FINISHED or (ends[-1]["kind"] == "end" and said == Verdict.DIVERGED)
    )


def _modified(path: Path) -> int:
    existing = next((place for place in (path / LOG, path, previous_of(path)) if place.exists()), None)
    return existing.stat().st_mtime_ns if existing else 0
