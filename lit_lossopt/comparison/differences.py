"""Every arm against every other, in the three questions of a page.

Who judges depends on how the seeds came about: all planned beforehand, added after looking, or in a race.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from lit_lossopt.comparison.comparison import Contrast
from lit_lossopt.comparison.race import Race, pair_of
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.comparison.stages import Measured, Tested
from lit_lossopt.comparison.statistics.any_time import AnyTime
from lit_lossopt.comparison.statistics.contrasts import (
    Question,
    contrast,
    contrasts,
    contrasts_by,
    count_all_pairs,
    count_comparisons,
    not_equal_by_accident,
)
from lit_lossopt.comparison.statistics.questions import final_question, oscillation_question, speed_question
from lit_lossopt.comparison.statistics.race import judge_of_others


def find_differences(measured: Measured) -> Tested:
    """Test every arm against every other.

    All three questions are judged at once.
    """
    terms, arms = measured.terms, measured.arms
    questions = [
        final_question(arms, terms.margin, higher_is_better=terms.higher_is_better),
        speed_question(() if measured.axes.no_speed else arms),
        oscillation_question(arms),
    ]
    level, comparisons = nan, count_comparisons(questions)
    if measured.race:
        found = _of_race(measured.race, questions)
    elif terms.sequential:
        comparisons = count_all_pairs(questions)
        found = contrasts_by(AnyTime(comparisons), questions)
    else:
        found, family = contrasts(questions)
        level = family.level
    finals, speeds, oscillations = map(tuple, found)
    finals = tuple(not_equal_by_accident(finals, arms))
    return Tested(measured, finals, speeds, oscillations, comparisons, level)


def _of_race(race: Race, questions: Sequence[Question]) -> list[list[Contrast]]:
    """Return the contrasts of a race, for each question.

    Those of its own question stand as they were decided.
    """
    decided = {pair_of(one): one for one in race.contrasts}
    final, speed, oscillation = questions
    own, other = (speed, final) if race.rules.question == SPEED else (final, speed)

    def judged(question: Question) -> list[Contrast]:
        pairs = question.pairs()
        return [contrast(a, b, question.quantity, judge_of_others(race, a.name, b.name)) for a, b in pairs]

    raced = [decided.get(pair_of(one), one) for one in judged(own)]
    rest = judged(other)
    return [rest, raced, judged(oscillation)] if own is speed else [raced, rest, judged(oscillation)]
