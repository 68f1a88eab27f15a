"""A command line whose parser may have been built before.

To build it takes a tenth of a second, a fifth of what a trial of a sweep needs before its first step. The process from
which trials are forked builds one that nobody uses. Each trial inherits it as it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI


class _Built(NamedTuple):
    """What ``setup_parser`` leaves in a command line."""

    parser: LightningArgumentParser
    of_commands: dict[str, LightningArgumentParser]
    arguments: dict[str, list[str]]


# Command line and command → its unused parser.
_built: dict[tuple[type[LightningCLI], str], _Built] = {}


class ParserAheadCLI(LightningCLI):
    """A LightningCLI that takes over a parser, if one was built for its class and command.

    Attributes:
        command: the one command that it knows.
    """

    command: str

    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        """Build the parser, or take over the one that was built."""
        self._building = (add_subcommands, main_kwargs, subparser_kwargs)
        # Once: a parser keeps something of each use.
        built = _built.pop((type(self), self.command), None)
        if built is None:
            super().setup_parser(*self._building)
        else:
            self.parser, self._subcommand_parsers, self._subcommand_method_arguments = built

    def build_for(self, other: type[LightningCLI]) -> None:
        """Build a parser for the next command line of another class, with the same command and the same settings."""
        super().setup_parser(*self._building)
        _built[other, self.command] = _Built(self.parser, self._subcommand_parsers, self._subcommand_method_arguments)
