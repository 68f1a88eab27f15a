"""Where a run comes from.

Code, packages, machine, settings and data let it be repeated or told apart.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.core.machine import processor

MAX_DIFF_BYTES = 200_000
# Those that can change a number, or how it is stored.
PACKAGES = (
    "lit_lossopt", "torch", "torchvision", "lightning", "torchmetrics", "mlflow", "jsonargparse", "numpy",
    "scikit-learn", "pillow", "pytorch_optimizer", "tensorflow", "tensorflow_cpu", "keras",
)  # fmt: skip


def code_state(folder: Path) -> dict[str, Any]:
    """Return the commit, and how files differ from it.

    The repository is that in which ``folder`` lies.

    Empty where there is none. The difference is cut at 200 kB; untracked files are named, not shown.
    """
    commit = _git(folder, "rev-parse", "HEAD").strip()
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain").splitlines()
    diff = _git(folder, "diff", "HEAD")
    cut = diff.encode()[:MAX_DIFF_BYTES].decode(errors="ignore")
    return {
        "commit": commit,
        "dirty": any(not line.startswith("??") for line in changed),
        "untracked": [line[3:] for line in changed if line.startswith("??")][:100],
        "diff": cut,
        "diff_cut": len(cut) < len(diff),
    }


def machine() -> dict[str, Any]:
    """Return system, processor and cores.

    No name of the machine or its user is among them.
    """
    return {"system": f"{platform.system()} {platform.release()}", "processor": processor(), "cores": os.cpu_count()}


def typed_command(words: Sequence[str]) -> str:
    """Return the line that a person would type for these words."""
    return f"python -m lit_lossopt {shlex.join(words)}"


def as_text(provenance: Mapping[str, Any]) -> str:
    """Return provenance as JSON that a person can read."""
    return json.dumps(provenance, indent=1, sort_keys=True, default=str) + "\n"


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=10, text=True, errors="replace")  # noqa: S603  # no shell
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
