"""How this program is called.

A command that it prints can be typed as it stands.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def find_modules_here() -> None:
    """Make modules of the working folder importable.

    ``python -m lit_lossopt`` finds them by itself.

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
    """Return a command line that runs these words.

    It begins as this program was called.
    """
    by_module = Path(sys.argv[0]).parts[-2:] == ("lit_lossopt", "__main__.py")
    return shlex.join([*(("python", "-m", "lit_lossopt") if by_module else ("lossopt",)), *words])


def shown_path(path: Path) -> str:
    """Return a path as short as it can be typed.

    A path below the working folder begins there.
    """
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
