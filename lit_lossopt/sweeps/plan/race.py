"""What a plan says of its race.

It is which question decides, what counts as equivalent, and when the race ends undecided.
"""

from __future__ import annotations

from dataclasses import dataclass

from lit_lossopt.comparison.race_rules import FINAL, SPEED
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS, look_sizes, looks_up_to
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.plan.section import Section

RACE = "race"
QUESTIONS = {"final": FINAL, "speed": SPEED}
_DEFAULT_MARGINS = {FINAL: 0.01, SPEED: 1.1}
MOST_SEEDS = FIRST_LOOKS[-1]
# Nobody trains more.
_LIMIT = 1024


@dataclass(frozen=True)
class RacePlan:
    """What was fixed before a race.

    Attributes:
        question: what decides, as ``comparison.race.Rules`` names it.
        margin: within it arms are equivalent. It is a difference of final values, or a ratio of steps.
        target: value of the metric that counts as reached. None: chosen from the runs of the first look.
        max_seeds: at which a race ends undecided. It is the number of a look.
        max_minutes: after which it ends undecided. None: never.
    """

    question: str = FINAL
    margin: float = _DEFAULT_MARGINS[FINAL]
    target: float | None = None
    max_seeds: int = MOST_SEEDS
    max_minutes: float | None = None


def read_race(section: Section) -> RacePlan:
    """Return what a plan says of its race.

    Raises:
        UserError: the first thing wrong.
    """
    section.refuse_others(("question", "margin", "target", "max_seeds", "max_minutes"))
    question = QUESTIONS[section.choice("question", tuple(QUESTIONS), "final")]
    margin = section.number("margin", None) or _DEFAULT_MARGINS[question]
    if question == SPEED and margin <= 1:
        raise section.wrong("margin", "expected a ratio above 1, because the question is speed")
    if question == FINAL and margin >= 1:
        raise section.wrong("margin", "expected a share of accuracy below 1, as 0.01 for one point")
    target = section.number("target", None)
    if target is not None and target >= 1:
        raise section.wrong("target", "expected a share of accuracy below 1, as 0.9 for 90 %")
    return RacePlan(
        question=question,
        margin=float(margin),
        target=target,
        max_seeds=check_seeds(
            section.whole("max_seeds", MOST_SEEDS, 1, _LIMIT), f"{section.path}: {section.where}.max_seeds="
        ),
        max_minutes=section.number("max_minutes", None),
    )


def check_seeds(most: int, named: str) -> int:
    """Return the number of seeds at which a race ends, if it is the number of a look.

    Args:
        most: the number.
        named: what a message begins with, as ``--seeds ``.

    Raises:
        UserError: one does not look at so many seeds.
    """
    if most not in looks_up_to(most):
        known = ", ".join(map(str, looks_up_to(_LIMIT)))
        raise UserError(f"{named}{most}: a race is looked at with fixed numbers of seeds, so take one of {known}")
    return most


def seeds_beyond(most: int) -> int:
    """Return the number of seeds of the look behind this one."""
    return next(size for size in look_sizes() if size > most)
