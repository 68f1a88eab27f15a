"""The answer in words: what may be claimed, what may not, and what happened to runs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from lit_lossopt.compare.comparison import Arm, Comparison, Contrast
from lit_lossopt.compare.oscillation_words import oscillation
from lit_lossopt.compare.phrases import (
    bare,
    change,
    counted,
    listed,
    metric_words,
    points,
    probability,
    quantity,
    ratio,
    significant,
    spelled,
    within,
)
from lit_lossopt.compare.statistics import LEAST_PAIRS, NO_DIFFERENCE
from lit_lossopt.compare.winners import claimed_besides

_USUAL_SEEDS = 8
_MOST_NAMED = 3


def answer(comparison: Comparison) -> tuple[str, ...]:
    """Return what was found, a sentence each: speed, final value, oscillation, equivalence, how runs ended.

    Only what the statistics claim is stated as a fact; all else is called what it is: numbers.
    """
    return (
        *_speed(comparison),
        *_final(comparison),
        *_told_apart(comparison),
        *oscillation(comparison),
        *_equivalent(comparison),
        *_ends(comparison),
    )


def _speed(comparison: Comparison) -> list[str]:
    goal = quantity(comparison.target, comparison.metric)
    if all(isnan(trial.steps_to_target) for arm in comparison.arms for trial in arm.trials):
        why = comparison.no_speed or "Speed cannot be told: the runs have one evaluation each."
        return [*_unclaimable(comparison), why]
    if not any(arm.reached for arm in comparison.arms):
        return [*_unclaimable(comparison), f"No run reached {goal}."]
    besides = [f"{one.first} is {_faster(one)}" for one in claimed_besides(comparison.speeds, comparison.alike_speed)]
    if not comparison.alike_speed:
        return [f"No arm is first to {goal}: over shared seeds each is behind another.", *_besides(besides)]
    first = _named(comparison, comparison.alike_speed)
    steps = _steps(first)
    if len(comparison.arms) == 1:
        runs = f" ({counted(len(first.trials), 'run')})" if isfinite(first.steps_to_target.value) else ""
        return [f"{first.name} reaches {goal} in {steps}{runs}; no arm to compare with."]
    if comparison.speeds and max(one.difference.n for one in comparison.speeds) < LEAST_PAIRS:
        return [*_unclaimable(comparison), f"By the numbers {first.name} is first to {goal}, in {steps}."]
    return [] if _same(comparison.speeds) else [_soonest(comparison, first, goal), *_besides(besides)]


def _soonest(comparison: Comparison, first: Arm, goal: str) -> str:
    claimed = [one for one in comparison.speeds if one.claimed and one.first == first.name]
    steps = _steps(first)
    if not claimed:
        return f"No arm can be said to reach {goal} sooner than all others; {first.name} is first, in {steps}."
    return f"{first.name} reaches {goal} in {steps}, {_some([_faster(one) for one in claimed])} {_evidence(claimed)}."


def _final(comparison: Comparison) -> list[str]:
    metric, side = comparison.metric, "above" if comparison.higher_is_better else "below"
    others = claimed_besides(comparison.finals, comparison.alike)
    besides = _besides([f"{one.first} ends {_difference(one, metric)} {side} {one.second}" for one in others])
    if not comparison.alike:
        return ["No arm ends best: over shared seeds each is behind another.", *besides]
    best = _named(comparison, comparison.alike)
    end = quantity(best.final.value, metric, within(best.final, lambda x: bare(x, metric)))
    if len(comparison.arms) == 1:
        return [f"It ends at {end}."]
    if max((one.difference.n for one in comparison.finals), default=0) < LEAST_PAIRS:
        return [f"By the numbers {best.name} ends best, at {end}."]
    claimed = [one for one in comparison.finals if one.claimed and one.first == best.name]
    if _same(comparison.finals):
        return []
    if not claimed:
        return [
            f"No arm can be said to end better than all others; {best.name} is first, at {end}.",
            *_by_all_runs(comparison),
            *besides,
        ]
    ahead = [f"{_difference(one, metric)} {side} {one.second}" for one in claimed]
    ends = "ends best, at" if len(comparison.alike) == 1 else "ends at"
    return [f"{best.name} {ends} {end}, {_some(ahead)} {_evidence(claimed)}.", *_by_all_runs(comparison), *besides]


def _named(comparison: Comparison, alike: Sequence[str]) -> Arm:
    return next(arm for arm in comparison.arms if arm.name == alike[0])


def _besides(claims: Sequence[str]) -> list[str]:
    return [f"Over shared seeds {listed(claims)} (p < 0.05 after Holm)."] if claims else []


def _by_all_runs(comparison: Comparison) -> list[str]:
    """Say it where the arm with the best mean is not the one that is named."""
    top = comparison.arms[0]
    if top.name == comparison.alike[0]:
        return []
    level = quantity(top.final.value, comparison.metric)
    return [f"The mean over all runs of {top.name} is better, {level}, but over shared seeds it is behind."]


def _faster(contrast: Contrast) -> str:
    return f"{_factor(contrast)}faster than {contrast.second}"


def _told_apart(comparison: Comparison) -> list[str]:
    """Say who cannot be told apart from the best, and how many seeds it would take."""
    if len(comparison.arms) == 1 or _unclaimable(comparison):
        return []
    metric = f"final {metric_words(comparison.metric)}"
    groups = [
        (comparison.alike_speed, comparison.speeds, "speed"),
        (comparison.alike, comparison.finals, metric),
    ]
    if not any(arm.reached for arm in comparison.arms):
        groups = groups[1:]
    sentences = []
    for names, contrasts, what in groups:
        pairs = [
            one for one in contrasts if {one.first, one.second} <= set(names) and names[0] in {one.first, one.second}
        ]
        same = [_other(one, names[0]) for one in pairs if one.remark == NO_DIFFERENCE]
        open_ = [one for one in pairs if one.remark != NO_DIFFERENCE]
        if same:
            sentences.append(f"{listed([names[0], *same])} do not differ in {what}: it is the same at every seed.")
        if open_:
            others = listed([names[0], *(_other(one, names[0]) for one in open_)])
            sentences.append(f"{others} cannot be told apart in {what}{_seeds_needed(open_)}.")
    return sentences


def _equivalent(comparison: Comparison) -> list[str]:
    if not comparison.alike:
        return []
    best = comparison.alike[0]
    found = [one for one in comparison.finals if one.equivalent and best in {one.first, one.second}]
    if not found:
        return []
    margin, metric = points(comparison.margin, comparison.metric), metric_words(comparison.metric)
    if len(found) == 1:
        return [
            f"{best} and {_other(found[0], best)} are equivalent: they differ by less than {margin} of final {metric}."
        ]
    others = listed([_other(one, best) for one in found])
    return [f"Equivalent to {best}, within {margin} of final {metric}: {others}."]


def _ends(comparison: Comparison) -> list[str]:
    sentences = []
    for arm in comparison.arms:
        for verdict in ("diverged", "collapsed"):
            count, runs = arm.verdicts.get(verdict, 0), len(arm.trials)
            if count:
                who = f"The only run of {arm.name}" if runs == 1 else f"{count} of {runs} runs of {arm.name}"
                sentences.append(f"{who} {verdict}.")
    return sentences


def _unclaimable(comparison: Comparison) -> list[str]:
    """Say why nothing can be claimed, if nothing can."""
    if len(comparison.arms) == 1 or max(one.difference.n for one in comparison.finals) >= LEAST_PAIRS:
        return []
    needed = f"at least {spelled(LEAST_PAIRS)} that arms share are needed, better {spelled(_USUAL_SEEDS)}"
    shared = max(one.difference.n for one in comparison.finals)
    if not shared:
        return [f"No claim can be made, since the arms share no seed: {needed}."]
    return [f"No claim can be made with {counted(shared, 'seed')}: {needed}."]


def _steps(arm: Arm) -> str:
    steps = arm.steps_to_target
    if not isfinite(steps.value):
        return f"{spelled(arm.reached)} of {counted(len(arm.trials), 'run')}"
    return (
        f"{significant(steps.value)} step{'' if significant(steps.value) == '1' else 's'}{within(steps, significant)}"
    )


def _factor(contrast: Contrast) -> str:
    ahead = contrast.difference
    if isfinite(ahead.value):
        return f"{ratio(ahead.value)}×{within(ahead, ratio)} "
    # A bound that says no more than "faster" is left out; so is one that is not known.
    return f"at least {contrast.bound:.2g}× " if contrast.bound >= 1.05 else ""


def _difference(contrast: Contrast, metric: str) -> str:
    found = contrast.difference
    ends = sorted((abs(found.low), abs(found.high)))
    interval = "" if isnan(found.low) else f" [{change(ends[0], metric)} to {change(ends[1], metric)}]"
    return f"{points(found.value, metric)}{interval}"


def _same(contrasts: Sequence[Contrast]) -> bool:
    return bool(contrasts) and all(one.remark == NO_DIFFERENCE for one in contrasts)


def _some(ahead: Sequence[str]) -> str:
    """Return the first three, which are the nearest, and how many more."""
    left = len(ahead) - _MOST_NAMED
    return listed([*ahead[:_MOST_NAMED], *([f"ahead of {spelled(left)} more"] if left > 0 else [])])


def _evidence(claimed: Sequence[Contrast]) -> str:
    """Return ``(eight seeds, p = 0.003 after Holm)``."""
    pairs = sorted({one.difference.n for one in claimed})
    seeds = counted(pairs[0], "seed") if len(pairs) == 1 else f"{spelled(pairs[0])} to {counted(pairs[-1], 'seed')}"
    p = probability(max(one.p_adjusted for one in claimed))
    each = "each " if len(claimed) > 1 else ""
    return f"({seeds}, {each}{p.replace('p =', 'p ≤') if each else p} after Holm)"


def _other(contrast: Contrast, name: str) -> str:
    return contrast.second if contrast.first == name else contrast.first


def _seeds_needed(pairs: Sequence[Contrast]) -> str:
    known = sorted(one.seeds_needed for one in pairs if one.seeds_needed is not None)
    if not known or len(known) < len(pairs):
        return ""
    many = spelled(known[0]) if known[0] == known[-1] else f"{known[0]:,} to {known[-1]:,}"
    return f"; differences as small as these would need about {many} seeds"
