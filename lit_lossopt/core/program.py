"""How this program is called.

A command that it prints can be typed as it stands.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def find_modules_here() -> None:
    """Let modules be found in the working folder.

    ``python -m lit_lossopt`` does the same.

    An installed script has its own folder in front of the search path instead. Processes that are started later take
    the path over. Python's own switch against this (``-P``, PYTHONSAFEPATH) is respected.
    """
    if sys.flags.safe_path:
        return
    try:
        here = str(Path.cwd())
    except FileNotFoundError:
        return
    if sys.path[:1] not in ([here], [""]):
        sys.path.insert(0, here)


def typed(words: Sequence[str]) -> str:
    """Return a command line of these words, begun as this program was."""
    by_module = Path(sys.argv[0]).parts[-2:] == ("lit_lossopt", "__main__.py")
    return shlex.join([*(("python", "-m", "lit_lossopt") if by_module else ("lossopt",)), *words])


def shown_path(path: Path) -> str:
    """Return a path as short as it can be typed.

    >>> shown_path(Path.cwd() / "runs")
    'runs'
    """
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
