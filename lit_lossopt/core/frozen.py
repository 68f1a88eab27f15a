"""A mapping that stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Frozen(Mapping[K, V]):
    """A copy of a mapping that nobody can change. It can be pickled, unlike a ``MappingProxyType``.

    >>> Frozen({"lr": "0.1"})
    {'lr': '0.1'}

    Args:
        content: what it holds.
    """

    __slots__ = ("_content",)

    def __init__(self, content: Mapping[K, V]) -> None:
        self._content = dict(content)

    def __getitem__(self, key: K) -> V:
        return self._content[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return repr(self._content)
