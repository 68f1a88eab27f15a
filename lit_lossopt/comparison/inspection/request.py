"""What was typed after ``lossopt inspect``."""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence

from lit_lossopt.config.flags import Flag, add_flags
from lit_lossopt.core.errors import UserError

FLAGS = (
    Flag("--html", "FILE", "the page: findings, gradient flow, step geometry and curves; works without a network"),
    Flag("--metric", "NAME", "the curve of the evaluations (val/accuracy)"),
)


def parse(words: Sequence[str]) -> Namespace:
    """Return the run, or None for the newest one, and the flags.

    Raises:
        UserError: something else was typed.
    """
    parser = ArgumentParser(prog="lossopt inspect", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("run", nargs="?")
    add_flags(parser, FLAGS)
    try:
        options, left = parser.parse_known_args(list(words))
    except ArgumentError as error:
        raise UserError(f"inspect: {error}") from error
    if left:
        raise UserError(f"inspect: {' '.join(left)}: there is no such flag. Give one run, --html FILE or --metric NAME")
    return options
