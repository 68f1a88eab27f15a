"""The words of ``lossopt verify``."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag, parse_flags

SAMPLE = 3


def parse(words: Sequence[str]) -> Namespace:
    """Return what was typed.

    Raises:
        UserError: no file, an unknown flag, or a wrong value.
    """
    options = parse_flags("verify", words, FLAGS, "file", hint="; it takes one page or JSON file")
    if options.file is None:
        raise UserError("verify: name a page or a JSON file, as lossopt verify report.html")
    return options


def _count(text: str) -> int:
    if not text.isdigit():
        raise ArgumentTypeError(f"{text}: expected a whole number from 0")
    return int(text)


FLAGS = (
    Flag(
        "--sample",
        "N",
        f"how many trials are chosen at random and run again ({SAMPLE}); 0: none",
        {"type": _count, "default": None},
    ),
    Flag("--seed", "N", "of the choice; by default another one each time", {"type": _count, "default": None}),
    Flag(
        "--workers",
        "N",
        "trials at once (as many as there are cores)",
        {"type": _count, "default": 0},
    ),
)
