"""Text for a terminal.

Nothing in it makes the terminal act, and its lines break between words.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from typing import TextIO

from lit_lossopt.core import errors

# Characters of a line of help where there is no terminal that has a width.
PIPED_WIDTH = 120
_LEAST = 40
# Ends of lines of every kind, and tabs: no terminal does more for them than that.
_ENDS = "\n\t\u2028\u2029"
# A command is copied from the terminal, and must stay one line.
_COMMAND = re.compile(r"\b(python -m|lossopt [a-z]|mlflow [a-z]|pip install|apt-get|export [A-Z])")


def printable(text: str) -> str:
    r"""Return a text with control characters spelled out.

    They become ``\x1b`` and the like. Ends of lines and tabs stay.

    Names may come from anywhere: a store that others write to, a config, a folder of images.
    """
    return "".join(sign if sign in _ENDS else errors.printable(sign) for sign in text)


def on_one_line(text: str) -> str:
    """Return a text on one line without control characters.

    Spaces take the place of ends of lines.
    """
    return printable(" ".join(text.split()) if "\n" in text or "\t" in text else text)


def fitted(text: str, width: int) -> str:
    """Return a text whose lines break between words.

    A line that holds a command stays whole.
    """
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def tell(text: str, stream: TextIO | None) -> None:
    """Print a text for a person.

    It is safe, and on a terminal it fits the width.
    """
    if stream is None:
        # It was closed by whoever started the program.
        return
    safe = printable(text)
    print(fitted(safe, width_of(stream)) if stream.isatty() else safe, file=stream, flush=True)


def width_of(stream: TextIO) -> int:
    """Return the columns of the terminal behind a stream."""
    try:
        # Some terminals do not say how wide they are.
        return max(_LEAST, os.get_terminal_size(stream.fileno()).columns or PIPED_WIDTH)
    except (OSError, ValueError):
        return PIPED_WIDTH


def help_width() -> int:
    """Return the number of columns for help.

    They are those of the terminal, or of COLUMNS, or of a page.
    """
    return max(_LEAST, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)


def _broken(line: str, width: int) -> str:
    # A path is copied as a command is.
    if len(line) <= width or " " not in line.strip() or _COMMAND.search(line):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
