"""The command ``lossopt verify``.

A page or its JSON comes in. It is computed again from the store, some of its trials are run again, and what does not
hold is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from lit_lossopt.core.names import Answer
from lit_lossopt.core.numbers import counted
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.verify.request import parse

Main = Callable[[list[str]], int]


def verify(words: Sequence[str], main: Main) -> int:
    """Check a page or its JSON, say what does not hold, and return the exit status.

    It is 0 where everything holds, 4 where something does not, and 5 where nothing contradicts, but something could not
    be checked.

    Args:
        words: behind ``verify``.
        main: runs the words of a command in this process.

    Raises:
        UserError: the file holds no comparison, the store cannot be read, or what was typed is wrong.
        Interrupted: Ctrl-C or SIGTERM, while trials run.
    """
    options = parse(words)
    # Imported late, so that a mistyped flag is answered at once.
    from lit_lossopt.verify.steps import steps

    wrong = unknown = 0
    near = False
    for found in steps(options, main):
        tell("\n".join(found.lines), sys.stdout)
        wrong, unknown, near = wrong + found.wrong, unknown + found.unknown, near or found.near
    if wrong:
        tell(f"{options.file} does not hold: {counted(wrong, 'difference')}.", sys.stdout)
        return Answer.CONTRADICTED
    if unknown:
        tell(f"Nothing contradicts {options.file}, but not everything could be checked.", sys.stdout)
        return Answer.UNDECIDED
    tell(f"{options.file} holds{', within the tolerances that are named above' if near else ''}.", sys.stdout)
    return Answer.HOLDS
