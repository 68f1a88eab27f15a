"""What was typed after ``lossopt explain``. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.config.twin import EXPLAIN
from lit_lossopt.config.words import Prepared, prepare
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.flags import Flag, parse_flags
from lit_lossopt.core.paths import given_path
from lit_lossopt.keras_twin.explaining.differences import BY_NAME, DIFFERENCES

COMMAND = EXPLAIN
STEPS = 20
FLAGS = (
    Flag("--known", "", "list the known differences between Keras and torch", {"action": "store_true"}),
    Flag("--steps", "N", f"steps over which losses are compared ({STEPS})", {"type": int, "default": STEPS}),
    Flag("--only", "LIST", "differences there are; by default all that touch this training", {"group": "which"}),
    Flag("--without", "LIST", "differences that are settled already, as initialisation", {"group": "which"}),
    Flag("--html", "FILE", "the table as a page"),
    Flag("--markdown", "FILE", "the table in Markdown"),
    Flag("--json", "FILE", "every number"),
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """An explanation that is asked for.

    Attributes:
        known: whether the known differences are listed, and nothing is trained.
        steps: over which losses are compared.
        only: the differences there are; empty: all that touch the training.
        without: differences that are settled.
        page: where the page goes; None: nowhere.
        markdown: where the table goes; None: nowhere.
        numbers: where the JSON goes; None: nowhere.
        prepared: settings of the training; None: where none is needed.
    """

    known: bool
    steps: int
    only: tuple[str, ...]
    without: tuple[str, ...]
    page: Path | None
    markdown: Path | None
    numbers: Path | None
    prepared: Prepared | None


def parse(words: Sequence[str]) -> Request:
    """Return what was asked for.

    Raises:
        UserError: something else was typed.
    """
    given = parse_flags(COMMAND, words, FLAGS, takes_rest=True)
    if given.steps < 1:
        raise UserError(f"{COMMAND} --steps {given.steps}: must be at least 1")
    return Request(
        known=given.known,
        steps=given.steps,
        only=_named("only", given.only),
        without=_named("without", given.without),
        page=given_path(given.html) if given.html else None,
        markdown=given_path(given.markdown) if given.markdown else None,
        numbers=given_path(given.json) if given.json else None,
        prepared=None if given.known else prepare(EXPLAIN, given.rest),
    )


def _named(flag: str, text: str | None) -> tuple[str, ...]:
    wanted = [word.strip() for word in (text or "").split(",") if word.strip()]
    for word in wanted:
        if word not in BY_NAME:
            known = [one.name for one in DIFFERENCES]
            raise UserError(f"{COMMAND} --{flag} {word}{did_you_mean(word, known)}; there are: {', '.join(known)}")
    return tuple(wanted)
