"""How often pages of equal arms claim a difference, and how often real differences are found, by four procedures.

Run: ``python -m benchmarks.claims``; no training, some minutes. Each page is made of made-up curves (evaluations and
probe losses) and goes through the measures of ``compare``. Then its three questions are decided by

- *Holm a question*: paired t tests, Holm over the pairs of each question by itself (as until this was measured);
- *Bonferroni*: over all pairs of all questions;
- *permutations*: single-step max-|t| over permutations of the arms within seeds (Westfall and Young 1993);
- *one level*: single-step max-|t| over normal draws, what ``compare`` does.
  See ``lit_lossopt.comparison.statistics.family``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.harness import machine, write_json
from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.axes import common_axis
from lit_lossopt.comparison.measures.trial import Yardstick, measure
from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.comparison.statistics.judge import LEVEL
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.records import History, Run

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]

ACCURACY = names.metric(names.VAL, "accuracy")
STEPS = np.arange(0, 1001, 50)
PROBED = np.arange(0, 1001)
TARGET = 0.6
PAGES = 2000
PERMUTATIONS = 400


def _normal(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
    found: Floats = random.normal(size=size)
    return found


def _skewed(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
    found: Floats = (random.lognormal(size=size) - np.exp(0.5)) / 2.16
    return found


def _heavy(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
    found: Floats = random.standard_t(2.5, size=size) / 2.24
    return found


NOISE: dict[str, Noise] = {"normal": _normal, "skewed": _skewed, "heavy-tailed": _heavy}


@dataclass(frozen=True)
class Kind:
    """What kind of pages.

    Attributes:
        noise: of runs and evaluations, by name.
        correlation: of an evaluation's noise with that of the one before it.
        probed: whether runs have probe losses; else oscillation is judged by evaluations.
        factor: by how much slower the arms are than the first; ``points``: by how much worse they end, in shares.
        far: whether only one arm is apart, so far that nobody can miss it, and all others are equal.
    """

    noise: str = "normal"
    correlation: float = 0.0
    probed: bool = True
    factor: float = 1.0
    points: float = 0.0
    far: bool = False


def page(random: np.random.Generator, kind: Kind, arms: int, seeds: int) -> list[ArmRuns]:
    """Return the arms of a page; what seeds share (data, start) is the same for all arms."""
    noise = NOISE[kind.noise]
    pace, top, swing = (noise(random, (arms, seeds)) for _ in range(3))
    shared = noise(random, (3, seeds))
    behind = np.arange(arms) > 0
    apart = np.arange(arms) == 0
    log_pace = 0.1 * (shared[0] + 0.6 * pace) + np.where(behind, np.log(kind.factor), 0)[:, None]
    level = 0.7 + 0.003 * (shared[1] + 0.8 * top) - np.where(behind, kind.points, 0)[:, None]
    log_swing = 0.3 * (shared[2] + swing)
    if kind.far:
        log_pace[apart] -= 2
        level[apart] += 0.2
        log_swing[apart] += 3
    made = [[_run(random, kind, *numbers) for numbers in zip(*rows, strict=True)] for rows in
            zip(np.exp(log_pace), level, np.exp(log_swing), strict=True)]  # fmt: skip
    return [
        ArmRuns(f"arm {arm}", f"arm {arm}", {}, nan, tuple(_named(run, arm, seed) for seed, run in enumerate(runs)))
        for arm, runs in enumerate(made)
    ]


def _run(random: np.random.Generator, kind: Kind, pace: float, top: float, swing: float) -> dict[str, History]:
    scatter = 0.004 * NOISE[kind.noise](random, (len(STEPS),))
    for place in range(1, len(scatter)):
        scatter[place] += kind.correlation * scatter[place - 1]
    curve = top - (top - 0.1) * np.exp(-STEPS / (150 * pace)) + scatter * np.sqrt(1 - kind.correlation**2)
    found = {ACCURACY: History(STEPS.astype(np.int64), curve)}
    if kind.probed:
        falls = 2 * np.exp(-PROBED / (200 * pace))
        probe = 0.3 + falls + 0.004 * swing * NOISE[kind.noise](random, (len(PROBED),))
        found[names.PROBE_LOSS] = History(PROBED.astype(np.int64), probe)
    return found


def _named(histories: dict[str, History], arm: int, seed: int) -> Run:
    name = f"{arm}/{seed}"
    return Run(name, name, "FINISHED", {}, {names.TAG_SEED: str(seed)}, {}, histories=histories)


def values_of(arms: list[ArmRuns]) -> Floats:
    """Return final, log steps to target, and log climb-back or roughness ``[3, arms, seeds]``."""
    yardstick = Yardstick(ACCURACY, higher_is_better=True, target=TARGET)
    axes = common_axis(arms, ACCURACY)
    trials = [[measure(run, arm, yardstick, nan, axes.place(run, ACCURACY)) for run in arm.runs] for arm in arms]
    final = [[trial.final for trial in row] for row in trials]
    speed = [[np.log(max(min(trial.steps_to_target, 1000.0), 1.0)) for trial in row] for row in trials]
    probed = np.isfinite(trials[0][0].climb_back)
    restless = [[np.log(max(trial.climb_back, 0.01)) if probed else trial.roughness for trial in row] for row in trials]
    return np.array([final, speed, restless])


def t_statistics(values: Floats) -> Floats:
    """Return |t| of all pairs ``[..., pairs]`` of values ``[..., arms, seeds]``; zero where nothing differs."""
    first, second = np.triu_indices(values.shape[-2], 1)
    differences = values[..., first, :] - values[..., second, :]
    error = differences.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
    t: Floats = np.abs(differences.mean(axis=-1)) / np.maximum(error, 1e-12)
    return t


def holm_a_question(values: Floats) -> Booleans:
    """Return which pairs are claimed ``[questions, pairs]``."""
    p = 2 * special.stdtr(values.shape[-1] - 1, -t_statistics(values))
    claimed = np.zeros(p.shape, dtype=bool)
    for row, place in zip(p, claimed, strict=True):
        order = np.argsort(row)
        met = np.logical_and.accumulate(row[order] < LEVEL / np.arange(len(row), 0, -1))
        place[order] = met
    return claimed


def bonferroni(values: Floats) -> Booleans:
    """Return which pairs are claimed ``[questions, pairs]``."""
    t = t_statistics(values)
    claimed: Booleans = 2 * special.stdtr(values.shape[-1] - 1, -t) < LEVEL / t.size
    return claimed


def permutations(values: Floats) -> Booleans:
    """Return which pairs are claimed ``[questions, pairs]``."""
    questions, arms, seeds = values.shape
    random = np.random.default_rng(0)
    order = np.argsort(random.random((PERMUTATIONS, 1, arms, seeds)), axis=2)
    shuffled = np.take_along_axis(values[None], np.broadcast_to(order, (PERMUTATIONS, questions, arms, seeds)), axis=2)
    largest = np.sort(t_statistics(shuffled).reshape(PERMUTATIONS, -1).max(axis=1))
    critical = largest[int(np.ceil((1 - LEVEL) * (PERMUTATIONS + 1))) - 1]
    # A permutation that gives the same tables again gives the same statistics, up to rounding.
    claimed: Booleans = t_statistics(values) > critical * (1 + 1e-9)
    return claimed


def one_level(values: Floats) -> Booleans:
    """Return which pairs are claimed ``[questions, pairs]``."""
    questions, arms, seeds = values.shape
    claimed: Booleans = t_statistics(values) > family_of_equals(arms, seeds, questions).critical_value(seeds)
    return claimed


PROCEDURES = {
    "Holm a question": holm_a_question, "Bonferroni": bonferroni, "permutations": permutations, "one level": one_level,
}  # fmt: skip
EQUAL = {
    "normal": Kind(), "skewed": Kind("skewed"), "heavy-tailed": Kind("heavy-tailed"),
    "autocorrelated, ρ = .9": Kind(correlation=0.9), "no probe": Kind(probed=False),
}  # fmt: skip


def tables(kind: Kind, arms: int, seeds: int, pages: int) -> list[Floats]:
    """Return the values of so many pages, always the same ones."""
    random = np.random.default_rng([arms, seeds, len(kind.noise), int(10 * kind.correlation), kind.probed, kind.far])
    return [values_of(page(random, kind, arms, seeds)) for _ in range(pages)]


def false_claims(pages: int) -> list[dict[str, object]]:
    """Return for each kind of equal arms the share of pages that claim anything; far: among the arms that are equal."""
    rows: list[dict[str, object]] = []
    for arms, seeds in ((2, 5), (3, 6), (4, 8)):
        kinds = {**EQUAL, "one arm far apart": Kind(far=True)} if arms > 2 else EQUAL
        for name, kind in kinds.items():
            found = tables(kind, arms, seeds, pages)
            shares = {label: _share_of_pages(decide, found, arms, far=kind.far) for label, decide in PROCEDURES.items()}
            rows.append({"arms": arms, "seeds": seeds, "kind": name, "pages": pages, "claims": shares})
            print(rows[-1], flush=True)
    return rows


def _share_of_pages(decide: Callable[[Floats], Booleans], found: list[Floats], arms: int, *, far: bool) -> float:
    first, _ = np.triu_indices(arms, 1)
    counted = first > 0 if far else np.ones(len(first), dtype=bool)
    return float(np.mean([decide(values)[:, counted].any() for values in found]))


def power(pages: int) -> list[dict[str, object]]:
    """Return how often each true difference is claimed: the first of three or four arms ahead of all others."""
    rows: list[dict[str, object]] = []
    for question, (what, kind) in enumerate((("one point", Kind(points=0.01)), ("1.3×", Kind(factor=1.3)))):
        for arms in (3, 4):
            for seeds in (5, 8, 10):
                found = tables(kind, arms, seeds, pages)
                ahead = {
                    label: float(np.mean([decide(values)[question, : arms - 1] for values in found]))
                    for label, decide in PROCEDURES.items()
                }
                rows.append({"difference": what, "arms": arms, "seeds": seeds, "pages": pages, "found": ahead})
                print(rows[-1], flush=True)
    return rows


def equivalence(pages: int) -> list[dict[str, object]]:
    """Return how often arms are called equivalent within a point whose final values differ by that much, or by none."""
    rows: list[dict[str, object]] = []
    for points in (0.0, 0.01):
        for arms, seeds in ((3, 6), (4, 8)):
            found = tables(replace(Kind(), points=points), arms, seeds, pages)
            shares = [_equivalent(values[0], arms, seeds)[: arms - 1] for values in found]
            of_pages = float(np.mean([share.any() for share in shares]))
            rows.append({"points": 100 * points, "arms": arms, "seeds": seeds, "pages": pages, "of_pages": of_pages,
                         "of_pairs": float(np.mean(shares))})  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def _equivalent(finals: Floats, arms: int, seeds: int) -> Booleans:
    first, second = np.triu_indices(arms, 1)
    differences = finals[first] - finals[second]
    half = family_of_equals(arms, seeds, 3).critical_value(seeds) * differences.std(axis=1, ddof=1) / np.sqrt(seeds)
    equivalent: Booleans = np.abs(differences.mean(axis=1)) + half < 0.01
    return equivalent


def main() -> None:
    """Measure, and write the JSON."""
    content = {
        "false_claims": false_claims(PAGES),
        "power": power(PAGES // 4),
        "equivalence": equivalence(PAGES),
        "permutations": PERMUTATIONS,
        "command": "python -m benchmarks.claims",
        "machine": machine(),
    }
    print(write_json("claims", content))


if __name__ == "__main__":
    main()
