"""Which arms are special cases of others, and what a search lacked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.comparison.report.verdict.special_cases import special_cases
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import compared, rising, run

Params = Mapping[str, object]
ADAM: Params = {"optimizer": "Adam", "optimizer.lr": 0.001, "optimizer.betas": "[0.9, 0.999]", "optimizer.eps": 1e-8,
                "optimizer.weight_decay": 0.0, "optimizer.amsgrad": False,
                "optimizer.decoupled_weight_decay": False}  # fmt: skip
ADAMW: Params = {"optimizer": "AdamW", "optimizer.lr": 0.001, "optimizer.betas": "[0.9, 0.999]", "optimizer.eps": 1e-8,
                 "optimizer.weight_decay": 0.01, "optimizer.amsgrad": False}  # fmt: skip
NADAM: Params = {"optimizer": "NAdam", "optimizer.lr": 0.001, "optimizer.betas": "[0.9, 0.999]", "optimizer.eps": 1e-8,
                 "optimizer.weight_decay": 0.0, "optimizer.momentum_decay": 0.004}  # fmt: skip
RMSPROP: Params = {"optimizer": "RMSprop", "optimizer.lr": 0.001, "optimizer.alpha": 0.99, "optimizer.eps": 1e-8,
                   "optimizer.momentum": 0.0, "optimizer.centered": False, "optimizer.weight_decay": 0.0}  # fmt: skip
SGD: Params = {"optimizer": "SGD", "optimizer.lr": 0.1, "optimizer.momentum": 0.0, "optimizer.dampening": 0.0,
               "optimizer.nesterov": False, "optimizer.weight_decay": 0.0}  # fmt: skip
SGDW: Params = {"optimizer": "SGDW", "optimizer.lr": 0.1, "optimizer.momentum": 0.0, "optimizer.nesterov": False,
                "optimizer.weight_decay": 0.01}  # fmt: skip
MOMENTUM: Params = {**SGD, "optimizer.momentum": 0.9}
NESTEROV: Params = {**MOMENTUM, "optimizer.nesterov": True}
DECAY: Params = {**SGD, "optimizer.weight_decay": 0.0005}
FOCAL: Params = {**SGD, "criterion": "FocalLoss", "criterion.gamma": 2.0}
ENTROPY: Params = {
    **SGD,
    "criterion": "CrossEntropyLoss",
    "criterion.label_smoothing": 0.0,
    "criterion.ignore_index": -100,
}
SMOOTHED: Params = {**ENTROPY, "criterion.label_smoothing": 0.1}
COMMON: Params = {"network": "MiniCNN", "data.batch_size": 64, "threads": 1}
SEEDS = 6


def tried(base: Params, **values: Sequence[object]) -> list[Params]:
    """Return every combination of values of arguments of the optimizer or the loss, and of ``lr``."""
    points: list[Params] = [base]
    for name, options in values.items():
        key = f"criterion.{name}" if name in {"gamma", "label_smoothing"} else f"optimizer.{name}"
        points = [{**point, key: option} for point in points for option in options]
    return points


def at_random(
    base: Params, name: str, values: Sequence[float], rates: tuple[float, float] = (0.01, 1.0)
) -> list[Params]:
    """Return a random search over an argument and the learning rate."""
    low, high = np.log10(rates)
    logs = np.linspace(low, high, len(values))
    return [
        {**base, f"optimizer.{name}": value, "optimizer.lr": float(f"{10**log:.4g}")}
        for value, log in zip(values, np.roll(logs, 2), strict=True)
    ]


def with_decay(point: Params, decay: float = 0.1) -> Params:
    return {**point, "optimizer.weight_decay": decay}


def runs_of(name: str, point: Params, top: float, seed: int, phase: str) -> Run:
    noise = 0.003 * np.random.default_rng([seed, *name.encode()]).normal(size=21)
    params = {key: str(value) for key, value in {**COMMON, **point, "seed": seed}.items()}
    run_id = f"{name} {phase} {sorted(params.items())}"
    made = run(rising(100, top) + noise, seed=seed, params=params, run_id=run_id)
    tags = {
        **made.tags,
        names.TAG_SWEEP: "p",
        names.TAG_SWEEP_ARM: name,
        names.TAG_PHASE: phase,
        names.TAG_TRIAL_KEY: run_id,
    }
    return Run(made.run_id, name, made.status, made.params, tags, {}, histories=made.histories)


def swept(general: Sequence[Params], special: Params, behind: float = 0.1, seeds: int = SEEDS) -> Comparison:
    """Return the comparison of a sweep in which the general method ends behind its special case."""
    searched = {"general": list(general), "special": [special]}
    top = {"general": 0.7 - behind, "special": 0.7}
    runs = [runs_of(name, point, top[name], 0, "tuning") for name, points in searched.items() for point in points]
    runs += [
        runs_of(name, searched[name][0], top[name], seed, "repeat") for name in searched for seed in range(1, seeds + 1)
    ]
    grouping = group(runs)
    return compared(grouping.arms, tuning=grouping.tuning, by=grouping.by)


def words(general: Sequence[Params], special: Params) -> str:
    return " ".join(special_cases(swept(general, special)))


UNDER_TUNED = "although its search contained that case."
RATES = [0.1, 0.01, 1.0]
# What was tried of the general arm, the special one, and the words.
CASES: dict[str, tuple[Sequence[Params], Params, str]] = {
    "decay, and none among those tried": (tried(DECAY, weight_decay=[5e-4, 0, 1e-4]), SGD, UNDER_TUNED),
    "decay, and none of them none": (
        tried(DECAY, weight_decay=[5e-4, 1e-4]), SGD, "Its weight decay was tried from 0.0001 to 0.0005 alone."
    ),
    "decay, held": (tried(DECAY, lr=RATES), SGD, "Its weight decay was held at 0.0005."),
    "AdamW and Adam": (tried(ADAMW, weight_decay=[0.01, 0]), ADAM, UNDER_TUNED),
    "AdamW held, and Adam": ([ADAMW], ADAM, "Its weight decay was held at 0.01."),
    "AdamW and Adam with other betas": ([ADAMW], {**ADAM, "optimizer.betas": "[0.9, 0.99]"}, ""),
    "AdamW and an Adam that is AdamW": (
        tried(ADAMW, weight_decay=[0, 1]), {**ADAM, "optimizer.decoupled_weight_decay": True}, ""
    ),
    "SGDW and SGD": (tried(SGDW, weight_decay=[0.01, 0]), SGD, UNDER_TUNED),
    "momentum and none": (tried(MOMENTUM, momentum=[0.9, 0]), SGD, UNDER_TUNED),
    "momentum, held": ([MOMENTUM], SGD, "special, its special case of momentum 0. Its momentum was held at 0.9."),
    "Nesterov and none": ([NESTEROV], SGD, "Its momentum was held at 0.9."),
    "Nesterov and momentum": ([NESTEROV], MOMENTUM, ""),
    "no momentum and momentum": ([SGD], MOMENTUM, ""),
    "RMSprop with momentum and without": (tried(RMSPROP, momentum=[0.9, 0]), RMSPROP, UNDER_TUNED),
    "RMSprop and momentum": (
        [RMSPROP], MOMENTUM,
        "in the limit of a large epsilon. Its epsilon was held at 1e-08 and its momentum was held at 0.",
    ),
    "RMSprop that went there": (
        tried(RMSPROP, eps=[1e-8, 1], momentum=[0.9], lr=[0.01, 1]), MOMENTUM, UNDER_TUNED,
    ),
    "RMSprop whose rates did not go there": (
        tried(RMSPROP, eps=[1e-8, 10], momentum=[0.9], lr=[0.001, 0.1]), MOMENTUM,
        "Its learning rate in that limit was tried from 0.0001 to 0.01 alone, and the other's is 0.1.",
    ),
    "Adam and momentum": ([ADAM], MOMENTUM, "Its epsilon was held at 1e-08."),
    "Adam with small epsilons": (
        tried(ADAM, eps=[1e-8, 1e-3]), MOMENTUM, "Its epsilon was tried from 1e-08 to 0.001 alone."
    ),
    "Adam and no momentum": ([ADAM], SGD, "Its epsilon was held at 1e-08 and its beta1 was held at 0.9."),
    "Adam and Nesterov": ([ADAM], NESTEROV, ""),
    "Adam that went there": (tried(ADAM, eps=[1e-8, 1], lr=[0.1, 10]), MOMENTUM, UNDER_TUNED),
    "Adam that went there at other rates": (
        tried(ADAM, eps=[1e-8, 1], lr=[0.05, 0.5]), MOMENTUM, "in that limit was tried from 0.005 to 0.05 alone"
    ),
    "AdamW and momentum": ([ADAMW], MOMENTUM, "Its epsilon was held at 1e-08 and its weight decay was held at 0.01."),
    "Adam and momentum, both with decay": ([with_decay(ADAM)], with_decay(MOMENTUM), "Its epsilon was held at 1e-08."),
    "Adam with decay and momentum without": (
        [with_decay(ADAM)], MOMENTUM, "Its epsilon was held at 1e-08 and its weight decay was held at 0.1."
    ),
    "Adam with decay and momentum with another": ([with_decay(ADAM)], with_decay(MOMENTUM, 0.2), ""),
    "momentum with decay and neither": (
        [with_decay(MOMENTUM)], SGD, "Its momentum was held at 0.9 and its weight decay was held at 0.1."
    ),
    "NAdam and Nesterov": ([NADAM], NESTEROV, "was held at 1e-08 and its momentum decay was held at 0.004."),
    "NAdam and no momentum": ([NADAM], SGD, "Its epsilon was held at 1e-08 and its beta1 was held at 0.9."),
    "focal and cross-entropy": (tried(FOCAL, gamma=[2, 0]), ENTROPY, "its special case of γ = 0, although"),
    "focal and smoothed cross-entropy": (tried(FOCAL, gamma=[2, 0]), SMOOTHED, ""),
    "smoothed and not": ([SMOOTHED], ENTROPY, "Its label smoothing was held at 0.1."),
    "two other losses": ([FOCAL], {**SGD, "criterion": "MSELoss"}, ""),
    "another network": (tried(DECAY, weight_decay=[5e-4, 0]), {**SGD, "network": "ResNet"}, ""),
    "another setting that was searched": (
        [{**with_decay(SGD, decay), "network.dropout": drop} for drop in (0.5, 0) for decay in (5e-4, 0)],
        {**SGD, "network.dropout": 0}, UNDER_TUNED,
    ),
    "another setting that was searched elsewhere": (
        [{**with_decay(SGD, decay), "network.dropout": drop} for drop in (0.5, 0.2) for decay in (5e-4, 0)],
        {**SGD, "network.dropout": 0}, "Its dropout was tried from 0.2 to 0.5 alone, and the other's is 0.",
    ),
    "a rate that was not tried": (
        tried(DECAY, weight_decay=[5e-4, 0], lr=[0.01, 0.05]), SGD,
        "Its learning rate was tried from 0.01 to 0.05 alone, and the other's is 0.1.",
    ),
    "a rate that was tried with decay alone": (
        [*tried(DECAY, lr=[0.01, 1]), {**SGD, "optimizer.lr": 0.01}], SGD,
        "Its learning rate was held at 0.01, and the other's is 0.1.",
    ),
    "a random search from 0": (at_random(MOMENTUM, "momentum", [0.9, 0.1, 0.3, 0.55, 0.7, 0.2]), SGD, UNDER_TUNED),
    "a random search away from 0": (
        at_random(MOMENTUM, "momentum", [0.9, 0.7, 0.75, 0.8, 0.85, 0.95]), SGD,
        "Its momentum was tried from 0.7 to 0.95 alone."
    ),
    "a random search on a log axis, whose lowest value is far from 0": (
        at_random(DECAY, "weight_decay", [0.01, 0.0178, 0.0316, 0.0562, 0.1]), SGD,
        "Its weight decay was tried from 0.01 to 0.1 alone."
    ),
    "several values of a loss at one rate": (
        tried(FOCAL, gamma=[0.5, 1, 2, 3, 5]), ENTROPY, "Its gamma was tried from 0.5 to 5 alone."
    ),
    "several smoothings at one rate": (
        tried(SMOOTHED, label_smoothing=[0.1, 0.2, 0.3, 0.4, 0.5]), ENTROPY, "was tried from 0.1 to 0.5 alone."
    ),
    "a grid that comes near": (
        tried(MOMENTUM, momentum=[0.9, 0.1, 0.3, 0.55, 0.7, 0.2], lr=RATES), SGD,
        "Its momentum was tried from 0.1 to 0.9 alone."
    ),
    "another program": (
        [{"opt": "sgd", "lr": 0.1, "momentum": 0.9}], {"opt": "sgd", "lr": 0.1, "momentum": 0},
        "Its momentum was held at 0.9."
    ),
    "another program, with fewer names": ([{"opt": "sgd", "lr": 0.1, "momentum": 0.9}], {"opt": "sgd", "lr": 0.1}, ""),
    "another program, whose names are its own": ([{"opt": "mine", "lr": 0.1}], {"opt": "other", "lr": 0.1}, ""),
    "a schedule's gamma": (
        [{"loss": "focal", "lr": 0.1, "lr_scheduler.gamma": 0.5}], {"loss": "cross_entropy", "lr": 0.1}, ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_a_special_case(case: str) -> None:
    general, special, wanted = CASES[case]
    said = words(general, special)
    assert wanted in said
    assert bool(said) == bool(wanted)
    assert ("under-tuned" in said) == (wanted == UNDER_TUNED or "although" in wanted)


@pytest.mark.parametrize(
    ("behind", "seeds"), [(0.0, SEEDS), (-0.1, SEEDS), (0.1, 2)], ids=["equal", "the general is better", "two seeds"]
)
def test_nothing_is_said_of_what_is_not_claimed(behind: float, seeds: int) -> None:
    assert special_cases(swept(tried(DECAY, weight_decay=[5e-4, 0]), SGD, behind, seeds)) == []


def test_families_of_a_grid_count_by_their_best_rate() -> None:
    """Plain SGD beats momentum at a bad rate only, which tells nothing."""
    points = [(SGD, 0.6), (MOMENTUM, 0.7), ({**MOMENTUM, "optimizer.lr": 0.001}, 0.4)]
    made = [runs_of(str(top), point, top, seed, "grid") for point, top in points for seed in range(SEEDS)]
    arms = group([replace(one, tags={names.TAG_SEED: one.params["seed"]}) for one in made]).arms
    found = compared(arms, all_pairs=True)
    assert sum(contrast.claimed for contrast in found.finals) == 3
    assert len({arm.family for arm in found.arms}) == 2
    assert found.special_cases == ()


def test_of_several_special_cases_the_one_that_was_searched_is_told() -> None:
    points = [
        (SGD, 0.7, "plain"),
        (MOMENTUM, 0.68, "heavy"),
        *((one, 0.5, "adam") for one in tried(ADAM, eps=[1e-8, 1], lr=[0.1, 10])),
    ]
    runs = [runs_of(name, point, top, 0, "tuning") for point, top, name in points]
    runs += [
        runs_of(name, point, top, seed, "repeat") for point, top, name in points[:3] for seed in range(1, SEEDS + 1)
    ]
    grouping = group(runs)
    found = compared(grouping.arms, tuning=grouping.tuning)
    assert [(case.general, case.special, case.under_tuned) for case in found.special_cases] == [
        ("adam", "heavy", True),
        ("heavy", "plain", False),
    ]


def test_after_three_arms_they_are_counted() -> None:
    tops = {"none": (SGD, 0.8)} | {
        f"decay {n}": ({**DECAY, "optimizer.weight_decay": n / 1000}, 0.5 - n / 50) for n in range(1, 6)
    }
    runs = [runs_of(name, point, top, seed, "repeat") for name, (point, top) in tops.items() for seed in range(SEEDS)]
    said = special_cases(compared(group(runs).arms))
    assert said[-1] == "Two more arms lost to special cases of their own."
    assert len(said) == 7


def test_an_unknown_rate_hinders_nothing() -> None:
    tops = {"decay": ({**DECAY, "optimizer.lr": "auto"}, 0.5), "none": ({**SGD, "optimizer.lr": "auto"}, 0.7)}
    runs = [runs_of(name, point, top, seed, "repeat") for name, (point, top) in tops.items() for seed in range(SEEDS)]
    found = compared(group(runs).arms)
    assert all(np.isnan(arm.learning_rate) for arm in found.arms)
    assert [case.held[0].low for case in found.special_cases] == ["0.0005"]
