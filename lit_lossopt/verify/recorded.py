"""What a run has recorded of how it was made."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lit_lossopt.core import names
from lit_lossopt.core.redaction import HIDDEN
from lit_lossopt.tracking.artifacts import artifact_folder
from lit_lossopt.tracking.reading.runs import Run
from lit_lossopt.verify.differences import differences

_FILES = (names.CONFIG_ARTIFACT, names.PROVENANCE_ARTIFACT)
# Ends of the keys of folders that a training may write to.
_FOLDERS = ("dirpath", "save_dir", "root_dir")
_SEED, _THREADS = "--seed_everything", "--threads"


@dataclass(frozen=True)
class Recorded:
    """The files that say how a run was made.

    Attributes:
        config: the text of its resolved config. Empty if it is gone.
        provenance: code, packages, machine and numerics.
    """

    config: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def written(self) -> list[str]:
        """Return the folders that the config names for what a training writes."""
        try:
            return list(_folders(yaml.safe_load(self.config)))
        except yaml.YAMLError:
            return []


def read_recorded(run_id: str) -> Recorded:
    """Return the files that say how a run was made.

    Raises:
        UserError: the store does not answer, or there is no such run.
    """
    with artifact_folder(run_id, "", _FILES) as (_, folder):
        config, provenance = (_text(folder / name) for name in _FILES)
    try:
        found = json.loads(provenance or "{}")
    except ValueError:
        found = {}
    return Recorded(config, found if isinstance(found, dict) else {})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _folders(config: Any) -> Iterator[str]:
    if isinstance(config, list):
        for item in config:
            yield from _folders(item)
    elif isinstance(config, dict):
        for key, value in config.items():
            if str(key).endswith(_FOLDERS) and isinstance(value, str):
                yield value
            yield from _folders(value)


def command_of(run: Run) -> list[str]:
    """Return the words that make a run again.

    Its seed and its number of threads are among them, because defaults may differ elsewhere.
    """
    words = list(json.loads(run.tags[names.TAG_COMMAND]))
    known = {word.partition("=")[0] for word in words}
    seed, threads = run.tags.get(names.TAG_SEED, ""), run.params.get("threads", "")
    words += [f"{_SEED}={seed}"] if seed.isdigit() and _SEED not in known else []
    return [*words, *([f"{_THREADS}={threads}"] if threads.isdigit() and _THREADS not in known else [])]


def why_not(run: Run, recorded: Recorded) -> str:
    """Return why a run cannot be made again from what it has recorded, or an empty text."""
    try:
        words = json.loads(run.tags.get(names.TAG_COMMAND, "[]"))
    except ValueError:
        return "its command line was too long for the store"
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return "its command line was changed into something else"
    reasons = {
        "it records no command line": not words,
        "it trains objects that a Python program has handed over": names.TAG_GIVEN in run.tags,
        "its command line held a password": any(HIDDEN in word for word in words),
        "it went on from a checkpoint": (
            names.TAG_CONTINUES in run.tags or any(word.startswith("--ckpt_path") for word in words)
        ),
        "it writes to a folder that is not below this one": any(map(_is_elsewhere, recorded.written())),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_elsewhere(folder: str) -> bool:
    """Return whether a folder is not below the working folder. That folder itself is not, because it has files."""
    return "://" in folder or os.path.normpath(folder).startswith(("/", "~", "..")) or os.path.normpath(folder) == "."


def is_outside(run: Run) -> bool:
    """Return whether a run trains classes of other packages, whose code is in the commit."""
    return "--allow-import" in run.tags.get(names.TAG_COMMAND, "")


def unlike(recorded: Recorded, again: Recorded, *, outside: bool) -> list[str]:
    """Return in what two runs were made differently, as far as numbers may depend on it.

    That are the versions of packages, this program, the processor, the devices and how numbers are computed.

    Args:
        recorded: as it was.
        again: as it is now.
        outside: whether the commit of the working folder counts, and changes of its files.
    """
    if not recorded.provenance:
        return ["the run does not say where it was made"]
    found = differences(_conditions(recorded.provenance, outside), _conditions(again.provenance, outside))
    return [f"{', '.join(one.place)} {one.recorded or 'unknown'}, now {one.found or 'unknown'}" for one in found]


def _conditions(provenance: Mapping[str, Any], outside: bool) -> Mapping[str, Any]:
    machine, code = (provenance.get(part) or {} for part in ("machine", "code"))
    own = {"commit": code.get("commit"), "files that differ from it": "some" if code.get("dirty") else "none"}
    return {
        **(provenance.get("packages") or {}),
        "state of this program": str(provenance.get("source_sha256") or "unknown")[:12],
        "processor": machine.get("processor"),
        "device": ", ".join(machine.get("accelerators") or []),
        **(provenance.get("numerics") or {}),
        **(own if outside else {}),
    }
