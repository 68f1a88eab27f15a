"""Cells of text as steps, times and values.

What is no number is counted, and never guessed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import TypeVar

from lit_lossopt.tracking.importing.records import Series, Times

Number = TypeVar("Number", int, float)
_LARGEST = 2**63
# Seconds and milliseconds since 1970 of the years 1973 to 5138.
_SECONDS, _MILLISECONDS = 1e8, 1e11


def as_step(cell: str) -> int | None:
    """Return a step, or None if a cell holds no whole number.

    >>> as_step("12"), as_step("12.0"), as_step("12.5"), as_step("1_2"), as_step("")
    (12, 12, None, None, None)
    """
    try:
        step = _number(int, cell)
    except ValueError:
        value = as_value(cell)
        if value is None or not isfinite(value) or not value.is_integer():
            return None
        step = int(value)
    return step if -_LARGEST <= step < _LARGEST else None


def as_value(cell: str) -> float | None:
    """Return a number, or None if a cell holds none.

    >>> as_value("-inf"), as_value("1_2"), as_value("high")
    (-inf, None, None)
    """
    try:
        return _number(float, cell)
    except ValueError:
        return None


def _number(kind: Callable[[str], Number], cell: str) -> Number:
    # Python's own literals may have it, and no program writes numbers so.
    if "_" in cell:
        raise ValueError(cell)
    return kind(cell)


def as_milliseconds(cell: str) -> int | None:
    """Return milliseconds since 1970, or None if a cell tells no time.

    It holds seconds or milliseconds since 1970, or a date and time.

    >>> as_milliseconds("1700000000.5"), as_milliseconds("2023-11-14T22:13:20"), as_milliseconds("12")
    (1700000000500, 1700000000000, None)
    """
    value = as_value(cell)
    if value is None:
        try:
            moment = datetime.fromisoformat(cell.strip())
        except ValueError:
            return None
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not isfinite(value) or value < _SECONDS:
        return None
    return round(value if value >= _MILLISECONDS else value * 1000)


def times_of(cells: Sequence[str], column: str, left_out: Counter[str]) -> list[int | None]:
    """Return the milliseconds of each row ``[rows]``, or None where a cell tells no time.

    Args:
        cells: of each row.
        column: its name.
        left_out: gets the number of cells that are not empty, and tell no time.
    """
    times = [as_milliseconds(cell) for cell in cells]
    strange = [cell for cell, time in zip(cells, times, strict=True) if time is None and cell.strip()]
    if strange:
        left_out[f"cells of {column!r} that tell no time, as {strange[0].strip()[:40]!r}"] += len(strange)
    return times


def series_of(
    name: str, cells: Sequence[str], steps: Sequence[int | None], times: Sequence[int | None], left_out: Counter[str]
) -> Series:
    """Return a column as a metric.

    Args:
        name: of the column.
        cells: of each row. Empty ones are no values.
        steps: of each row. A row without one is left out. Whoever has read the steps counts it.
        times: milliseconds of each row, or empty.
        left_out: gets the number of cells that are no numbers.
    """
    kept = [place for place, (cell, step) in enumerate(zip(cells, steps, strict=True)) if cell and step is not None]
    try:
        values = _values([cells[place] for place in kept])
    except ValueError:
        texts = [place for place in kept if as_value(cells[place]) is None]
        words = [cells[place] for place in texts if cells[place].strip()]
        if words:
            left_out[_no_number(name, words, has_values=len(texts) < len(kept))] += len(words)
        kept = sorted(set(kept) - set(texts))
        values = _values([cells[place] for place in kept])
    moments = _filled(times)
    return Series(
        array("q", [step for place in kept if (step := steps[place]) is not None]),
        values,
        array("q", [moments[place] for place in kept] if moments else ()),
    )


def _values(cells: Sequence[str]) -> array[float]:
    """Return numbers ``[n]``.

    Raises:
        ValueError: a cell holds none.
    """
    _refuse_marks(cells)
    return array("d", map(float, cells))


def _refuse_marks(cells: Sequence[str]) -> None:
    if "_" in "".join(cells):
        raise ValueError


def _filled(times: Sequence[int | None]) -> list[int]:
    """Return times in which a missing one is that of the row before.

    Rows before the first time have that one. The result is empty if there are none.
    """
    latest = next((time for time in times if time is not None), None)
    filled = []
    for time in times if latest is not None else ():
        latest = latest if time is None else time
        filled.append(latest)
    return [time for time in filled if time is not None]


def _no_number(name: str, texts: Sequence[str], *, has_values: bool) -> str:
    if not has_values:
        return f"text in column {name!r}"
    return f"text among the numbers of column {name!r}, as {texts[0].strip()[:40]!r}"


def span_of(series: Sequence[Series]) -> Times | None:
    """Return the first and the last time of some metrics.

    None if they have none.
    """
    known = [array_ for one in series if (array_ := one.milliseconds)]
    return Times(min(map(min, known)), max(map(max, known))) if known else None


def steps_of(cells: Sequence[str], column: str, left_out: Counter[str]) -> list[int | None]:
    """Return the step of each row ``[rows]``, or None where a cell holds none.

    Args:
        cells: of each row.
        column: its name.
        left_out: gets the number of rows without a step.
    """
    try:
        # As nearly every table has them, and twice as fast.
        _refuse_marks(cells)
        return [*array("q", map(int, cells))]
    except (ValueError, OverflowError):
        steps = [as_step(cell) for cell in cells]
    missing = sum(step is None for step in steps)
    if missing:
        left_out[f"rows whose {column!r} is no whole number"] += missing
    return steps
