"""The flags of ``lossopt compare``."""

from __future__ import annotations

import math
from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence

from lit_lossopt.core.errors import UserError, did_you_mean


def parse(words: Sequence[str]) -> Namespace:
    """Return what was typed, with lists split at commas.

    Raises:
        UserError: an unknown flag, a missing or a wrong value, or flags that exclude each other.
    """
    parser = _parser()
    try:
        options, left = parser.parse_known_args(list(words))
    except ArgumentError as error:
        raise UserError(f"compare {error.argument_name}: {error.message}") from error
    if left:
        word = left[0].partition("=")[0]
        near = (
            did_you_mean(word, flags()) if word.startswith("-") else "; names follow their flag, as --experiment NAME"
        )
        raise UserError(f"compare {left[0]}: no such flag{near}; see: lossopt compare --help")
    if options.runs and (options.filter or options.experiment):
        raise UserError("compare --runs names the runs already: leave out --experiment and --filter")
    return options


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="lossopt compare", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--experiment")
    parser.add_argument("--filter", default="")
    parser.add_argument("--runs", type=_listed, default=[])
    parser.add_argument("--by", type=_listed, default=[])
    parser.add_argument("--ignore", type=_listed, action="extend", default=[])
    parser.add_argument("--seed-name", default="")
    parser.add_argument("--metric")
    parser.add_argument("--target", type=_number)
    parser.add_argument("--margin", type=_size)
    parser.add_argument("--all-pairs", action="store_true")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument("--higher-is-better", action="store_true", default=None)
    direction.add_argument("--lower-is-better", action="store_false", dest="higher_is_better")
    parser.add_argument("--html")
    parser.add_argument("--png")
    parser.add_argument("--csv")
    parser.add_argument("--log", action="store_true")
    return parser


def flags() -> list[str]:
    """Return every flag."""
    actions: list[Action] = _parser()._actions  # noqa: SLF001  # argparse has no public list
    return [flag for action in actions for flag in action.option_strings]


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _size(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise ValueError(text)
    return value
