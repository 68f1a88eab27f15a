"""How a command declares its flags.

The parser, the help and the completion of a command all read the same rows.
"""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser, Namespace, _ActionsContainer
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lit_lossopt.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Flag:
    """One flag of a command.

    Attributes:
        name: as typed, with both dashes.
        value: what stands behind it, in the help. Empty for a switch.
        text: what it does, for the help.
        options: what the command's parser is told of it.
    """

    name: str
    value: str
    text: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name without dashes."""
        return self.name.removeprefix("--")

    @property
    def head(self) -> str:
        """The flag as the help shows it.

        >>> Flag("--html", "FILE", "the page").head
        '--html FILE'
        """
        return f"{self.name} {self.value}".rstrip()


def parse_flags(
    command: str, words: Sequence[str], flags: Sequence[Flag], *names: str, hint: str = "", takes_rest: bool = False
) -> Namespace:
    """Return what was typed behind a command.

    >>> parse_flags("inspect", ["3f2a"], [Flag("--html", "FILE", "the page")], "run").run
    '3f2a'

    Args:
        command: its name.
        words: what stands behind it.
        flags: that it declares.
        *names: of words without a flag, each of which may be left out. A name that ends in ``*`` takes several.
        hint: what helps with a word that is no flag.
        takes_rest: whether unknown words are kept as ``rest``, for another command.

    Raises:
        UserError: an unknown flag, a missing or a wrong value, or flags that exclude each other.
    """
    parser = ArgumentParser(prog=f"lossopt {command}", add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in names:
        parser.add_argument(name.rstrip("*"), nargs="*" if name.endswith("*") else "?")
    add_flags(parser, flags)
    try:
        options, left = parser.parse_known_intermixed_args(list(words))
    except ArgumentError as error:
        raise UserError(f"{command} {error.argument_name}: {error.message}") from error
    if takes_rest:
        options.rest = left
    elif left:
        word = left[0].partition("=")[0]
        near = did_you_mean(word, [flag.name for flag in flags]) if word.startswith("-") else hint
        raise UserError(f"{command} {left[0]}: no such flag{near}; see: lossopt {command} --help")
    return options


def add_flags(parser: ArgumentParser, flags: Sequence[Flag]) -> None:
    """Add flags to a parser.

    Flags whose options name the same ``group`` exclude each other. The other options are argparse's own.
    """
    groups: dict[str, _ActionsContainer] = {}
    for flag in flags:
        options = dict(flag.options)
        group = options.pop("group", None)
        if group and group not in groups:
            groups[group] = parser.add_mutually_exclusive_group()
        (groups[group] if group else parser).add_argument(flag.name, **options)
