"""Numbers and lists as a person reads them.

There is one way to write each of them, in sentences, tables and figures alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, isinf, isnan, log10

UNKNOWN = "–"
NEVER = "never"
_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_MOST_NAMED = 3


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that matter.

    Examples are ``0.0123``, ``1,240``, ``−3.2`` and ``1.8e-05``.
    """
    if isnan(value):
        return UNKNOWN
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", "−") if abs(value) < 1e9 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}".replace("-", "−", 1) if value < 0 else f"{value:.{digits}g}"


def spelled(number: int) -> str:
    """Return a number as a word.

    Above twelve it has digits.

    >>> spelled(8), spelled(13)
    ('eight', '13')
    """
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "seed"), counted(8, "seed")
    ('one seed', 'eight seeds')
    """
    return f"{spelled(number)} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time in whole minutes, hours or days.

    >>> duration(70), duration(11_000), duration(200_000)
    ('one minute', 'three hours', 'two days')
    """
    for size, unit in ((86_400, "day"), (3_600, "hour")):
        if seconds >= 1.5 * size:
            return counted(round(seconds / size), unit)
    return counted(max(1, round(seconds / 60)), "minute")


def listed(items: Sequence[str], between: str = ", ") -> str:
    """Return items as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return items[0] if len(items) == 1 else f"{between.join(items[:-1])} and {items[-1]}" if items else ""


def named(names: Sequence[str], most: int = 6) -> str:
    """Return ``a, b and c``.

    Beyond ``most`` names it says how many more there are.
    """
    left = len(names) - most
    return listed([*names[:most], *([f"{spelled(left)} more"] if left > 0 else [])])


def some(items: Sequence[str], between: str = ", ") -> str:
    """Return the first three items and how many more.

    The first three are the nearest.
    """
    left = len(items) - _MOST_NAMED
    return listed([*items[:_MOST_NAMED], *([f"{spelled(left)} more"] if left > 0 else [])], between)


def ratio(value: float) -> str:
    """Return a factor in enough digits to tell it from 1.

    It has at least three, as ``2.03`` and ``1.0017``.
    """
    text, apart = significant(value), abs(value - 1)
    return f"{value:.{min(6, 1 - floor(log10(apart)))}f}" if text == "1" and apart > 5e-7 else text


def times(value: float) -> str:
    """Return a factor with its sign.

    >>> times(1.8)
    '1.8×'
    """
    return f"{ratio(value)}×"


def share(value: float) -> str:
    """Return a share of a descent in two digits, or more where it is large.

    >>> share(0.834), share(0.0213), share(0.0), share(613.0)
    ('0.83', '0.021', '0', '613')
    """
    return significant(value, 2)


def per_cent(value: float) -> str:
    """Return a share in whole per cent.

    >>> per_cent(0.853)
    '85 %'
    """
    return f"{100 * value:.0f} %"


def shown_place(place: float) -> str:
    """Return a place on the axis as it is shown.

    Examples are ``1,200`` steps and ``17.5`` epochs.
    """
    return f"{place:,.0f}" if place >= 100 or place == round(place) else f"{place:.3g}"


def interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return an interval, as ``92.8 to 93.5``.

    Each end is as ``text`` writes it. The result is empty where there is no interval.
    """
    if isnan(low) or isnan(high):
        return ""
    return f"{text(low)} to {text(high)}"


def bracketed(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return an interval as it stands behind its value, or nothing where there is none.

    >>> bracketed(1180, 1310, significant)
    ' [1,180 to 1,310]'
    """
    between = interval(low, high, text)
    return f" [{between}]" if between else ""


def difference(value: float) -> str:
    """Return how far two things are apart that should be equal, in one digit or two.

    >>> difference(2.4e-15), difference(0.0351), difference(9.04)
    ('2e-15', '0.035', '9')
    """
    if isnan(value) or isinf(value):
        return "no number"
    return "0" if value == 0 else f"{value:.2g}" if value >= 1e-3 else f"{value:.0e}"


def probability(p: float, level: float = 0.05) -> str:
    """Return ``p = 0.003`` or ``p < 0.001``.

    What is below the level, and so is claimed, never reads as the level itself.

    >>> probability(0.0031), probability(0.0496), probability(0.31)
    ('p = 0.003', 'p < 0.05', 'p = 0.31')
    """
    if p < 0.001:
        return "p < 0.001"
    if level - 0.0005 <= p < level:
        return f"p < {level}"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def probability_alone(p: float) -> str:
    """Return a p value without its name, as ``0.012`` or ``< 0.001``."""
    return UNKNOWN if isnan(p) else probability(p).removeprefix("p ").removeprefix("= ")
