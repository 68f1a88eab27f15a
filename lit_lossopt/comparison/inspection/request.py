"""What was typed after ``lossopt inspect``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from lit_lossopt.core.flags import Flag, parse_flags

FLAGS = (
    Flag("--html", "FILE", "the page: findings, gradient flow, step geometry and curves; works without a network"),
    Flag("--metric", "NAME", "the curve of the evaluations (val/accuracy)"),
)


def parse(words: Sequence[str]) -> Namespace:
    """Return the run, or None for the newest one, and the flags.

    Raises:
        UserError: something else was typed.
    """
    return parse_flags("inspect", words, FLAGS, "run", hint="; one run at a time is inspected")
