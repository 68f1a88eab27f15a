"""What a person expects of a comparison, as plain records.

An expectation is a sentence of two arms, as ``adam faster than sgd``. It holds only if the comparison claims it. So a
program can fail when an experiment no longer shows what it showed before. What a comparison says to it is in
``report.verdict.expected``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.names import Answer
from lit_lossopt.core.numbers import listed

BETTER, FASTER, STEADIER, EQUIVALENT = "better than", "faster than", "steadier than", "equivalent to"
RELATIONS = (BETTER, FASTER, STEADIER, EQUIVALENT)

# An arm's name does not end or go on like this. The sentence says more than can be judged.
_QUALIFIED = re.compile(r"\s(?:not|is|much|far|slightly|significantly|never)$", re.IGNORECASE)
_WITH_MORE = re.compile(r"^to$|(?:^|\s)(?:better|faster|steadier|equivalent|by\s[\d.]+)(?:\s|$)", re.IGNORECASE)


class Outcome(StrEnum):
    """What a comparison says to an expectation."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Expected:
    """A sentence that was typed, in its parts.

    Attributes:
        text: as typed.
        first: the arm that stands first, as typed.
        relation: one of ``RELATIONS``.
        second: the other arm, as typed.
    """

    text: str
    first: str
    relation: str
    second: str


@dataclass(frozen=True)
class Expectation:
    """An expectation and what was found.

    Attributes:
        text: as typed.
        first: the name of the first arm.
        relation: ``better than``, ``faster than``, ``steadier than`` or ``equivalent to``.
        second: the name of the second arm.
        outcome: whether the comparison claims it, contradicts it, or neither.
        because: what the comparison says of the two arms, a sentence.
    """

    text: str
    first: str
    relation: str
    second: str
    outcome: Outcome
    because: str


def read_expectation(text: str) -> Expected:
    """Return a sentence in its parts.

    >>> read_expectation("Adam is faster than SGD").first
    'Adam'

    Raises:
        ValueError: it has another form.
    """
    for relation in RELATIONS:
        word, link = relation.split()
        # What is equivalent may do without the preposition.
        joined = rf"{word}\s+{link}" if relation != EQUIVALENT else rf"{word}(?:\s+{link})?"
        found = re.fullmatch(rf"\s*(\S.*?)(?:\s+is)?\s+{joined}\s+(.*\S)\s*", text, re.IGNORECASE)
        if found and not (_QUALIFIED.search(found[1]) or any(map(_WITH_MORE.search, found.groups()))):
            return Expected(text.strip(), found[1], relation, found[2])
    raise ValueError(text)


def form_of_expectations() -> str:
    """Return what a sentence may look like, for a person who wrote another one."""
    return (
        f"expected two arms and {', '.join(RELATIONS[:-1])} or {RELATIONS[-1]} between them, as 'adam faster than "
        "sgd'; turn the arms round for slower or worse, and repeat --expect for a second sentence"
    )


def with_arms(expected: Iterable[Expected], arms: Sequence[str]) -> list[Expected]:
    """Return sentences with the full names of their arms.

    An arm may be typed without regard to capital letters, without settings such as ``lr=0.1``, or by words that no
    other arm's name has all of.

    >>> with_arms([read_expectation("adam better than sgd")], ["Adam lr=0.001", "SGD"])[0].first
    'Adam lr=0.001'

    Raises:
        UserError: no arm has such a name, several have, or both arms are the same.
    """
    found = []
    for one in expected:
        first, second = (_arm(name, list(arms), one.text) for name in (one.first, one.second))
        if first == second:
            raise UserError(f"--expect {one.text!r}: both arms are {first}; name two different ones")
        found.append(Expected(one.text, first, one.relation, second))
    return found


def without_settings(one: Expected) -> Expected:
    """Return a sentence with its arms named without settings such as ``lr=0.1``.

    >>> without_settings(read_expectation("adam lr=0.1 better than sgd")).first
    'adam'
    """
    first, second = map(_plain, (one.first, one.second))
    return Expected(one.text, first or one.first, one.relation, second or one.second)


def _arm(typed: str, arms: Sequence[str], text: str) -> str:
    # The point that ends a sentence is none of a name, unless there is such a name.
    matching = _named_so(typed, arms) or _named_so(typed.rstrip("."), arms)
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UserError(f"--expect {text!r}: {typed!r} may mean {listed(matching)}; write the whole name of one")
    near = did_you_mean(typed, [*arms, *map(_plain, arms)])
    raise UserError(f"--expect {text!r}: no arm {typed!r}{near}; there are: {', '.join(arms)}")


def _named_so(typed: str, arms: Sequence[str]) -> list[str]:
    """Return the arms that a word may mean, by the nearest way in which it means any."""
    words = typed.casefold().split()
    named = {name: name.casefold().split() for name in arms}
    ways = (
        [name for name in arms if name == typed],
        [name for name in arms if named[name] == words],
        [name for name in arms if _plain(name).casefold().split() == words],
        [name for name in arms if words and set(words) <= set(named[name])],
    )
    return next(filter(None, ways), [])


def _plain(name: str) -> str:
    return " ".join(word for word in name.split() if "=" not in word)


def answer_of(found: Sequence[Expectation]) -> Answer:
    """Return the exit status for all expectations together."""
    outcomes = {one.outcome for one in found}
    if Outcome.CONTRADICTED in outcomes:
        return Answer.CONTRADICTED
    return Answer.UNDECIDED if Outcome.UNDECIDED in outcomes else Answer.HOLDS
