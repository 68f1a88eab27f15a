"""Objects that a program hands over in place of names.

A config holds names, numbers and classes. An object from Python is none of them, so the config names its key here. The
key tells objects apart by their code and by all that they hold. It means nothing in another process, and whoever asks
there is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from lit_lossopt.core.content import Content, shown, source_of
from lit_lossopt.core.errors import UserError


@dataclass(frozen=True)
class Given:
    """An object that was handed over.

    Attributes:
        key: by which a config names it: its class or function, and a part of a hash.
        source: its code as far as it can be read, and how it shows itself.
        value: the object.
    """

    key: str
    source: str
    value: Any


_GIVEN: dict[str, Given] = {}


def give(value: Any) -> str:
    """Return the key of an object, which can be asked for by it from now on.

    >>> give(len) == give(len)
    True
    """
    content = Content(value)
    made = value if isinstance(value, type) or hasattr(value, "__code__") else type(value)
    source = "\n\n".join(content.sources) or source_of(made)
    key = f"{name_of(value)}-{content.digest[:12]}"
    _GIVEN[key] = Given(key, f"# {key}\n{source.rstrip()}\n# {shown(value)}\n# content: {content.digest}\n", value)
    return key


def name_of(value: Any) -> str:
    """Return the name of a class or function, or of an object's class.

    >>> name_of(partial(int, base=2)), name_of(1.5)
    ('int', 'float')
    """
    while isinstance(value, partial):
        value = value.func
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return str(name).rpartition(".")[2].strip("<>")


@contextmanager
def lent() -> Iterator[Mapping[str, Given]]:
    """Yield what is handed over in a block, and forget it at the end. Arrays may be large."""
    before = dict(_GIVEN)
    _GIVEN.clear()
    try:
        yield MappingProxyType(_GIVEN)
    finally:
        _GIVEN.clear()
        _GIVEN.update(before)


def holds_objects(words: Sequence[str]) -> bool:
    """Return True if words name objects, so that nobody can type them.

    >>> holds_objects(["fit", "--model.network.given=Net-0123456789ab"]), holds_objects(["fit", "--config=adam"])
    (True, False)
    """
    return any(word.startswith("--") and word.partition("=")[0].endswith(".given") for word in words)


def given(key: str) -> Given:
    """Return what was handed over under a key.

    Raises:
        UserError: nothing was, in this process.
    """
    if key not in _GIVEN:
        raise UserError(
            f"{key}: an object that a Python program has handed over, and no config can hold it; run that program again"
        )
    return _GIVEN[key]
