"""How often races of equal arms claim a difference, how often they find real ones, and how many trainings they take.

Run: ``python -m benchmarks.race``; no training, about half an hour. Values by seed are made up, and decided by the code
that decides a sweep's race. Five procedures are compared.

- *race*: what ``protocol: race`` does. Each of the first eight looks spends an equal part of the error.
- *late spending*: the same, but the part of a look grows with the cube of its place.
- *e-values*: the e-value t test, valid at any time, at the same looks. Effects are expected to have a deviation of 1,
  2, 3 or 5.
- *fixed eight*: eight seeds for each arm, judged as ``compare`` judges them.
- *naive*: ``compare`` after each further seed, from three to 32, until it claims something.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log, nan

import numpy as np
from numpy.typing import NDArray

from benchmarks.claims import NOISE, t_statistics
from benchmarks.harness import machine, write_json
from lit_lossopt.comparison.race import Race
from lit_lossopt.comparison.race_rules import FINAL, SPEED, USUAL_SEEDS, Rules
from lit_lossopt.comparison.statistics.any_time import AnyTime
from lit_lossopt.comparison.statistics.contrasts import CLIMB_BACK, Quantity, Question, Sample, contrast
from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.comparison.statistics.judge import LARGEST_CRITICAL_VALUE, LEVEL, Judge, critical_value
from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.comparison.statistics.looks import DECIDING, smallest_p
from lit_lossopt.comparison.statistics.race import JudgeOf, deciding, judge_of_others, race

Floats = NDArray[np.float64]

PAGES = 2000
SEEDS = FIRST_LOOKS[-1]
# Deviations of paired differences, as on CIFAR-10: half a point of accuracy, and half of a factor of 1.3 in steps.
DEVIATION = {FINAL: 0.005, SPEED: log(1.3) / 2}
MARGIN = {FINAL: 0.01, SPEED: 1.1}


AHEAD = {
    "0.5 points": (FINAL, 0.005),
    "1 point": (FINAL, 0.01),
    "2 points": (FINAL, 0.02),
    "1.1×": (SPEED, log(1.1)),
    "1.3×": (SPEED, log(1.3)),
    "2×": (SPEED, log(2)),
}


@dataclass(frozen=True)
class Kind:
    """What kind of races.

    Attributes:
        noise: of values, by its name in ``benchmarks.claims``.
        question: what decides.
        ahead: by how much the first arm is ahead of all others, in shares or logarithms of steps.
        margin: of equivalence. 0: nothing is ever equivalent.
    """

    noise: str = "normal"
    question: str = FINAL
    ahead: float = 0.0
    margin: float = MARGIN[FINAL]


def values_of(random: np.random.Generator, kind: Kind, arms: int) -> Floats:
    """Return the three questions' values ``[3, arms, seeds]``, the deciding one first, more is better."""
    noise = NOISE[kind.noise](random, (3, arms, SEEDS)) / np.sqrt(2) + NOISE[kind.noise](random, (3, 1, SEEDS))
    values: Floats = noise * DEVIATION[kind.question]
    values[0, 0] += kind.ahead
    return values


def question_of(name: str, values: Floats, counts: Mapping[str, int]) -> Question:
    """Return a question over the first seeds of each arm."""
    samples = (
        Sample(arm, {str(seed): float(values[int(arm), seed]) for seed in range(count)})
        for arm, count in counts.items()
        if count
    )
    return Question(Quantity(name, higher_is_better=True), tuple(samples))


def raced(values: Floats, kind: Kind, judge_of: JudgeOf) -> Race:
    """Return the race over the deciding question ``values [arms, seeds]``."""
    arms = len(values)
    seeds = tuple(map(str, range(SEEDS)))
    rules = Rules(kind.question, kind.margin, seeds, arms)
    present = {str(arm): seeds for arm in range(arms)}
    return race(present, rules, lambda counts: (question_of(FINAL, values, counts), ()), judge_of)


