"""From the bare name of a config to its file.

Order: the path as given; then, for a name without a folder, ``configs/`` in the working folder; then the shipped
configs. The ending ``.yaml`` may be left out.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from lit_lossopt.errors import UserError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent
_ENDINGS = ("", ".yaml", ".yml")


def shipped_folder() -> Path:
    """Return the folder of the shipped configs: inside an installed package, beside it in a checkout."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def shipped_names() -> list[str]:
    """Return the bare names of the shipped configs, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def known_names() -> list[str]:
    """Return the bare names of the shipped configs and of those in ``configs/`` of the working folder, sorted."""
    return sorted({*shipped_names(), *(path.stem for path in Path("configs").glob("*.yaml"))})


def summary(path: Path) -> str:
    """Return the first sentence of the comment that opens a config and says what it shows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    text = " ".join(line.lstrip("# ") for line in opening)
    return re.split(r"(?<=[.;]) ", text, maxsplit=1)[0].rstrip(";")


def find_config(name: str) -> Path:
    """Return the file that ``name`` means.

    Raises:
        UserError: no such file; the message lists the shipped configs and the nearest match.
    """
    for candidate in _candidates(name):
        if is_file(candidate):
            return candidate
    known = known_names()
    raise UserError(
        f"--config {name}: no such file, and no config of that name{did_you_mean(Path(name).stem, known)}; "
        f"there are: {', '.join(known)}"
    )


def is_file(path: Path) -> bool:
    """Return whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _candidates(name: str) -> list[Path]:
    folders = [Path()]
    if Path(name).name == name:
        folders += [Path("configs"), shipped_folder()]
    return [folder / f"{name}{ending}" for folder in folders for ending in _ENDINGS]
