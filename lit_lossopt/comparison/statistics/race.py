"""The race: seeds are added until every pair of arms is decided, and not one more.

One looks at fixed numbers of complete seeds. At each look a pair is better, equivalent or open. An arm that is worse
than another stops, and so does one of which no pair is open. What is decided stays decided, except that an arm of which
a later run breaks is equivalent to none.

A race is a pure function of the values by seed. So it can be computed again from the runs alone, by whoever reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import log

from lit_lossopt.comparison.contrast import SAME, Contrast
from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import SPEED, Rules
from lit_lossopt.comparison.statistics.contrasts import Quantity, Question, contrast
from lit_lossopt.comparison.statistics.judge import Judge
from lit_lossopt.comparison.statistics.looks import DECIDING, OTHERS, Look

BROKEN = "a run of one of them broke"

Ask = Callable[[Mapping[str, int]], tuple[Question, Collection[str]]]
JudgeOf = Callable[[Rules, int], Judge]


def deciding(rules: Rules, size: int) -> Judge:
    """Return the judge of the deciding question at the look of so many seeds."""
    return Look(rules.most_arms, rules.looks.index(size), DECIDING)


def race(present: Mapping[str, Collection[str]], rules: Rules, ask: Ask, judge_of: JudgeOf = deciding) -> Race:
    """Return how far a race has gone with these runs.

    A look takes place for the arms that have all its seeds. It needs two of them. An arm that lacks a run by then has
    left the race.

    Args:
        present: arm → the seeds of which it has a run.
        rules: what was fixed before.
        ask: takes arm → number of seeds that count. Returns the deciding question over these runs, and the arms of
            which a run broke. A broken arm is equivalent to none.
        judge_of: takes the rules and the number of seeds of a look. Returns who judges it.
    """
    found = Race(rules, dict.fromkeys(present, 0))
    while (size := found.next_look) is not None:
        wanted = set(rules.seeds[:size])
        taking_part = [arm for arm in found.racing if wanted <= set(present[arm])]
        if len(taking_part) < 2:
            break
        counts = {arm: size if arm in taking_part else count for arm, count in found.seeds_of.items()}
        left = found.left | (set(found.racing) - set(taking_part))
        found = _look(replace(found, seeds_of=counts, left=left), taking_part, ask, judge_of(rules, size))
    return found


def _look(found: Race, taking_part: Sequence[str], ask: Ask, judge: Judge) -> Race:
    """Return the race after one more look."""
    question, broken = ask(found.seeds_of)
    quantity, samples = _with_margin(question.quantity, found.rules), {one.name: one for one in question.samples}
    decided = found.decided
    seen = tuple(
        contrast(samples[one], samples[other], quantity, judge)
        for one, other in combinations(taking_part, 2)
        if frozenset((one, other)) not in decided and {one, other} <= samples.keys()
    )
    # An arm that breaks later is not equivalent any more, so earlier looks change, too.
    looks = {**found.looks, found.seeds_of[taking_part[0]]: seen}
    return replace(found, looks={at: tuple(_unless_broken(one, broken) for one in looks[at]) for at in looks})


def _unless_broken(found: Contrast, broken: Collection[str]) -> Contrast:
    if not {found.first, found.second} & set(broken):
        return found
    return replace(found, equivalent=False, remark=BROKEN if found.remark == SAME else found.remark)


def _with_margin(quantity: Quantity, rules: Rules) -> Quantity:
    return replace(quantity, margin=log(rules.margin) if rules.question == SPEED else rules.margin)


def judge_of_others(found: Race, *arms: str) -> Judge:
    """Return the judge of the other questions of a race, for pairs of these arms."""
    size = min(found.seeds_of[arm] for arm in arms)
    return Look(found.rules.most_arms, found.rules.looks.index(size) if size else 0, OTHERS)
