"""Where two trees of plain values differ, by the names of their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

# What tells an element of a list from others.
_NAMES = (("run_id",), ("quantity", "first", "second"), ("family",), ("arms",), ("text",), ("seeds",), ("name",))
_MISSING = object()
# Characters of a text that are shown.
_LONGEST = 100


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
        recorded, found = self.recorded, self.found
        if isinstance(recorded, str) and isinstance(found, str):
            recorded, found = _around_first_change(recorded, found)
        return f"{', '.join(self.place)}: {_shown(recorded)} is recorded, and {_shown(found)} comes from {source}"


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
        told = {_name(value): _told(value) for value in (*found, *recorded) if isinstance(value, Mapping)}
        then, now = _by_name(recorded), _by_name(found)
        yield from _of_mappings(then, now, tolerance, place, told)
        if list(then) != list(now) and set(then) == set(now):
            yield Difference((*place, "order"), ", ".join(then), ", ".join(now))
    elif not _same(recorded, found, tolerance):
        yield Difference(place, _known(recorded), _known(found))


def _of_mappings(
    recorded: Mapping[str, Any],
    found: Mapping[str, Any],
    tolerance: float,
    place: tuple[str, ...],
    told: Mapping[str, str] | None = None,
) -> Iterator[Difference]:
    for name in dict.fromkeys((*recorded, *found)):
        parts = recorded.get(name, _MISSING), found.get(name, _MISSING)
        yield from differences(*parts, tolerance, (*place, (told or {}).get(name, name)))


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
    """Return what tells an element of a list from others."""
    keys = next((keys for keys in _NAMES if all(key in value for key in keys)), ())
    if keys == ("quantity", "first", "second"):
        return f"{value['quantity']} of {value['first']} against {value['second']}"
    parts = [value[key] for key in keys]
    return " ".join(" and ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts)


def _told(value: Mapping[str, Any]) -> str:
    """Return what an element is called. A person knows a run by its arm and its seed."""
    name = _name(value)
    is_run = "run_id" in value and "arm" in value
    return f"run {name} ({value['arm']}, seed {value.get('seed') or 'unknown'})" if is_run else name


def _known(value: Any) -> Any:
    return None if value is _MISSING else value


def _around_first_change(*texts: str) -> list[str]:
    """Return two long texts, cut so that their first difference can be seen."""
    if max(map(len, texts)) <= _LONGEST:
        return list(texts)
    same = next((place for place, signs in enumerate(zip(*texts, strict=False)) if len(set(signs)) > 1), None)
    start = max(0, (min(map(len, texts)) if same is None else same) - _LONGEST // 3)
    # The cut is between words, where there are any.
    start = next((place for place in range(start, 0, -1) if texts[0][place - 1] == " "), start) if start else 0
    parts = [text[start : start + _LONGEST] for text in texts]
    ends = ["…" if len(text) > start + _LONGEST else "" for text in texts]
    return [f"{'…' if start else ''}{part}{end}" for part, end in zip(parts, ends, strict=True)]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if not isinstance(value, dict):
        return repr(value)
    plain = {name: one for name, one in value.items() if not isinstance(one, dict | list)}
    text = ", ".join(f"{name} {one!r}" for name, one in plain.items())
    return f"a part with {text if len(text) <= 2 * _LONGEST else f'{text[: 2 * _LONGEST]}…'}"
