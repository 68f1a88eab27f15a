"""What a run logs, on its way into the journal.

Points, parameters, tags, texts and files come in. Entries of the journal go out.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.ending import say
from lit_lossopt.tracking.entries import points_entry, tags_entry
from lit_lossopt.tracking.journal import Journal
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.past import Past
from lit_lossopt.tracking.recording import NewPoints, Point
from lit_lossopt.tracking.writer import Writer


class JournalLogger(Logger):
    """A logger that keeps everything in a journal.

    A subclass says how a run begins and ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._journal: Journal | None = None
        self._writer: Writer | None = None
        self._past = Past()
        self._points = NewPoints()
        # Files that the disk did not take, and why; said once for each reason.
        self._lost_files: list[str] = []

    @abstractmethod
    def start(self) -> None:
        """Open the journal, unless it is open."""

    def logged(self) -> dict[str, int]:
        """Return metric → number of points that were logged so far.

        Those of earlier attempts count.
        """
        return dict(self._points.expected + self._past.beyond)

    @rank_zero_only
    def log_points(self, points: Sequence[Point]) -> None:
        """Keep points, each at its own step and time."""
        new = self._points.take(points)
        if new:
            self._add(points_entry(new))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep the value of each metric at a step."""
        moment = now()
        self.log_points([Point(name, float(value), step or 0, moment) for name, value in metrics.items()])

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Any, *args: Any, **kwargs: Any) -> None:
        """Keep flat parameters."""
        if params:
            self._add({"kind": "params", "params": {name: str(value) for name, value in dict(params).items()}})

    @rank_zero_only
    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Keep tags, in place of those of the same names."""
        self._add(tags_entry(tags))

    @rank_zero_only
    def log_content(self, content: bytes, name: str, folder: str = "") -> None:
        """Keep a file with this content for the artifacts."""
        self.start()
        assert self._journal is not None
        try:
            kept = self._journal.keep_file(content, name)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason not in self._lost_files:
                say(f"{name} cannot be kept in {self._journal.folder} ({reason}); no further such file is named")
            self._lost_files.append(reason)
            return
        self._add({"kind": "file", "name": kept, "folder": folder})

    @rank_zero_only
    def log_text(self, text: str, name: str) -> None:
        """Keep a text as an artifact, without passwords."""
        self.log_content(redact(text).encode("utf-8", "backslashreplace"), name)

    def _add(self, *entries: Entry, last: bool = False) -> None:
        self.start()
        if self._journal is not None:
            self._journal.append(*entries, last=last)
        if self._writer is not None:
            self._writer.wake()


def now() -> int:
    """Return the wall-clock time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
