"""Which run a training goes on with: its last checkpoint, and what has changed in the config since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_lossopt import names
from lit_lossopt.checkpoint_file import previous_of
from lit_lossopt.errors import UserError
from lit_lossopt.tracking.description import relevant_settings
from lit_lossopt.tracking.journal import LOG, read_entries


def last_checkpoint(experiment: str) -> Path:
    """Return the newest last checkpoint of an experiment's runs in the working folder.

    Raises:
        UserError: there is none.
    """
    found = sorted(_last_checkpoints(experiment), key=_modified)
    if not found:
        raise UserError(
            f"--ckpt_path last: no run of the experiment {experiment!r} has left a checkpoint under "
            f"{Path('mlruns').absolute()}; work in the folder where it ran, or name the file"
        )
    return found[-1]


def unfinished_checkpoint(experiment: str, trial_key: str) -> Path | None:
    """Return the last checkpoint of the newest run of these very settings that has not come to its end, or None."""
    for folder in sorted(Path(names.JOURNAL_FOLDER).glob("*"), key=_modified, reverse=True):
        entries = read_entries(folder) if (folder / LOG).is_file() else []
        header = next((entry for entry in entries if entry["kind"] == "run"), None)
        if header is None or header["experiment"] != experiment:
            continue
        if header["tags"].get(names.TAG_TRIAL_KEY) != trial_key:
            continue
        ends = [entry["status"] for entry in entries if entry["kind"] == "end"]
        if ends and ends[-1] == "FINISHED":
            return None
        mine = [path for path in _last_checkpoints(experiment) if {folder.name, header["journal"]} & set(path.parts)]
        return mine[0] if mine else None
    return None


def changed_settings(then: str, now: Mapping[str, Any]) -> list[str]:
    """Return what differs between the config of a checkpoint (JSON) and one of now: ``key: old → new``."""
    old, new = _flat(relevant_settings(json.loads(then))), _flat(relevant_settings(now))
    return [
        f"{key}: {old.get(key, 'not set')} → {new.get(key, 'not set')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _last_checkpoints(experiment: str) -> list[Path]:
    root = Path("mlruns")
    places = [
        *root.glob(f"{experiment}/*/artifacts/{names.CHECKPOINT_FOLDER}"),
        *root.glob(f"unsent/*/{names.CHECKPOINT_FOLDER}"),
    ]
    paths = [place / "last.ckpt" for place in places]
    return [path for path in paths if path.is_file() or previous_of(path).is_file()]


def _modified(path: Path) -> int:
    existing = next((one for one in (path / LOG, path, previous_of(path)) if one.exists()), None)
    return existing.stat().st_mtime_ns if existing else 0


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {key: json.dumps(value)}
    flat: dict[str, str] = {}
    for name, item in value.items():
        flat |= _flat(item, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    return flat
