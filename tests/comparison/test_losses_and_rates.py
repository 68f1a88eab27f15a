"""Which rate suits which loss, from whole runs to words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lit_lossopt.comparison.comparison import Comparison, Estimate, RateShift
from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.comparison.measures.losses_and_rates import rate_shifts
from lit_lossopt.comparison.report.verdict.rates import rates
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import ACCURACY, compared, history, rising, run

LOSSES = {"ce": "CrossEntropyLoss", "mse": "MSELoss", "focal": "FocalLoss"}
GRID = (0.001, 0.01, 0.1, 1.0, 10.0)
# log10 of the best rate of each loss.
BEST = {"ce": -1.7, "mse": -0.95, "focal": -1.7}


def top(loss: str, rate: float, seed: int, noise: float) -> float:
    random = np.random.default_rng([seed, *loss.encode()])
    return float(0.7 - 0.05 * (np.log10(rate) - BEST[loss] - noise * random.normal()) ** 2)


def texts(params: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}


def trained(loss: str, rate: float, seed: int, phase: str = "tuning", noise: float = 0.1, **params: Any) -> Run:
    """Return a run of a sweep, or one of no sweep if there is no phase."""
    optimizer = str(params.pop("optimizer", "SGD"))
    own = {"criterion": LOSSES[loss], "optimizer": optimizer, "optimizer.lr": rate, "seed": seed, **params}
    name = f"{loss} {optimizer}" if optimizer != "SGD" else loss
    made = run(
        rising(60, top(loss, rate, seed, noise)), seed=seed, params={key: str(value) for key, value in own.items()}
    )
    more = {names.TAG_SWEEP: "p", names.TAG_SWEEP_ARM: name, names.TAG_PHASE: phase, names.TAG_TRIAL_KEY: f"{own}"}
    return replace(made, run_id=f"{phase} {own}", tags={**made.tags, **(more if phase else {})})


def comparison(runs: Sequence[Run]) -> Comparison:
    grouping = group(runs)
    return compared(grouping.arms, tuning=grouping.tuning, by=grouping.by)


def swept(
    losses: Sequence[str], seeds: int = 4, grid: Sequence[float] = GRID, noise: float = 0.1, **more: Any
) -> list[Run]:
    """Return tuning trials at each rate, and repeats at one rate with fresh seeds."""
    points = [(loss, rate, seed) for loss in losses for rate in grid for seed in range(seeds)]
    fresh = [(loss, seed) for loss in losses for seed in range(seeds, seeds + 4)]
    return [
        *(trained(loss, rate, seed, noise=noise, **more) for loss, rate, seed in points),
        *(trained(loss, 0.1, seed, "repeat", **more) for loss, seed in fresh),
    ]


def gridded(losses: Sequence[str], seeds: int = 4, grid: Sequence[float] = GRID) -> list[Run]:
    return [trained(loss, rate, seed, "grid") for loss in losses for rate in grid for seed in range(seeds)]


def diverging(runs: Sequence[Run], above: float) -> list[Run]:
    gone = {names.TAG_VERDICT: "diverged"}
    return [
        replace(one, tags={**one.tags, **(gone if float(one.params["optimizer.lr"]) > above else {})}) for one in runs
    ]


def untuned(losses: Sequence[str] = ("ce", "mse"), **more: Any) -> list[Run]:
    """Return runs of no sweep, at one rate."""
    return [trained(loss, 0.1, seed, "", **more) for loss in losses for seed in range(3)]


def renamed(runs: Sequence[Run], known: Mapping[str, str]) -> list[Run]:
    """Return runs with other names of parameters, and no more than these."""
    return [
        replace(one, params={known[key]: value for key, value in one.params.items() if key in known}) for one in runs
    ]


def momentum_searched() -> list[Run]:
    tuning = [(loss, rate) for loss in ("ce", "mse") for rate in GRID]
    repeats = [(loss, seed) for loss in ("ce", "mse") for seed in (1, 2, 3)]
    return [
        *(trained(loss, rate, 0, "tuning", 0.1, **{"optimizer.momentum": rate / 20}) for loss, rate in tuning),
        *(trained(loss, 0.1, seed, "repeat", 0.1, **{"optimizer.momentum": 0.005}) for loss, seed in repeats),
    ]


def test_a_known_shift_is_measured_with_its_interval() -> None:
    (shift,) = comparison(swept(["ce", "mse"], seeds=8)).rate_shifts
    assert (shift.first, shift.second, shift.beside, shift.tuning) == ("mse", "ce", "", True)
    assert shift.factor.low < 10**0.75 < shift.factor.high
    assert shift.factor.low > 2
    assert shift.factor.high < 16
    assert shift.factor.n == 8
    assert shift.step == pytest.approx(10)
    assert shift.told


def test_a_shift_without_noise_is_exact() -> None:
    (shift,) = comparison(swept(["ce", "mse"], noise=0)).rate_shifts
    assert shift.factor.value == pytest.approx(10**0.75, rel=1e-3)


def test_the_order_of_runs_and_what_is_better_change_nothing() -> None:
    runs = swept(["ce", "mse", "focal"])
    one, other = comparison(runs), comparison(runs[::-1])
    assert set(map(repr, one.rate_shifts)) == set(map(repr, other.rate_shifts))


def test_a_diverged_rate_is_no_best_one_even_with_the_best_value() -> None:
    (shift,) = comparison(diverging(swept(["ce", "mse"], noise=0), 0.01)).rate_shifts
    # The best of mse is next to 0.01, and it is refined no further, since 0.1 looks better.
    assert (shift.first, shift.edges) == ("ce", ())
    assert shift.factor.value == pytest.approx(10**0.3, rel=1e-3)


# The runs, and the beginnings of sentences in their order.
CASES: dict[str, tuple[Callable[[], list[Run]], tuple[str, ...]]] = {
    "a shift": (lambda: swept(["ce", "mse"]), ("The best rate of mse is ",)),
    "no shift": (
        lambda: swept(["ce", "focal"]),
        ("Between focal and ce no shift of the best rate can be told. The factor is 0.49 to 2.3.",),
    ),
    "one seed": (
        lambda: swept(["ce", "mse"], seeds=1, grid=[0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1, 3.16]),
        ("The best rate of mse is ", "Rates were tried in steps of 3.16 times, with one seed. More tuning seeds (tun"),
    ),
    "one seed, and less than a step": (
        lambda: swept(["ce", "mse"], seeds=1),
        ("Less than one step of the rates lies between the best of mse and ce.", "Rates were tried in steps of 10 "),
    ),
    "one seed of a grid": (
        lambda: gridded(["ce", "mse"], seeds=1),
        ("Less than one step", "Rates were tried in steps of 10 times, with one seed. More seeds"),
    ),
    "the highest rate is the best": (
        lambda: swept(["ce", "mse"], grid=[0.001, 0.01, 0.1]),
        ("In some seed the highest rate that was tried is the best of mse (0.1). So its shift cannot be told.",),
    ),
    "the lowest rate is the best": (
        lambda: swept(["ce", "mse"], grid=[0.02, 0.2, 2]),
        ("In some seed the lowest rate that was tried is the best of ce (0.02). So its shift cannot be told.",),
    ),
    "cells of a grid": (lambda: gridded(["ce", "mse"]), ("The best rate of mse is ",)),
    "two optimizers": (
        lambda: [*swept(["ce", "mse"]), *swept(["ce", "mse"], optimizer="Adam")],
        ("The best rate of mse is ", "With Adam the best rate of mse is ", "Each of these intervals holds for itself"),
    ),
    "losses that differ in more": (
        lambda: [*swept(["ce"]), *swept(["mse"], optimizer="Adam")], ()
    ),
    "one loss": (lambda: swept(["ce"]), ()),
    "no seed that both were tuned with": (
        lambda: [one for one in swept(["ce", "mse"]) if one.tags[names.TAG_PHASE] == "repeat"
                 or (one.params["criterion"] == "MSELoss") == (one.params["seed"] in "01")], (),
    ),
    "more than the rate was searched": (momentum_searched, ()),
    "one rate that was not tuned": (
        lambda: untuned(list(LOSSES)),
        ("CrossEntropyLoss, FocalLoss and MSELoss were trained at one rate, 0.1, and no other was tried. Best rates",),
    ),
    "one rate of repeats without a search": (
        lambda: [trained(loss, 0.1, seed, "repeat") for loss in ("ce", "mse") for seed in range(3)],
        ("ce and mse were trained at one rate, 0.1, and no other was tried.",),
    ),
    "two rates that were not tuned": (
        lambda: [trained(loss, rate, seed, "") for loss, rate in (("ce", 0.1), ("mse", 1.0)) for seed in range(3)], (),
    ),
    "one of two was tuned": (lambda: [*gridded(["ce"], grid=[0.1]), *gridded(["mse"], grid=[0.1, 1.0])], ()),
    "both tuned, and the same rate chosen": (lambda: swept(["ce", "focal"]), ("Between focal and ce no shift",)),
    "one rate for other optimizers, too": (
        lambda: [*untuned(), *untuned(optimizer="Adam")],
        ("CrossEntropyLoss and MSELoss were trained with Adam at", "CrossEntropyLoss and MSELoss were trained with S"),
    ),
    "no rate is known": (lambda: renamed(untuned(), {"criterion": "criterion", "seed": "seed"}), ()),
    "other programs": (
        lambda: renamed(untuned(), {"criterion": "loss", "optimizer.lr": "lr", "seed": "seed"}),
        ("CrossEntropyLoss and MSELoss were trained at one rate, 0.1,",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_rates_and_losses(case: str) -> None:
    runs, wanted = CASES[case]
    said = rates(comparison(runs()))
    assert len(said) == len(wanted)
    for sentence, beginning in zip(said, wanted, strict=True):
        assert sentence.startswith(beginning)


@pytest.mark.parametrize(("value", "seen"), [(1.0, False), (3.1, False), (3.1622, True), (10.0, True)])
def test_a_shift_of_one_step_is_seen_whatever_its_rounding(value: float, seen: bool) -> None:
    assert RateShift("mse", "ce", "", Estimate(value, n=1), 3.1646).is_seen == seen


def test_only_an_interval_above_one_is_called_a_shift() -> None:
    """Losses with the same best rates differ in one of twenty comparisons."""
    told = 0
    for first in range(0, 300, 3):
        cells = [(loss, rate, seed) for loss in ("ce", "focal") for rate in GRID for seed in range(first, first + 3)]
        arms = group([trained(loss, rate, seed, "grid") for loss, rate, seed in cells]).arms
        (shift,) = rate_shifts(arms, ACCURACY, higher_is_better=True)
        told += shift.told
    assert 0 < told <= 12


def test_where_lower_is_better() -> None:
    nll = names.metric(names.VAL, "nll")
    runs = swept(["ce", "mse"], noise=0)
    turned = [replace(one, histories={nll: history(2 - one.histories[ACCURACY].values)}) for one in runs]
    (shift,) = rate_shifts(group(turned).tuning, nll, higher_is_better=False)
    assert shift.factor.value == pytest.approx(10**0.75, rel=1e-3)
