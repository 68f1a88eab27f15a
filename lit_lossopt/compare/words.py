"""The answer in words: what may be claimed, what may not, and what happened to runs.

Every sentence follows from the decisions of contrasts. Captions of figures take these sentences, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from lit_lossopt.compare.comparison import Arm, Comparison, Contrast, Decision
from lit_lossopt.compare.contrasts import BEYOND, NEITHER
from lit_lossopt.compare.family import LEAST_PAIRS
from lit_lossopt.compare.oscillation_words import oscillation
from lit_lossopt.compare.phrases import (
    bare,
    counted,
    evidence,
    listed,
    metric_of,
    named,
    points,
    quantity,
    ratio,
    signed_interval,
    significant,
    size_interval,
    spelled,
    within,
)
from lit_lossopt.compare.winners import claimed_besides

_USUAL_SEEDS = 8
_MOST_NAMED = 3
_MOST_LISTED = 4
_MOST_ENDS = 6
_MANY_SEEDS = 100


def answer(comparison: Comparison) -> tuple[str, ...]:
    """Return what was found, a sentence each: speed, final value, oscillation, equivalence, how runs ended.

    Only what the statistics claim is stated as a fact. Nothing is said about an order that is not claimed.
    """
    return (
        *_unclaimable(comparison),
        *speed(comparison),
        *final(comparison),
        *_told_apart(comparison),
        *oscillation(comparison),
        *_equivalent(comparison),
        *_ends(comparison),
    )


def speed(comparison: Comparison) -> list[str]:
    """Say who reaches the target sooner."""
    unknown = _no_speed(comparison)
    if unknown:
        return [unknown]
    goal = quantity(comparison.target, comparison)
    if len(comparison.arms) == 1:
        return [f"{comparison.arms[0].name} reaches {goal} {_to_target(comparison.arms[0], comparison)}."]
    if _all_are(comparison.speeds, Decision.SAME):
        return []
    if _all_are(comparison.speeds, Decision.UNTESTED):
        return _medians(comparison, goal)
    return _compared_speed(comparison, goal)


def _no_speed(comparison: Comparison) -> str:
    """Say why there is no speed to speak of, if so."""
    if comparison.no_speed:
        return comparison.no_speed
    if all(isnan(trial.steps_to_target) for arm in comparison.arms for trial in arm.trials):
        return "Speed cannot be told, since the runs have one evaluation each."
    if not any(arm.reached for arm in comparison.arms):
        return f"No run reached {quantity(comparison.target, comparison)}."
    return ""


def _compared_speed(comparison: Comparison, goal: str) -> list[str]:
    besides = [f"{one.first} is {_faster(one)}" for one in claimed_besides(comparison.speeds, comparison.alike_speed)]
    if not comparison.alike_speed:
        return [f"No arm is first to {goal}, since over shared seeds each is behind another.", *_besides(besides)]
    return [*_soonest(comparison, goal), *_besides(besides)]


def _soonest(comparison: Comparison, goal: str) -> list[str]:
    first = _arm_named(comparison, comparison.alike_speed[0])
    claimed = [one for one in comparison.speeds if one.claimed and one.first == first.name]
    if not claimed:
        return [f"No arm can be said to reach {goal} sooner than all others.", *_medians(comparison, goal)]
    ahead = _some([_faster(one) for one in claimed])
    budgets = _budgets(comparison, claimed)
    reaches = f"{first.name} reaches {goal} {_to_target(first, comparison)}"
    return [f"{reaches}, seed by seed {ahead}{budgets} {evidence(claimed)}."]


def final(comparison: Comparison) -> list[str]:
    """Say who ends better."""
    side = "above" if comparison.higher_is_better else "below"
    others = claimed_besides(comparison.finals, comparison.alike)
    besides = _besides([f"{one.first} ends {_difference(one, comparison)} {side} {one.second}" for one in others])
    if len(comparison.arms) == 1:
        return [f"It ends at {_level(comparison.arms[0], comparison)}."]
    if _all_are(comparison.finals, Decision.SAME):
        return []
    if _all_are(comparison.finals, Decision.UNTESTED):
        return _means(comparison)
    if not comparison.alike:
        return ["No arm ends best, since over shared seeds each is behind another.", *besides]
    best = _arm_named(comparison, comparison.alike[0])
    claimed = [one for one in comparison.finals if one.claimed and one.first == best.name]
    if not claimed:
        said = f"No arm can be said to end better than all others in {metric_of(comparison)}."
        return [said, *_means(comparison), *besides]
    ahead = _some([f"{_difference(one, comparison)} {side} {one.second}" for one in claimed])
    ends = "ends best, at" if len(comparison.alike) == 1 else "ends at"
    budgets = _budgets(comparison, claimed)
    return [
        f"{best.name} {ends} {_level(best, comparison)}, {ahead}{budgets} {evidence(claimed)}.",
        *_by_all_runs(comparison, best),
        *besides,
    ]


def _to_target(arm: Arm, comparison: Comparison) -> str:
    """Return ``in 1,240 steps [1,180 to 1,310]``, in how many of its runs an arm got there, or ``never``."""
    found = arm.steps_to_target
    if not isfinite(found.value):
        return f"in {spelled(arm.reached)} of {counted(len(arm.trials), 'run')}" if arm.reached else "never"
    noun = comparison.axis if significant(found.value) == "1" else f"{comparison.axis}s"
    runs = f" ({counted(len(arm.trials), 'run')}, no arm to compare with)" if len(comparison.arms) == 1 else ""
    return f"in {significant(found.value)} {noun}{within(found, significant)}{runs}"


def _medians(comparison: Comparison, goal: str) -> list[str]:
    """List how long each arm took, in the order of their names, without ranking them."""
    arms = sorted(comparison.arms, key=lambda arm: arm.name)
    if len(arms) > _MOST_LISTED:
        return []
    first, *others = arms
    reaches = f"{first.name} reaches {goal} {_to_target(first, comparison)}"
    return [f"In the median {listed([reaches, *(f'{arm.name} {_to_target(arm, comparison)}' for arm in others)])}."]


def _means(comparison: Comparison) -> list[str]:
    """List where each arm ends, in the order of their names, without ranking them."""
    arms = sorted(comparison.arms, key=lambda arm: arm.name)
    if len(arms) > _MOST_LISTED:
        return []
    first, *others = arms
    ends = f"{first.name} ends at {_level(first, comparison)}"
    return [
        f"In the mean {listed([ends, *(f'{arm.name} at {_level(arm, comparison, short=True)}' for arm in others)])}."
    ]


def _level(arm: Arm, comparison: Comparison, *, short: bool = False) -> str:
    interval = within(arm.final, lambda x: bare(x, comparison.metric))
    if isnan(arm.final.value):
        return "unknown"
    return quantity(arm.final.value, comparison, interval, short=short)


def _arm_named(comparison: Comparison, name: str) -> Arm:
    return next(arm for arm in comparison.arms if arm.name == name)


def _besides(claims: Sequence[str]) -> list[str]:
    return [f"Over shared seeds {_some(claims)} (each p < 0.05)."] if claims else []


def _by_all_runs(comparison: Comparison, best: Arm) -> list[str]:
    """Say it where the arm with the best mean is not the one that is named."""
    top = comparison.arms[0]
    if top.name == best.name or not any(one.claimed and one.second == top.name for one in comparison.finals):
        return []
    level = quantity(top.final.value, comparison)
    return [f"The mean over all runs of {top.name} is better, {level}, but over shared seeds it is behind."]


def _faster(contrast: Contrast) -> str:
    """Return ``1.4× [1.2 to 1.6] faster than sgd``."""
    ahead, missed = contrast.difference, contrast.missed[1]
    if not missed:
        return f"{ratio(ahead.value)}×{within(ahead, ratio)} faster than {contrast.second}"
    got = ahead.n - missed
    there = f"which gets there in {spelled(got) if got else 'none'} of {counted(ahead.n, 'run')}"
    if not contrast.at_least:
        return f"faster than {contrast.second}, {there}"
    from_ = "" if isnan(ahead.low) else f" [{ratio(ahead.low)} or more]"
    return f"at least {ratio(ahead.value)}×{from_} faster than {contrast.second}, {there}"


def _difference(contrast: Contrast, comparison: Comparison) -> str:
    found, metric = contrast.difference, comparison.metric
    return f"{points(found.value, metric)}{size_interval(found, metric)}"


def _budgets(comparison: Comparison, claimed: Sequence[Contrast]) -> str:
    """Name the budgets of the arms in a sentence where they are unequal."""
    names = list(dict.fromkeys(name for one in claimed[:_MOST_NAMED] for name in (one.first, one.second)))
    ends = {name: _budget(_arm_named(comparison, name)) for name in names}
    known = [end for end in ends.values() if isfinite(end)]
    if not known or max(known) <= 1.01 * min(known):
        return ""
    told = listed([f"{name} {significant(end)}" for name, end in ends.items() if isfinite(end)])
    return f", though {told} {comparison.axis}s were run"


def _budget(arm: Arm) -> float:
    ends = [trial.end for trial in arm.trials if isfinite(trial.end)]
    return sorted(ends)[len(ends) // 2] if ends else float("nan")


def _told_apart(comparison: Comparison) -> list[str]:
    """Say who cannot be told apart from the named arm, and how many seeds it would take."""
    groups = [
        (comparison.alike_speed, comparison.speeds, "speed"),
        (comparison.alike, comparison.finals, f"final {metric_of(comparison)}"),
    ]
    sentences = []
    for names, contrasts, what in groups:
        pairs = [one for one in contrasts if names and names[0] in {one.first, one.second}]
        same = [_other(one, names[0]) for one in pairs if one.decision is Decision.SAME]
        open_ = [one for one in pairs if one.decision is Decision.OPEN]
        never = [_other(one, names[0]) for one in pairs if one.remark in {NEITHER, BEYOND}]
        if never:
            sentences.append(
                f"{named(sorted([names[0], *never]))} cannot be compared in speed. In each pair the shorter run ended "
                "before either got there."
            )
        if same:
            sentences.append(
                f"{named(sorted([names[0], *same]))} do not differ in {what}, which is the same at every seed."
            )
        if open_:
            others = named(sorted([names[0], *(_other(one, names[0]) for one in open_)]))
            budgets = _budgets(comparison, open_)
            sentences.append(f"{others} cannot be told apart in {what}{budgets}.{_seeds_needed(open_)}")
    return sentences


def _equivalent(comparison: Comparison) -> list[str]:
    best = comparison.alike[0] if comparison.alike else ""
    found = [
        one for one in comparison.finals if one.decision is Decision.EQUIVALENT and best in {one.first, one.second}
    ]
    if not found:
        return []
    metric = comparison.metric
    margin = f"within the margin of {points(comparison.margin, metric)}"
    if len(found) == 1:
        one = found[0]
        size = f"They differ by {points(one.difference.value, metric)}{signed_interval(one.difference, metric)}"
        return [f"{one.first} and {one.second} are equivalent in final {metric_of(comparison)}. {size}, {margin}."]
    others = [
        f"{_other(one, best)}, {points(one.difference.value, metric)}{signed_interval(one.difference, metric)}"
        for one in found
    ]
    return [f"Equivalent to {best} in final {metric_of(comparison)}, {margin}, are {_some(others, '; ')}."]


def _ends(comparison: Comparison) -> list[str]:
    sentences = []
    for arm in comparison.arms:
        for verdict in ("diverged", "collapsed"):
            count, runs = arm.verdicts.get(verdict, 0), len(arm.trials)
            if count:
                who = f"The only run of {arm.name}" if runs == 1 else f"{count} of {runs} runs of {arm.name}"
                sentences.append(f"{who} {verdict}.")
    left = len(sentences) - _MOST_ENDS
    return [*sentences[:_MOST_ENDS], *([f"So did runs of {counted(left, 'more arm')}."] if left > 0 else [])]


def _unclaimable(comparison: Comparison) -> list[str]:
    """Say why nothing can be claimed, if nothing can."""
    made = [*comparison.finals, *comparison.speeds]
    if len(comparison.arms) == 1 or any(one.test or one.decision is Decision.SAME for one in made):
        return []
    shared = max((one.difference.n for one in made), default=0)
    needed = f"At least {spelled(LEAST_PAIRS)} that arms share are needed, better {spelled(_USUAL_SEEDS)}."
    if not shared:
        return [f"No claim can be made, since the arms share no seed. {needed}"]
    if shared < LEAST_PAIRS:
        return [f"No claim can be made with {counted(shared, 'seed')}. {needed}"]
    least = max((one.seeds_needed or 0 for one in made), default=0)
    many = f"{comparison.comparisons:,} comparisons with {counted(shared, 'seed')}"
    return [
        f"No claim can be made. Among {many} some pairs stand out because their seeds agree by chance.",
        f"At least {spelled(least)} seeds are needed, or fewer arms.",
    ]


def _all_are(contrasts: Sequence[Contrast], decision: Decision) -> bool:
    return all(one.decision is decision for one in contrasts)


def _some(items: Sequence[str], between: str = ", ") -> str:
    """Return the first three, which are the nearest, and how many more."""
    left = len(items) - _MOST_NAMED
    return listed([*items[:_MOST_NAMED], *([f"{spelled(left)} more"] if left > 0 else [])], between)


def _other(contrast: Contrast, name: str) -> str:
    return contrast.second if contrast.first == name else contrast.first


def _seeds_needed(pairs: Sequence[Contrast]) -> str:
    known = sorted(one.seeds_needed for one in pairs if one.seeds_needed is not None)
    if not known or len(known) < len(pairs):
        return ""
    what = "A difference as small as this" if len(known) == 1 else "Differences as small as these"
    if known[0] > _MANY_SEEDS:
        return f" {what} would need more than {_MANY_SEEDS} seeds."
    many = spelled(known[0]) if known[0] == known[-1] else f"{known[0]} to {min(known[-1], _MANY_SEEDS)}"
    more = " or more" if known[-1] > _MANY_SEEDS else ""
    return f" {what} would need about {many}{more} seeds."
