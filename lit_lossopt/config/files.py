"""From the bare name of a config to its file.

Order: the path as given; then, for a name without a folder, ``configs/`` in the working folder; then the shipped
configs. The ending ``.yaml`` may be left out. Plans of sweeps lie beside configs and are told apart by their key
``sweep``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.paths import given_path, is_file

_PACKAGE = Path(__file__).resolve().parent.parent
_ENDINGS = ("", ".yaml", ".yml")
_PLAN = re.compile(rb"^sweep:", re.MULTILINE)


def shipped_folder() -> Path:
    """Return the folder of the shipped configs.

    It lies inside an installed package, and beside it in a checkout.
    """
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def shipped_names() -> list[str]:
    """Return the bare names of the shipped configs, sorted."""
    return _names(shipped_folder(), plans=False)


def shipped_plans() -> list[str]:
    """Return the bare names of the shipped plans, sorted."""
    return _names(shipped_folder(), plans=True)


def known_names() -> list[str]:
    """Return the bare names of all configs, sorted.

    They are the shipped ones and those in ``configs/`` of the working folder.
    """
    return sorted({*shipped_names(), *_names(Path("configs"), plans=False)})


def plan_names() -> list[str]:
    """Return the bare names of all plans, sorted.

    They are the shipped ones and those in ``configs/`` of the working folder.
    """
    return sorted({*shipped_plans(), *_names(Path("configs"), plans=True)})


def _names(folder: Path, *, plans: bool) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml") if _is_plan(path) == plans)


def _is_plan(path: Path) -> bool:
    try:
        return bool(_PLAN.search(path.read_bytes()))
    except OSError:
        return False


def summary(path: Path) -> str:
    """Return what a config shows.

    It is the first sentence of the comment that opens the file.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    text = " ".join(line.lstrip("# ") for line in opening)
    return re.split(r"(?<=[.;]) ", text, maxsplit=1)[0].rstrip(";")


def find_config(name: str, known: Sequence[str] | None = None) -> Path:
    """Return the file that ``name`` means.

    Args:
        name: a bare name or a path.
        known: names to offer where there is no such file; by default those of configs.

    Raises:
        UserError: no such file; the message lists the known names and the nearest match.
    """
    folders = [Path()]
    if Path(name).name == name:
        folders += [Path("configs"), shipped_folder()]
    for candidate in (folder / given_path(f"{name}{ending}") for folder in folders for ending in _ENDINGS):
        if is_file(candidate):
            return candidate
    known = known_names() if known is None else known
    raise UserError(
        f"--config {name}: no such file, and no config of that name{did_you_mean(Path(name).stem, known)}; "
        f"there are: {', '.join(known)}"
    )
