"""One mapping of a plan, read strictly.

Every value has its type. Otherwise one line says what was expected, and where.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lit_lossopt.core.errors import UserError, did_you_mean


class Section:
    """A mapping of a plan, and where it stands.

    Args:
        tree: the mapping, or None for an empty one.
        where: its dotted key.
        path: of the plan.

    Raises:
        UserError: it is no mapping; so do the methods, where a value is not what they are to return.
    """

    def __init__(self, tree: Any, where: str, path: Path) -> None:
        self.where = where
        self.path = path
        if tree is not None and not isinstance(tree, dict):
            raise UserError(f"{path}: {where}={tree}: give its parts, as keys and values")
        self.tree: dict[str, Any] = tree or {}

    def wrong(self, name: str, what: str) -> UserError:
        """Return the error that names a key and its value."""
        value = self.tree.get(name)
        shown = as_text(value) if value is not None else "nothing"
        return UserError(f"{self.path}: {self.where}.{name}={shown}: {what}")

    def refuse_others(self, known: tuple[str, ...]) -> None:
        """Refuse keys that are not known."""
        for name in self.tree:
            if name not in known:
                raise UserError(
                    f"{self.path}: {self.where}.{name}: no such key{did_you_mean(name, known)}; keys: "
                    f"{', '.join(known)}"
                )

    def below(self, name: str) -> Section:
        """Return the mapping under a key, empty if it is not there."""
        return Section(self.tree.get(name), f"{self.where}.{name}", self.path)

    def choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        """Return one of the known words."""
        value = self.tree.get(name, default)
        if value != default and value not in known:
            raise self.wrong(name, f"expected {', '.join(known[:-1])} or {known[-1]}{did_you_mean(str(value), known)}")
        return str(value)

    def text(self, name: str, default: str) -> str:
        """Return a name."""
        value = self.tree.get(name, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "expected a name")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number within its bounds."""
        value = self.tree.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"expected a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: float | None) -> float | None:
        """Return a number above 0, or the default."""
        value = self.tree.get(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            raise self.wrong(name, "expected a number above 0")
        return value

    def needed(self, name: str) -> float:
        """Return a number above 0 that must be there."""
        value = self.number(name, None)
        if value is None:
            raise UserError(f"{self.path}: {self.where}.{name} is missing")
        return float(value)

    def names(self, name: str) -> tuple[str, ...]:
        """Return names of configs.

        They are given as one name or as a list.
        """
        value = self.tree.get(name) or []
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.wrong(name, "expected the name of a config, or a list of names")
        return tuple(found)

    def seeds(self, name: str, default: int, first: int) -> tuple[int, ...]:
        """Return seeds.

        They are given as a list, or as their number from ``first`` on.
        """
        value = self.tree.get(name, default)
        if isinstance(value, list) and value and all(type(one) is int and one >= 0 for one in value):
            if len(set(value)) < len(value):
                raise self.wrong(name, "a seed stands twice")
            return tuple(value)
        if isinstance(value, list):
            raise self.wrong(name, "expected whole numbers from 0")
        return tuple(range(first, first + self.whole(name, default, 1, 10_000)))


def as_text(value: Any) -> str:
    """Return a value as it is typed behind a flag's equals sign."""
    return value if isinstance(value, str) else json.dumps(value)
