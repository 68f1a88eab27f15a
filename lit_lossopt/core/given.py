"""Objects that a program hands over in place of names.

A config holds names, numbers and classes. An object from Python is none of them, so the config names its key here. The
key tells objects apart by their class and source. It means nothing in another process, and whoever asks there is told.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lit_lossopt.core.checksum import checksum
from lit_lossopt.core.errors import UserError, one_line


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
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    source = f"{_code_of(value)}\n# {_shown(value)}\n# content: {checksum(*_content(value))}\n"
    key = f"{name.rpartition('.')[2].strip('<>')} {hashlib.sha256(source.encode()).hexdigest()[:12]}"
    _GIVEN[key] = Given(key, source, value)
    return key


@contextmanager
def lent() -> Iterator[None]:
    """Forget, at the end of a block, what was handed over in it. Arrays may be large."""
    before = dict(_GIVEN)
    try:
        yield
    finally:
        _GIVEN.clear()
        _GIVEN.update(before)


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


def _code_of(value: Any) -> str:
    """Return the source of a class or function, or of an object's class."""
    made = value if inspect.isclass(value) or inspect.isroutine(value) else type(value)
    try:
        return inspect.getsource(made)
    except (OSError, TypeError):
        return f"# {getattr(made, '__module__', '')}.{getattr(made, '__qualname__', made)}: its source cannot be read"


def _content(value: Any) -> Iterator[bytes]:
    """Yield the numbers that an object holds, as arrays and networks do.

    Neither numpy nor torch is imported for that. What holds no numbers yields nothing.
    """
    if isinstance(value, tuple | list):
        for item in value:
            yield from _content(item)
    elif hasattr(value, "state_dict") and not inspect.isclass(value):
        for name, item in value.state_dict().items():
            yield str(name).encode()
            yield from _content(item)
    elif hasattr(value, "detach"):
        yield from _content(value.detach().cpu().double().numpy())
    elif hasattr(value, "tobytes") and hasattr(value, "dtype"):
        yield f"{value.dtype} {value.shape}".encode()
        yield value.tobytes()


def _shown(value: Any) -> str:
    """Return how an object shows itself, without its address, and what a function holds of its surroundings."""
    held = getattr(value, "__closure__", None)
    if held:
        return ", ".join(one_line(repr(cell.cell_contents), 200) for cell in held)
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else one_line(text, 4000)
