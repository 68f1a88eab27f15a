"""Lines of text above the progress bars of a terminal.

They stay whole.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from tqdm import tqdm

from lit_lossopt.core.terminal_text import is_bare_terminal


class LineStream:
    """A terminal's stream that leaves bars whole.

    It clears the progress bars before a line, and draws them again below it.

    Without it, whatever prints while a bar is shown continues the bar's own line.

    Args:
        terminal: where lines go.
        bars: the stream on which bars are drawn, on the same terminal.
    """

    def __init__(self, terminal: TextIO, bars: TextIO) -> None:
        self.terminal = terminal
        self._bars = bars
        self._process = os.getpid()
        self._begun = ""
        # Threads of libraries may print too.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Print whole lines.

        The beginning of the next one is kept until it ends.

        What moves the cursor by itself is no line, and a forked process has no bars.
        """
        if os.getpid() != self._process or "\r" in text:
            return self.terminal.write(text)
        with self._lock:
            lines, end, begun = (self._begun + text).rpartition("\n")
            self._begun = begun
            if end:
                self._print(f"{lines}{end}")
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Print several texts."""
        self.write("".join(lines))

    def close_line(self) -> None:
        """Print a beginning whose line has not ended."""
        with self._lock:
            begun, self._begun = self._begun, ""
            if begun:
                self._print(begun)

    def _print(self, text: str) -> None:
        with tqdm.external_write_mode(file=self._bars):
            self.terminal.write(text)
            # Another stream draws the bars, and must not come before.
            self.terminal.flush()

    def __getattr__(self, name: str) -> Any:
        """Return anything else that a stream has."""
        return getattr(self.terminal, name)


@contextmanager
def lines_above_bars() -> Iterator[None]:
    """Keep printed lines above the bars of a terminal.

    Everything that is printed stands in lines of its own.
    """
    bars = sys.stderr
    streams = [LineStream(stream, bars) if is_bare_terminal(stream) else None for stream in (sys.stdout, sys.stderr)]
    out, error = (cast("TextIO", ours or given) for ours, given in zip(streams, (sys.stdout, sys.stderr), strict=True))
    try:
        with redirect_stdout(out), redirect_stderr(error):
            yield
    finally:
        for stream in streams:
            if stream is not None:
                stream.close_line()


def bars_stream() -> TextIO:
    """Return the stream on which bars are drawn.

    It is standard error itself, so that it can be a terminal's alone.
    """
    stream = sys.stderr
    return stream.terminal if isinstance(stream, LineStream) else stream
