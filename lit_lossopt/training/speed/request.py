"""What ``lossopt bench`` is asked. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.config.words import Prepared, check_begins_afresh, prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag, parse_flags
from lit_lossopt.core.paths import given_path

COMMAND = "bench"
SECONDS = 60.0
# Processes of their own take longer than this to start, so that fewer seconds are not worth it.
SECONDS_FOR_PROCESSES = 10.0
FLAGS = (
    Flag("--seconds", "X", f"seconds of measuring, beside what is needed to start ({SECONDS:g})",
         {"type": float, "default": SECONDS}),
    Flag("--json", "FILE", "every number"),
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A measurement that is asked for.

    Attributes:
        prepared: the settings of ``fit``.
        seconds: of measuring.
        numbers: where the JSON goes; None: nowhere.
        words: that ``fit`` takes, as typed.
    """

    prepared: Prepared
    seconds: float
    numbers: Path | None
    words: tuple[str, ...]


def read_request(words: Sequence[str]) -> Request:
    """Return what was typed behind ``bench``.

    >>> read_request(["--config=adam", "--seconds", "20"]).seconds
    20.0

    Raises:
        UserError: something of it is wrong, or asks for a training that goes on.
    """
    given = parse_flags(COMMAND, words, FLAGS, takes_rest=True)
    if not 0 < given.seconds < float("inf"):
        raise UserError(f"{COMMAND} --seconds {given.seconds:g}: must be a number above 0")
    prepared = prepare("fit", given.rest)
    check_begins_afresh(prepared, f"{COMMAND}: steps are measured from the initial weights on")
    return Request(prepared, given.seconds, given_path(given.json) if given.json else None, tuple(given.rest))
