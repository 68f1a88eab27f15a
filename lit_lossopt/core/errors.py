"""What a person is told when something is wrong.

Errors come out as one printable line, without a traceback.
"""

from __future__ import annotations

import difflib
import traceback
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Control characters, surrogates, and what breaks a line or a paragraph.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
# What turns the direction of the text that follows.
_TURNING = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class UserError(Exception):
    """Something that a person can mend.

    The message says in one line what happened, why, and what to do. The command line prints it as it stands and exits
    with status 2.
    """


class Notice(UserWarning):
    """Something that a person should know.

    It does not stop the program, and is shown as one line.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest known word.

    It is empty if no word is near.

    >>> did_you_mean("adamm", ["Adam", "SGD"])
    " (did you mean 'Adam'?)"
    """
    candidates = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(candidates), n=1, cutoff=0.5)
    near = near or [name for name in candidates if word and name.startswith(word.lower())]
    return f" (did you mean {candidates[near[0]]!r}?)" if near else ""


def printable(text: str) -> str:
    r"""Return a text that is safe on a terminal and in a file.

    Control characters, line breaks and bytes that are not UTF-8 (of names of files) become escapes.

    >>> print(printable("caf\udce9 \x1b[31m"))
    caf\xe9 \x1b[31m
    """
    return "".join(
        _escape(sign) if unicodedata.category(sign) in _UNPRINTABLE or sign in _TURNING else sign for sign in text
    )


def _escape(sign: str) -> str:
    code = ord(sign)
    # Python keeps byte n of a file's name that is not UTF-8 as the character 0xDC00 + n.
    is_byte = code < 0x100 or 0xDC80 <= code <= 0xDCFF
    return f"\\x{code & 0xFF:02x}" if is_byte else f"\\u{code:04x}"


def one_line(text: str, limit: int = 400) -> str:
    r"""Return a text with white space folded, cut to ``limit`` characters.

    >>> one_line("it\nbroke", limit=6)
    'it br…'
    """
    folded = " ".join(text.split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def described(error: BaseException, limit: int = 300) -> str:
    """Return what an exception says, in one line.

    Text that was written for a reader stands alone. The key of a KeyError, or an assertion without a text, says nothing
    by itself. Its kind, its file and its line stand beside it then.

    >>> described(ValueError("too large"))
    'too large'
    """
    text = one_line(str(error), limit)
    if text and isinstance(error, ValueError | RuntimeError | TypeError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if not frames:
        return said
    raised = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
    return f"{said} ({raised}{'' if text else f': {frames[-1].line}'})"
