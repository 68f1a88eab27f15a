"""Where two trees of plain values differ, by the names of their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

# What names an element of a list, and how it is said.
_NAMES = (("run_id",), ("quantity", "first", "second"), ("family",), ("arms",), ("text",), ("seeds",), ("name",))
_MISSING = object()


@dataclass(frozen=True)
class Difference:
    """A value that differs.

    Attributes:
        place: the names of the parts that lead to it, outermost first.
        recorded: what the record says. It is None where the record has nothing there, too.
        found: what was found instead, likewise.
    """

    place: tuple[str, ...]
    recorded: Any
    found: Any

    def in_words(self, source: str) -> str:
        """Return the place and both values, in a line.

        >>> Difference(("arms", "adam", "final", "value"), 0.5, 0.25).in_words("the store")
        'arms, adam, final, value: 0.5 is recorded, and 0.25 comes from the store'
        """
        place = ", ".join(self.place)
        return f"{place}: {_shown(self.recorded)} is recorded, and {_shown(self.found)} comes from {source}"


def differences(recorded: Any, found: Any, tolerance: float = 0.0, place: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Yield every value that differs, in the order of the record.

    Args:
        recorded: plain values, as JSON has them.
        found: the same, computed again.
        tolerance: relative. Numbers that are nearer do not differ. 0: they must be the same to the last bit.
        place: the names of the parts that lead here.
    """
    if isinstance(recorded, Mapping) and isinstance(found, Mapping):
        yield from _of_mappings(recorded, found, tolerance, place)
    elif isinstance(recorded, list) and isinstance(found, list):
        yield from _of_mappings(_by_name(recorded), _by_name(found), tolerance, place)
    elif not _same(recorded, found, tolerance):
        yield Difference(place, _told(recorded), _told(found))


def _of_mappings(
    recorded: Mapping[str, Any], found: Mapping[str, Any], tolerance: float, place: tuple[str, ...]
) -> Iterator[Difference]:
    for name in dict.fromkeys((*recorded, *found)):
        parts = recorded.get(name, _MISSING), found.get(name, _MISSING)
        yield from differences(*parts, tolerance, (*place, name))


def _same(recorded: Any, found: Any, tolerance: float) -> bool:
    if type(recorded) is not type(found):
        # JSON makes 1.0 and 1 alike for other programs, and so does a person's eye.
        return _is_number(recorded) and _is_number(found) and recorded == found
    if tolerance and isinstance(recorded, float):
        return isclose(recorded, found, rel_tol=tolerance, abs_tol=tolerance * 1e-3)
    return bool(recorded == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_name(values: Sequence[Any]) -> Mapping[str, Any]:
    """Return the elements of a list by names that tell them apart, or else by their places."""
    if not all(isinstance(value, Mapping) for value in values):
        return {f"number {place}": value for place, value in enumerate(values, 1)}
    named = {_name(value) or f"number {place}": value for place, value in enumerate(values, 1)}
    if len(named) < len(values):
        named = {f"number {place}": value for place, value in enumerate(values, 1)}
    return named


def _name(value: Mapping[str, Any]) -> str:
    keys = next((keys for keys in _NAMES if all(key in value for key in keys)), ())
    if not keys:
        return ""
    if keys == ("quantity", "first", "second"):
        return f"{value['quantity']} of {value['first']} against {value['second']}"
    words = " and ".join(value[keys[0]]) if isinstance(value[keys[0]], list) else str(value[keys[0]])
    # A run is known to a person by its arm and its seed.
    return (
        f"{words} ({value['arm']}, seed {value['seed'] or 'unknown'})" if "arm" in value and "seed" in value else words
    )


def _told(value: Any) -> Any:
    return None if value is _MISSING else value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str | int | float) else _outline(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _outline(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"a part with {', '.join(value)}"
