"""How a command declares its flags.

The parser, the help and the completion of a command all read the same rows.
"""

from __future__ import annotations

from argparse import ArgumentParser, _ActionsContainer
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
