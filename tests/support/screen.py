"""A terminal for tests: a pseudo-terminal of a given width, and what a person would see on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.killing.waiting import LONGEST

_END = b"<all was read>"
_CONTROL = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|[\r\n]|[^\r\n\x1b]+")


class Screen:
    """Lines as they stand on a terminal after the bytes that a program has sent; none scrolls away.

    Read are ``\\r``, ``\\n``, the cursor's way up and down, and the erasing of a line's end. Anything else is an error.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._cells: list[list[str]] = [[]]
        self._row = self._column = 0
        # Rows that go on with the text of the one above.
        self._continued: set[int] = set()

    @property
    def lines(self) -> list[str]:
        """Return the lines, without the blanks at their ends."""
        return ["".join(cells).rstrip() for cells in self._cells]

    @property
    def paragraphs(self) -> list[str]:
        """Return the lines as they were printed: what the terminal has broken at its edge is one again."""
        whole: list[str] = []
        for row, cells in enumerate(self._cells):
            if row in self._continued:
                whole[-1] += "".join(cells)
            else:
                whole.append("".join(cells))
        return [text.rstrip() for text in whole]

    def feed(self, text: str) -> None:
        """Show more text."""
        place = 0
        for found in _CONTROL.finditer(text):
            assert found.start() == place, f"not understood: {text[place : found.start() + 20]!r}"
            place = found.end()
            self._obey(found[0], found[2] or "", int(found[1] or 1))

    def _obey(self, text: str, order: str, count: int) -> None:
        if text == "\r":
            self._column = 0
        elif text == "\n" or order == "B":
            self._down(count)
        elif order == "A":
            self._row = max(0, self._row - count)
        elif order == "K":
            del self._cells[self._row][self._column :]
        elif not text.startswith("\x1b"):
            for sign in text:
                self._put(sign)
        else:
            assert order == "m" or text.startswith("\x1b[?"), f"not understood: {text!r}"

    def _put(self, sign: str) -> None:
        if self._column == self.columns:
            self._column = 0
            self._down(1)
            self._continued.add(self._row)
        cells = self._cells[self._row]
        cells += " " * (self._column + 1 - len(cells))
        cells[self._column] = sign
        self._column += 1

    def _down(self, count: int) -> None:
        self._row += count
        while len(self._cells) <= self._row:
            self._cells.append([])


class Terminal:
    """A pseudo-terminal, to whose ``path`` a program writes; ``sent`` is everything that it wrote.

    It is read all the time: a program that nobody reads stops when the terminal is full.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.path = Path(os.ttyname(self._theirs))
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.sent = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: bytes) -> None:
        """Type keys: the terminal echoes them, Ctrl-C as ``^C``; whom a signal goes to is the test's affair."""
        os.write(self._ours, keys)

    def read_until(self, enough: Callable[[str], bool], seconds: float = LONGEST) -> None:
        """Wait until what was sent is enough.

        Raises:
            AssertionError: it was not, after so long.
        """
        until = time.monotonic() + seconds
        while not enough(self.sent):
            assert time.monotonic() < until, self.sent
            time.sleep(0.01)

    def screen(self) -> Screen:
        """Return what stands on the terminal, with what was sent last."""
        os.write(self._theirs, _END)
        self.read_until(lambda sent: sent.endswith(_END.decode()))
        self.sent = self.sent.removesuffix(_END.decode())
        screen = Screen(self.columns)
        screen.feed(self.sent)
        return screen

    def close(self) -> None:
        """Give the terminal back."""
        os.close(self._theirs)
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        # The other end is closed: an error on Linux, an end of file elsewhere.
        with suppress(OSError):
            while received := os.read(self._ours, 65536):
                self.sent += self._decoder.decode(received)
