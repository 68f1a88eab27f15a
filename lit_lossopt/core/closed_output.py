"""Work that goes on although nobody reads what it prints any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class LastingStream:
    """A text stream that says nothing more once its reader is gone, as in ``lossopt fit | head``.

    Everything else is the stream's own.

    Args:
        stream: standard output or standard error.
    """

    # Also an attribute of whatever passes on what it does not know itself, as the display of a sweep does.
    outlives_its_reader = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, if anybody reads it."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, if anybody reads it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        # What waits in the stream's buffer goes the same way, now or at the end of the process.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def outliving_readers() -> Iterator[None]:
    """Let standard output and standard error lose their readers without an error.

    A command that another one runs finds them so, and leaves them: who draws on a terminal is known by its stream.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(before[0]), _lasting(before[1])
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def _lasting(stream: Any) -> Any:
    # None is a stream that whoever started the program has closed.
    if stream is None or getattr(stream, "outlives_its_reader", False):
        return stream
    return LastingStream(stream)
