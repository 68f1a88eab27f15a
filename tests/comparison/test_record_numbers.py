"""The numbers in the JSON are those that scipy gives for the raw arrays, by what docs/measures.md says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import inf
from statistics import median
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.support.deep_obs import EPOCHS, LOSS, METRIC, SEEDS, STEPS, Floats, Output, log_output, outputs
from tests.support.recorded import compared_as_json, misfits, number

MARGIN = 0.01
CASES: Mapping[str, tuple[str, bool, int]] = {
    "three optimizers": (METRIC, True, 3),
    "two optimizers": (METRIC, True, 2),
    "where lower is better": (LOSS, False, 3),
}
Values = Mapping[str, Floats]


def equal(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=0)


class ByHand:
    """The measures of a benchmark, computed from what DeepOBS wrote and nothing else.

    Args:
        runs: what DeepOBS wrote.
        metric: the compared one.
        higher_is_better: of the metric.
    """

    def __init__(self, runs: Sequence[Output], metric: str, *, higher_is_better: bool) -> None:
        self.optimizers = list(dict.fromkeys(run.optimizer for run in runs))
        self.curves = {
            name: [run.values[metric].tolist() for run in runs if run.optimizer == name] for name in self.optimizers
        }
        self.sign = 1 if higher_is_better else -1
        # The last tenth of 25 evaluations are two.
        self.finals = {
            name: np.array([(curve[-2] + curve[-1]) / 2 for curve in curves]) for name, curves in self.curves.items()
        }
        best = max((median(finals) for finals in self.finals.values()), key=lambda value: self.sign * value)
        first = median(curve[0] for curves in self.curves.values() for curve in curves)
        self.target = 0.95 * best if higher_is_better else first - 0.95 * (first - best)
        self.steps = {
            name: np.array([self.to_target(curve) for curve in curves]) for name, curves in self.curves.items()
        }

    def to_target(self, curve: Sequence[float]) -> float:
        """Return at which epoch a curve, smoothed, reaches the target and is there at the next evaluation, too."""
        smooth = [curve[0], *(median(curve[k - 1 : k + 2]) for k in range(1, EPOCHS)), curve[-1]]
        met = [self.sign * value >= self.sign * self.target for value in smooth]
        for k in range(EPOCHS + 1):
            if met[k] and (k == EPOCHS or met[k + 1]):
                return 0.0 if k == 0 else k - 1 + (self.target - smooth[k - 1]) / (smooth[k] - smooth[k - 1])
        return inf

    def leads(self, quantity: str, first: str, second: str) -> Floats:
        """Return by how much the first is better, seed by seed ``[n]``."""
        if quantity == "final":
            better: Floats = self.sign * (self.finals[first] - self.finals[second])
            return better
        # Who never got there counts as if at the end, and who was there before training, after a fiftieth of an epoch.
        places = {name: np.log(np.clip(self.steps[name], 1 / 50, EPOCHS)) for name in (first, second)}
        found: Floats = places[second] - places[first]
        return found


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> tuple[ByHand, dict[str, Any], list[Output]]:
    """Return what is computed by hand, what the program writes, and the raw arrays."""
    request.getfixturevalue("store")
    metric, higher, count = CASES[request.param]
    runs = outputs()[: count * len(SEEDS)]
    for run in runs:
        log_output(run)
    direction = "--higher-is-better" if higher else "--lower-is-better"
    found = compared_as_json("--metric", metric, direction, "--margin", str(MARGIN))
    assert not misfits(found)
    return ByHand(runs, metric, higher_is_better=higher), found, runs


def name_of(arm: str) -> str:
    """Return the optimizer in the name of an arm."""
    return arm.partition(" ")[0]


@pytest.mark.parametrize("benchmark", CASES, indirect=True)
def test_numbers_are_those_of_scipy(benchmark: tuple[ByHand, dict[str, Any], list[Output]]) -> None:
    hand, found, runs = benchmark
    check_question(hand, found)
    for arm in found["arms"]:
        check_arm(hand, arm)
    check_runs(hand, found, runs)
    for contrast in found["contrasts"]:
        check_contrast(hand, contrast, found)
    check_adjusted(found["contrasts"], len(hand.optimizers))


def check_question(hand: ByHand, found: dict[str, Any]) -> None:
    question, count = found["question"], len(hand.optimizers)
    assert (question["axis"], question["no_speed"], question["margin"]) == ("epoch", "", MARGIN)
    assert question["target"] == equal(hand.target)
    pairs = {tuple(sorted((name_of(one["first"]), name_of(one["second"])))) for one in found["contrasts"]}
    assert pairs == set(combinations(sorted(hand.optimizers), 2))
    assert question["comparisons"] == len(found["contrasts"]) == 3 * count * (count - 1) / 2
    means = {name: hand.sign * float(np.mean(finals)) for name, finals in hand.finals.items()}
    assert [name_of(arm["name"]) for arm in found["arms"]] == sorted(means, key=lambda name: -means[name])


def check_arm(hand: ByHand, arm: dict[str, Any]) -> None:
    finals, steps = hand.finals[name_of(arm["name"])], hand.steps[name_of(arm["name"])]
    low, high = stats.t.interval(0.95, len(finals) - 1, loc=np.mean(finals), scale=stats.sem(finals))
    assert arm["final"] == {"value": equal(np.mean(finals)), "low": equal(low), "high": equal(high), "n": len(SEEDS)}
    assert arm["reached"] == np.isfinite(steps).sum()
    # Of six values the interval of the median is from the smallest to the largest.
    ends = {"value": np.median(steps), "low": min(steps), "high": max(steps)}
    assert {key: number(arm["steps_to_target"][key]) for key in ends} == {k: equal(end) for k, end in ends.items()}


def check_runs(hand: ByHand, found: dict[str, Any], runs: Sequence[Output]) -> None:
    stored = {(name_of(one["arm"]), int(one["seed"])): one for one in found["runs"]}
    assert len(stored) == len(runs) == len(found["runs"])
    metric = found["question"]["metric"]
    for run in runs:
        one, place = stored[run.optimizer, run.seed], SEEDS.index(run.seed)
        values, losses = run.values[metric], run.values["minibatch_train_losses"]
        assert one["evaluations"]["values"] == values.tolist()
        assert one["evaluations"]["places"] == list(range(EPOCHS + 1))
        assert one["final"] == equal(hand.finals[run.optimizer][place])
        assert number(one["steps_to_target"]) == equal(hand.steps[run.optimizer][place])
        assert one["best"] == max(values, key=lambda value: hand.sign * value)
        assert one["best_step"] == values.tolist().index(one["best"])
        assert one["area"] == equal(float((values[1:] + values[:-1]).sum() / 2 / EPOCHS))
        parts = np.arange(EPOCHS * STEPS, dtype="<i8").tobytes() + losses.astype("<f8").tobytes()
        digest = {"points": EPOCHS * STEPS, "last": losses[-1], "sha256": hashlib.sha256(parts).hexdigest()}
        assert one["histories"]["minibatch_train_losses"] == digest


def check_contrast(hand: ByHand, one: dict[str, Any], found: dict[str, Any]) -> None:
    first, second, level = name_of(one["first"]), name_of(one["second"]), found["question"]["level"]
    if one["quantity"] == "roughness":
        rough = {name: [run["roughness"] for run in found["runs"] if run["arm"] == name] for name in _both(one)}
        leads = np.array(rough[one["second"]]) - np.array(rough[one["first"]])
    else:
        leads = hand.leads(one["quantity"], first, second)
    assert one["leads"] == [pytest.approx(lead, rel=1e-12, abs=1e-15) for lead in leads]
    assert (one["test"], one["wins"]) == ("paired t", np.mean(leads > 0))
    assert one["p"] == equal(stats.ttest_rel(leads, np.zeros(len(leads))).pvalue)
    if one["quantity"] == "final":
        assert one["p"] == equal(stats.ttest_rel(hand.finals[first], hand.finals[second]).pvalue)
    middle, half = np.mean(leads), stats.t.ppf(1 - level / 2, len(leads) - 1) * stats.sem(leads)
    ends = (middle, middle - half, middle + half)
    if one["quantity"] == "steps_to_target":
        shown = tuple(np.exp(ends))
    elif one["quantity"] == "roughness" or hand.sign < 0:
        shown = (-middle, -ends[2], -ends[1])
    else:
        shown = ends
    assert one["difference"] == dict(zip(("value", "low", "high"), map(equal, shown), strict=True)) | {"n": len(SEEDS)}
    check_decision(one, ends, level)


def _both(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["first"], one["second"]


def check_decision(one: dict[str, Any], ends: tuple[float, float, float], level: float) -> None:
    assert ends[0] >= 0
    assert one["claimed"] is bool(ends[1] > 0) is bool(one["p"] < level) is bool(one["p_adjusted"] < 0.05)
    within = one["quantity"] == "final" and max(abs(ends[1]), abs(ends[2])) < MARGIN
    assert one["equivalent"] is bool(within)
    assert one["decision"] == ("claimed" if one["claimed"] else "equivalent" if within else "cannot be told apart")


def check_adjusted(contrasts: Sequence[dict[str, Any]], arms: int) -> None:
    """Hold adjusted p values against pages of equal arms: how often any pair, in any question, shows as small a p."""
    noise = np.random.default_rng(7).standard_normal((60_000, arms, len(SEEDS)))
    both = list(combinations(range(arms), 2))
    pairs = [stats.ttest_rel(noise[:, one], noise[:, other], axis=1).pvalue for one, other in both]
    smallest = np.min(pairs, axis=0)
    for one in contrasts:
        chance = np.mean(smallest <= one["p"])
        # Each of the two simulations is off by chance.
        error = 5 * 3 * np.sqrt(max(chance, 1e-5) / 60_000) * np.sqrt(1 + 60_000 / 100_000)
        assert one["p_adjusted"] == pytest.approx(1 - (1 - chance) ** 3, abs=error)
        # Bonferroni's bound, a question.
        assert one["p"] < one["p_adjusted"] <= (1 - (1 - min(1, len(pairs) * one["p"])) ** 3) * (1 + 1e-9)