def other_claims(found: Race, values: Floats) -> int:
    """Return how many differences the page claims in the other two questions ``[2, arms, seeds]``."""
    claims = 0
    for table in values:
        pairs = question_of(CLIMB_BACK.name, table, found.seeds_of).pairs()
        judged = (contrast(a, b, Quantity("other"), judge_of_others(found, a.name, b.name)) for a, b in pairs)
        claims += sum(one.claimed for one in judged)
    return claims


class _Late(Judge):
    """The boundary of a look where the part that may be spent grows with the cube of its place."""

    def __init__(self, arms: int, place: int) -> None:
        self.level = _late_levels(arms)[place]

    def level_of(self, pairs: int) -> float:  # a judge's
        """Return the level of this look."""
        return self.level

    def adjusted(self, p: float, pairs: int) -> float:  # a judge's; nobody reads it here
        """Return nothing: it is not asked for."""
        return nan


@lru_cache
def _late_levels(arms: int) -> tuple[float, ...]:
    draws = smallest_p(arms, len(FIRST_LOOKS) - 1)
    going = np.ones(draws.shape[1], dtype=bool)
    levels = []
    for place, (smallest, size) in enumerate(zip(draws, FIRST_LOOKS, strict=True), 1):
        due = DECIDING * (place / len(FIRST_LOOKS)) ** 3
        allowed = int(due * len(going)) - int(np.count_nonzero(~going))
        level = float(np.sort(smallest[going])[allowed]) if allowed > 0 else 0.0
        level = level if level > 0 and critical_value(level, size) <= LARGEST_CRITICAL_VALUE else 0.0
        levels.append(level)
        going &= ~(smallest < level)
    return tuple(levels)


def by_e_values(effect: float) -> JudgeOf:
    """Return judges by e-values that spend as much as a race does."""

    def judge(rules: Rules, size: int) -> Judge:  # noqa: ARG001  # the same at each look
        pairs = rules.arms * (rules.arms - 1) / 2
        # ``AnyTime`` spends the whole level of a page over its comparisons.
        return AnyTime(pairs * LEVEL / DECIDING, effect)  # type: ignore[arg-type]  # a weighted number of them

    return judge


PROCEDURES: dict[str, JudgeOf] = {
    "race": deciding,
    "late spending": lambda rules, size: _Late(rules.arms, FIRST_LOOKS.index(size)),
    **{f"e-values, {effect}": by_e_values(effect) for effect in (1, 2, 3, 5)},
}


@lru_cache
def fixed_critical(arms: int, seeds: int, questions: int) -> float:
    """Return the |t| that a page of so many planned seeds claims from."""
    return family_of_equals(arms, seeds, questions).critical_value(seeds)


def naive_claims(values: Floats, first: int = 0) -> bool:
    """Return whether anything is claimed among equal arms with any number of seeds from three on."""
    arms = values[first:]
    return any(
        bool((t_statistics(arms[:, :n]) > fixed_critical(len(values), n, 1)).any())
        for n in range(FIRST_LOOKS[0], SEEDS + 1)
    )


def false_claims(pages: int) -> list[dict[str, object]]:
    """Return for each kind of equal arms the share of races that claim anything among them."""
    rows: list[dict[str, object]] = []
    for arms, noise, margin, far in itertools.product((2, 4, 6), NOISE, (0.01, 0.0), (False, True)):
        if far and arms == 2:
            continue
        kind = Kind(noise, ahead=3 * DEVIATION[FINAL] if far else 0.0, margin=margin)
        rows.append(_false_claims(kind, arms, pages, first=int(far)))
        print(rows[-1], flush=True)
    return rows


