"""Texts of a config that the parser has made a number of.

They are refused. Quotes say that they are texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import Namespace

from lit_lossopt.config.merge import COMMAND_LINE, Settings
from lit_lossopt.core.errors import UserError

_NO_TEXT = (bool, int, float, list, dict, type(None))


def check_quoted(settings: Settings, parsed: Namespace) -> None:
    """Refuse texts of files that the parser read again.

    It took them for something else.

    On the command line the shell takes quotes away, so that a word there may be a number.

    Args:
        settings: what was given to the parser.
        parsed: what it made of them.

    Raises:
        UserError: names the first.
    """
    for key, text, value in _read_again(settings.tree, parsed, ""):
        source = settings.origin(key)
        if source != COMMAND_LINE:
            wanted = f"{type(value).__name__} is wanted" if value is not None else "it would be read as null"
            raise UserError(
                f"{key}={text!r} from {source}: in quotes it is a text, and here {wanted}; leave the quotes out"
            )


def _read_again(given: Any, parsed: Any, key: str) -> Iterator[tuple[str, str, Any]]:
    """Yield each text that is no text any more.

    It comes as (dotted key, text, value).
    """
    if isinstance(given, str):
        if isinstance(parsed, _NO_TEXT):
            yield key, given, parsed
    elif isinstance(given, Mapping) and isinstance(parsed, Mapping | Namespace):
        for name, value in given.items():
            if name in parsed:
                yield from _read_again(value, parsed[name], key if name == "init_args" else f"{key}.{name}".lstrip("."))
    elif isinstance(given, list) and isinstance(parsed, list | tuple) and len(given) == len(parsed):
        for value, result in zip(given, parsed, strict=True):
            yield from _read_again(value, result, key)
