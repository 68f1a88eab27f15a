"""When diagnostics are measured.

It is a function of planned steps and never of a clock, so that runs of one plan are measured at the same steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lit_lossopt.core.errors import UserError

# A run that nothing limits is measured so often.
_UNPLANNED = 500
# Measurements of a run by default: 12. A short run has one in 20 steps, at least four, and a long one has one in 800.
USUAL, FEWEST, SHORT_EACH, LONG_EACH = 12, 4, 20, 800


@dataclass(frozen=True)
class Moments:
    """Some of a run's steps.

    Attributes:
        kind: ``every`` (each so many steps), ``first`` (the first so many), ``log`` (so many, evenly on a logarithmic
            axis) or ``spread`` (so many, evenly; 0: 12, fewer in short runs and more in long ones).
        count: how many.
    """

    kind: str
    count: int = 0

    def steps(self, planned: int) -> Collection[int]:
        """Return the steps, from 1, of a run of so many.

        >>> sorted(Moments("log", 4).steps(1000))
        [1, 10, 100, 1000]
        >>> sorted(Moments("spread", 3).steps(9))
        [1, 5, 9]
        """
        if self.kind == "every":
            return range(self.count, planned + 1, self.count)
        if self.kind == "first":
            return range(1, min(self.count, planned) + 1)
        count = self.count or max(min(USUAL, planned // SHORT_EACH), FEWEST, planned // LONG_EACH)
        if planned < 1:
            return ()
        if count == 1:
            return (planned,)
        shares = [place / (count - 1) for place in range(count)]
        if self.kind == "log":
            return {round(planned**share) for share in shares}
        return {1 + round(share * (planned - 1)) for share in shares}


KINDS = ("every", "log", "first", "spread")
_WORD = re.compile(r"(every|log|first|spread)(?::(\d+))?")


def parse_moments(text: str, source: str) -> tuple[Moments, ...]:
    """Return the moments that a text names, as ``first:10+log:20``.

    >>> parse_moments("every:50", "")
    (Moments(kind='every', count=50),)

    Args:
        text: what stands behind ``@``.
        source: the whole text, for the message.

    Raises:
        UserError: it names none.
    """
    found = []
    for word in text.split("+"):
        match = _WORD.fullmatch(word)
        if match is None or (match[2] is None and match[1] != "spread") or (match[2] and int(match[2]) < 1):
            raise UserError(
                f"diagnostics={source}: {word!r} is no moment; give every:N, log:N, first:N or spread:N with N of at "
                "least 1, several joined by +"
            )
        found.append(Moments(match[1], int(match[2] or 0)))
    return tuple(found)


def plan(moments: Sequence[Moments], planned: int | None) -> Callable[[int], bool]:
    """Return whether a step, from 1, is one of those to measure.

    Args:
        moments: any of them counts.
        planned: steps of the run. None: nothing limits them, and all but ``every`` and ``first`` are measured at the
            steps 1, 2, 4, 8, … up to 500, and then at each 500th.
    """
    if planned is not None:
        steps = {step for one in moments for step in one.steps(planned)}
        return steps.__contains__
    limited = [one for one in moments if one.kind in {"every", "first"}]
    open_ended = len(limited) < len(moments)

    def due(step: int) -> bool:
        doubles = step & (step - 1) == 0 and step <= _UNPLANNED
        return (open_ended and (doubles or step % _UNPLANNED == 0)) or any(
            step % one.count == 0 if one.kind == "every" else step <= one.count for one in limited
        )

    return due