def _false_claims(kind: Kind, arms: int, pages: int, first: int) -> dict[str, object]:
    """Return the shares of races with a false claim; with ``first`` = 1 the first arm is truly ahead."""
    random = np.random.default_rng([arms, len(kind.noise), int(1000 * kind.margin), first])
    race_claims = page_claims = e_claims = naive = 0
    trainings = []
    for _ in range(pages):
        values = values_of(random, kind, arms)
        found = raced(values[0], kind, deciding)
        own = _wrong(found, first)
        race_claims += own
        page_claims += own or other_claims(found, values[1:]) > 0
        e_claims += _wrong(raced(values[0], kind, by_e_values(3)), first)
        naive += naive_claims(values[0], first)
        trainings.append(found.trainings)
    shares = {"race": race_claims, "page": page_claims, "e-values": e_claims, "naive": naive}
    return {"arms": arms, "noise": kind.noise, "margin": kind.margin, "ahead": first == 1, "pages": pages,
            "claims": {name: count / pages for name, count in shares.items()},
            "trainings": float(np.mean(trainings))}  # fmt: skip


def _wrong(found: Race, first: int) -> bool:
    """Return whether a race claims a difference between equal arms, or one that is behind to be ahead."""
    claimed = [one for one in found.contrasts if one.claimed]
    return any(min(int(one.first), int(one.second)) >= first or int(one.first) >= first > 0 for one in claimed)


def power(pages: int) -> list[dict[str, object]]:
    """Return how often true differences are found, and with how many trainings."""
    rows: list[dict[str, object]] = []
    for (name, (question, size)), arms in itertools.product(AHEAD.items(), (2, 4, 6)):
        kind = Kind("normal", question, size, MARGIN[question])
        tables = [values_of(np.random.default_rng([arms, page, 7]), kind, arms)[0] for page in range(pages)]
        found = {label: _power(tables, kind, judge_of) for label, judge_of in PROCEDURES.items()}
        fixed = float(np.mean([_fixed(values) for values in tables]))
        rows.append({"difference": name, "arms": arms, "pages": pages, "races": found, "fixed": fixed,
                     "fixed_trainings": USUAL_SEEDS * arms})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _power(tables: list[Floats], kind: Kind, judge_of: JudgeOf) -> dict[str, float]:
    better, equivalent, wrong, trainings = [], [], [], []
    for values in tables:
        found = raced(values, kind, judge_of)
        first = [one for one in found.contrasts if "0" in (one.first, one.second)]
        better.append(np.mean([one.claimed and one.first == "0" for one in first]))
        equivalent.append(np.mean([one.equivalent for one in first]))
        wrong.append(any(one.claimed and one.second == "0" for one in first))
        trainings.append(found.trainings)
    return {"better": float(np.mean(better)), "equivalent": float(np.mean(equivalent)), "wrong": float(np.mean(wrong)),
            "trainings": float(np.mean(trainings))}  # fmt: skip


def _fixed(values: Floats) -> float:
    """Return the share of the others that the first arm is claimed to be ahead of with eight seeds."""
    arms = len(values)
    differences = values[0, :USUAL_SEEDS] - values[1:, :USUAL_SEEDS]
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / np.sqrt(USUAL_SEEDS))
    return float(np.mean(t > fixed_critical(arms, USUAL_SEEDS, 3)))


def main() -> None:
    """Measure, and write the JSON."""
    content = {
        "false_claims": false_claims(PAGES),
        "power": power(PAGES // 4),
        "looks": list(FIRST_LOOKS),
        "critical_values": {
            str(arms): [_critical(arms, place) for place in range(len(FIRST_LOOKS))] for arms in (2, 4, 6)
        },
        "command": "python -m benchmarks.race",
        "machine": machine(),
    }
    print(write_json("race", content))


def _critical(arms: int, place: int) -> float | None:
    rules = Rules(FINAL, MARGIN[FINAL], tuple(map(str, range(SEEDS))), arms)
    size = FIRST_LOOKS[place]
    found = deciding(rules, size).critical_value(size)
    return found if np.isfinite(found) else None


if __name__ == "__main__":
    main()
