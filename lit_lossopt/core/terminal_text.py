"""Text that is safe on a terminal, in lines that fit.

It holds nothing that a terminal would obey. Lines break between words.
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

    Ends of lines and tabs stay. Names may come from anywhere, as from a store that others write to, a config or a
    folder of images.

    >>> print(printable("red\x1b[31m"))
    red\x1b[31m
    """
    if text.isprintable():
        # Nearly every text is. Signs are looked at one by one only where that is needed, since pages hold megabytes.
        return text
    return "".join(sign if sign in _ENDS else errors.printable(sign) for sign in text)


def on_one_line(text: str) -> str:
    r"""Return a printable text on one line.

    >>> on_one_line("two\nlines")
    'two lines'
    """
    return printable(" ".join(text.split()) if "\n" in text or "\t" in text else text)


def fitted(text: str, width: int) -> str:
    r"""Return a text whose lines break between words.

    A line that holds a command or a path stays whole.

    >>> fitted("one two three", 8)
    'one two\nthree'
    """
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def tell(text: str, stream: TextIO | None) -> None:
    """Print a text for a person, within a terminal's width.

    Nothing is printed to a stream that whoever started the program has closed.
    """
    if stream is None:
        return
    safe = printable(text)
    print(fitted(safe, width_of(stream)) if stream.isatty() else safe, file=stream, flush=True)


def is_bare_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that is free.

    Nothing else draws on it, as the display of a sweep does. A stream that whoever started the program has closed is
    none.
    """
    # An attribute of rich's FileProxy, which stands for a stream while a display of rich is on it.
    return stream is not None and stream.isatty() and not hasattr(stream, "rich_proxied_file")


def width_of(stream: TextIO) -> int:
    """Return the columns of the terminal behind a stream."""
    try:
        # Some terminals do not say how wide they are.
        return max(_LEAST, os.get_terminal_size(stream.fileno()).columns or PIPED_WIDTH)
    except (OSError, ValueError):
        return PIPED_WIDTH


def help_width() -> int:
    """Return the columns for help.

    They are those of the terminal, or of the variable COLUMNS, or of a page.
    """
    return max(_LEAST, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)


def _broken(line: str, width: int) -> str:
    # A path is copied as a command is.
    if len(line) <= width or " " not in line.strip() or _COMMAND.search(line):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
