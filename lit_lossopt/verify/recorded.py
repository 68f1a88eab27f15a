"""What a run has recorded of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.core.redaction import HIDDEN
from lit_lossopt.tracking.artifacts import artifact_folder
from lit_lossopt.tracking.reading.runs import Run
from lit_lossopt.verify.differences import differences

_FILES = (names.CONFIG_ARTIFACT, names.PROVENANCE_ARTIFACT)
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


def command_of(run: Run) -> list[str]:
    """Return the words that make a run again, or nothing if that cannot be.

    Its seed and its number of threads are among them, because defaults may differ elsewhere.
    """
    if why_not(run):
        return []
    words = list(json.loads(run.tags[names.TAG_COMMAND]))
    known = {word.partition("=")[0] for word in words}
    seed, threads = run.tags.get(names.TAG_SEED, ""), run.params.get("threads", "")
    words += [f"{_SEED}={seed}"] if seed.isdigit() and _SEED not in known else []
    return [*words, *([f"{_THREADS}={threads}"] if threads.isdigit() and _THREADS not in known else [])]


def why_not(run: Run) -> str:
    """Return why a run cannot be made again from what it has recorded, or an empty text."""
    try:
        words = json.loads(run.tags.get(names.TAG_COMMAND, "[]"))
    except ValueError:
        return "its command line was too long for the store"
    if not words:
        return "it records no command line"
    if run.tags.get(names.TAG_GIVEN):
        return "it trains objects that a Python program has handed over"
    if any(HIDDEN in word for word in words):
        return "its command line held a password"
    if run.tags.get(names.TAG_CONTINUES) or any(word.startswith("--ckpt_path") for word in words):
        return "it went on from a checkpoint"
    return ""


def unlike(recorded: Recorded, again: Recorded) -> list[str]:
    """Return in what two runs were made differently, as far as numbers may depend on it.

    That are the versions of packages, the processor, the devices, how numbers are computed, and the code's commit.
    """
    if not recorded.provenance:
        return ["the run does not say where it was made"]
    found = differences(_conditions(recorded.provenance), _conditions(again.provenance))
    return [f"{', '.join(one.place)} {one.recorded or 'unknown'}, now {one.found or 'unknown'}" for one in found]


def _conditions(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    machine, code = (provenance.get(part) or {} for part in ("machine", "code"))
    return {
        **(provenance.get("packages") or {}),
        "processor": machine.get("processor"),
        "device": ", ".join(machine.get("accelerators") or []),
        **(provenance.get("numerics") or {}),
        "commit": code.get("commit"),
    }
