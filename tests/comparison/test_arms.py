from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.comparison.grouping.notes import notes_on
from lit_lossopt.comparison.grouping.selection import candidates
from lit_lossopt.comparison.grouping.settings import plain, resolve
from lit_lossopt.comparison.measures.trial import seed_of
from lit_lossopt.comparison.metric import choose_metric, default_margin, higher_is_better
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.records import History, Run

ADAM = {"optimizer": "Adam", "optimizer.lr": "0.001", "optimizer.betas": "[0.9, 0.999]", "optimizer.eps": "1e-08",
        "optimizer.weight_decay": "0.0", "optimizer.amsgrad": "False",
        "optimizer.decoupled_weight_decay": "False"}  # fmt: skip
SGD = {"optimizer": "SGD", "optimizer.lr": "0.01", "optimizer.momentum": "0.0", "optimizer.nesterov": "False",
       "optimizer.weight_decay": "0.0", "optimizer.dampening": "0.0"}  # fmt: skip
CE = {"criterion": "CrossEntropyLoss", "criterion.label_smoothing": "0.0", "criterion.reduction": "mean"}
MSE = {"criterion": "MSELoss", "criterion.reduction": "mean"}
COMMON = {"data.batch_size": "64", "threads": "1", "parameters": "53002", "trainer.accelerator": "cpu"}
SWEEP = {"lossopt.sweep": "p"}


def run(params: Mapping[str, Any], seed: Any = 0, tags: Mapping[str, str] | None = None, **more: Any) -> Run:
    number = more.pop("number", id(params) % 1000)
    texts = {key: str(value) for key, value in params.items()} | ({} if seed is None else {"seed": str(seed)})
    metrics = more.pop("metrics", {"val/accuracy": 0.9})
    status = more.pop("status", "FINISHED")
    return Run(more.pop("run_id", f"{number}"), f"run {number}", status, texts, dict(tags or {}), metrics, **more)


def named(*settings: Mapping[str, Any], by: tuple[str, ...] = (), seeds: int = 2) -> list[str]:
    runs = [
        run({**COMMON, **one}, seed, number=n * 10 + seed) for n, one in enumerate(settings) for seed in range(seeds)
    ]
    grouping = group(runs, by)
    assert all(len(arm.runs) == seeds for arm in grouping.arms)
    return [arm.name for arm in grouping.arms]


CASES: dict[str, tuple[tuple[Mapping[str, Any], ...], list[str]]] = {
    "defaults of a class are not told": (({**ADAM, **CE}, {**SGD, **CE}), ["Adam lr=0.001", "SGD lr=0.01"]),
    "what was changed is told": (
        ({**ADAM, **CE}, {**SGD, **CE, "optimizer.momentum": "0.9"}),
        ["Adam lr=0.001", "SGD lr=0.01 momentum=0.9"],
    ),
    "of what differs within a class the default is not told": (
        ({**ADAM, **CE}, {**SGD, **CE}, {**SGD, **CE, "optimizer.momentum": "0.9"}),
        ["Adam lr=0.001", "SGD lr=0.01", "SGD lr=0.01 momentum=0.9"],
    ),
    "one rate for all is not told": (
        ({**ADAM, **CE}, {**SGD, **CE, "optimizer.lr": "1e-3"}),
        ["Adam", "SGD"],
    ),
    "rates alone": (({**SGD, **CE}, {**SGD, **CE, "optimizer.lr": "0.1"}), ["lr=0.01", "lr=0.1"]),
    "losses alone": (({**SGD, **CE}, {**SGD, **MSE}), ["CrossEntropyLoss", "MSELoss"]),
    "both": (
        ({**SGD, **CE}, {**ADAM, **MSE}, {**SGD, **MSE}),
        ["Adam lr=0.001 MSELoss", "SGD lr=0.01 CrossEntropyLoss", "SGD lr=0.01 MSELoss"],
    ),
    "an argument of a loss": (
        ({**SGD, **CE}, {**SGD, **CE, "criterion.label_smoothing": "0.1"}),
        ["label_smoothing=0", "label_smoothing=0.1"],
    ),
    "a schedule or none": (
        ({**SGD, **CE}, {**SGD, **CE, "lr_scheduler": "CosineAnnealingLR", "lr_scheduler.T_max": "24"}),
        ["CosineAnnealingLR", "other SGD"],
    ),
    "batches": (({**SGD}, {**SGD, "data.batch_size": "128"}), ["batch_size=128", "batch_size=64"]),
    "other programs": (
        ({"opt": "adam", "learning_rate": 1e-3, "beta1": 0.9}, {"opt": "sgd", "learning_rate": 0.1, "mu": 0.9}),
        ["adam learning_rate=0.001", "sgd learning_rate=0.1"],
    ),
    "the same words": (
        ({"loss": "a", "model": "b"}, {"loss": "b", "model": "a"}, {"loss": "a", "model": "a"}),
        ["loss=a model=a", "loss=a model=b", "loss=b model=a"],
    ),
    "odd names": (
        ({"model": "<script>\nalert"}, {"model": "ünï\x1b[31m"}),
        ["<script> alert", "ünï [31m"],
    ),
    "nothing differs": (({**SGD, **CE},), ["SGD"]),
    "nothing is known": (({},), ["runs"]),
}


@pytest.mark.parametrize("case", CASES)
def test_names_of_arms(case: str) -> None:
    settings, wanted = CASES[case]
    assert sorted(named(*settings)) == sorted(wanted)


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_runs_changes_no_name(case: str) -> None:
    settings, _ = CASES[case]
    assert named(*settings) == named(*reversed(settings))


def test_what_makes_an_arm_can_be_said() -> None:
    settings = [{**ADAM, **CE}, {**SGD, **CE}, {**SGD, **MSE}, {**ADAM, **MSE}]
    runs = [run({**COMMON, **one}, seed, number=n * 10 + seed) for n, one in enumerate(settings) for seed in range(2)]
    grouping = group(runs, ["criterion"])
    assert [arm.name for arm in grouping.arms] == ["CrossEntropyLoss", "MSELoss"]
    assert grouping.by == ("criterion",)
    assert any("differ in more than their seed (optimizer, optimizer.lr)" in note for note in grouping.notes)
    # Pairs share the optimizer too.
    seeds = [{one.tags["lossopt.seed"] for one in arm.runs} for arm in grouping.arms]
    assert seeds[0] == seeds[1] == {f"{n} {rest}" for n in (0, 1) for rest in ("Adam lr=0.001", "SGD lr=0.01")}
    assert all(math.isnan(arm.learning_rate) for arm in grouping.arms)
    assert group(runs, ["lr", "criterion"]).arms[0].name == "lr=0.001 CrossEntropyLoss"


def test_a_family_is_the_name_without_the_rate() -> None:
    settings = [{**SGD, **CE, "optimizer.lr": rate} for rate in (0.1, 0.01)] + [{**ADAM, **CE}]
    arms = group([run(one, number=n) for n, one in enumerate(settings)]).arms
    assert {(arm.name, arm.family, arm.learning_rate) for arm in arms} == {
        ("SGD lr=0.1", "SGD", 0.1), ("SGD lr=0.01", "SGD", 0.01), ("Adam lr=0.001", "Adam", 0.001),
    }  # fmt: skip
    only_rates = group([run(one, number=n) for n, one in enumerate(settings[:2])]).arms
    assert {arm.family for arm in only_rates} == {"SGD"}


def test_of_a_sweep_repeats_are_compared_and_tuning_trials_stand_apart() -> None:
    def trial(arm: str, phase: str, rate: float, seed: int, number: int) -> Run:
        settings = {**(SGD if arm == "sgd" else ADAM), **CE, "optimizer.lr": rate}
        return run(settings, seed, {**SWEEP, "lossopt.sweep_arm": arm, "lossopt.phase": phase}, number=number)

    tuning = [
        trial(arm, "tuning", rate, 0, n + 10 * m)
        for m, arm in enumerate(("sgd", "adam"))
        for n, rate in enumerate((1, 0.1))
    ]
    repeats = [
        trial(arm, "repeat", 0.1, seed, 100 + seed + 10 * m) for m, arm in enumerate(("sgd", "adam")) for seed in (1, 2)
    ]
    grouping = group([*tuning, *repeats])
    assert [(arm.name, arm.family, len(arm.runs)) for arm in grouping.arms] == [("adam", "adam", 2), ("sgd", "sgd", 2)]
    assert {arm.family for arm in grouping.tuning} == {"adam", "sgd"}
    assert sorted(arm.learning_rate for arm in grouping.tuning) == [0.1, 0.1, 1, 1]
    unfinished = group(tuning)
    assert (len(unfinished.arms), len(unfinished.tuning)) == (4, 0)
    assert any("no repeats yet" in note for note in unfinished.notes)


def test_by_one_factor_of_a_sweep_runs_are_paired_whatever_the_sweep_calls_its_arms() -> None:
    runs = [
        run({**optimizer, **CE}, seed, {**SWEEP, "lossopt.sweep_arm": f"{name} {framework}",
            "lossopt.framework": framework}, number=100 * n + 10 * m + seed)
        for n, (name, optimizer) in enumerate((("sgd", SGD), ("adam", ADAM)))
        for m, framework in enumerate(("pytorch", "tensorflow"))
        for seed in (0, 1)
    ]  # fmt: skip
    ours, theirs = group(runs, by=["framework"]).arms
    seeds = [{one.tags["lossopt.seed"] for one in arm.runs} for arm in (ours, theirs)]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 4


def test_one_seed_for_all_runs_pairs_none_of_them() -> None:
    runs = [run({"optimizer": name}, 42, number=10 * n + k) for n, name in enumerate(("a", "b")) for k in range(3)]
    grouping = group(runs)
    assert not any(seed_of(one) for arm in grouping.arms for one in arm.runs)
    assert any("same seed (42)" in note for note in grouping.notes)


def test_other_names_of_seeds() -> None:
    runs = [run({"optimizer": "a", "random_state": seed}, None, number=seed) for seed in range(3)]
    (arm,) = group(runs).arms
    assert [one.tags["lossopt.seed"] for one in arm.runs] == ["0", "1", "2"]


def test_who_is_left_out_and_why() -> None:
    runs = [
        run({}, number=0),
        run({}, number=1, status="RUNNING"),
        run({}, number=2, status="RUNNING", tags={"lossopt.verdict": "interrupted"}),
        run({}, number=3, status="FAILED"),
        run({}, number=4, status="FAILED", tags={"lossopt.verdict": "diverged"}),
        run({}, number=5, tags={"lossopt.verdict": "collapsed"}),
        run({}, number=6, status="FAILED", tags={"lossopt.verdict": "interrupted"}),
        run({}, number=7, metrics={"loss": 1.0}),
        run({}, number=8, deleted=True),
        run({}, number=9, tags={"lossopt.comparison": "true"}),
        run({}, number=10, metrics={}),
        run({}, number=11, tags={"mlflow.parentRunId": "10"}),
        run({}, number=12, tags={"lossopt.trial_key": "k", "lossopt.seed": "1"}, start=1),
        run({}, number=13, tags={"lossopt.trial_key": "k", "lossopt.seed": "1"}, start=2),
        run({}, number=14, status="FAILED", metrics={}, tags={"lossopt.verdict": "diverged"}),
        run({}, number=15),
        run({}, number=16, tags={"mlflow.parentRunId": "15"}, metrics={}),
        run({}, number=17, tags={"mlflow.parentRunId": "16"}),
        run({}, number=18, tags={"mlflow.parentRunId": "0"}, metrics={"profile": 1.0}),
        run({}, number=19, tags={"mlflow.parentRunId": "4"}, deleted=True),
        run({}, number=20, metrics={"train/loss": math.nan}),
    ]
    kept, left = candidates(runs, "val/accuracy")
    assert [one.run_id for one in kept] == ["0", "4", "5", "11", "13", "14", "17", "20"]
    running = "still running (or killed: lossopt sync marks it)"
    assert {one.run_id: one.reason for one in left} == {
        "1": running, "2": running, "3": "failed", "6": "interrupted", "7": "no val/accuracy", "8": "deleted",
        "12": "repeated by a newer run", "15": "holds other runs together", "18": "no val/accuracy", "19": "deleted",
    }  # fmt: skip


def test_doubtful_points_are_told() -> None:
    import numpy as np

    doubled = History(np.arange(3), np.zeros(3), np.arange(3), overridden=4)
    at_once = History(np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64), overridden=9)
    notes = notes_on([run({}, number=1, histories={"a": doubled}), run({}, number=2, histories={"a": at_once})])
    assert notes == [
        "2 runs logged several values at one step (run 2: 9), of which the last one counts.",
        "1 run logged all values of a metric at one step. Log them with step=…",
    ]


def with_metrics(*known: str) -> list[Run]:
    return [run({}, metrics=dict.fromkeys(known, 0.5))]


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        (("val/accuracy", "val/f1", "val_acc"), "val/accuracy"),
        (("train_acc", "val_acc", "val_loss", "test_acc"), "val_acc"),
        (("accuracy", "loss"), "accuracy"),
        (("train/loss", "validLoss", "lr"), "validLoss"),
        (("train_loss", "perplexity", "system/cpu"), "perplexity"),
    ],
)
def test_the_metric_that_is_meant(known: tuple[str, ...], chosen: str) -> None:
    assert choose_metric(with_metrics(*known)) == chosen


def test_where_several_metrics_could_be_meant_they_are_listed() -> None:
    with pytest.raises(UserError, match=r"name another with --metric; there are: eval_f1, val_acc"):
        choose_metric(with_metrics("val_acc", "eval_f1", "train_acc"))
    with pytest.raises(UserError, match=r"--metric val/acuracy: no run has it \(did you mean 'val/accuracy'\?\)"):
        choose_metric(with_metrics("val/accuracy"), "val/acuracy")


@pytest.mark.parametrize(
    "metric", ["val/accuracy", "valAcc", "eval_f1", "AUROC", "mAP", "test/top5", "dice_score", "r2"]
)
def test_more_is_better(metric: str) -> None:
    assert higher_is_better(metric)
    assert not higher_is_better(metric, wish=False)


@pytest.mark.parametrize(
    "metric", ["val/loss", "brier_score", "val/ece", "errorRate", "NLL", "val_rmse", "cross_entropy"]
)
def test_less_is_better(metric: str) -> None:
    assert not higher_is_better(metric)


def test_a_metric_that_does_not_tell() -> None:
    with pytest.raises(UserError, match="--higher-is-better or --lower-is-better"):
        higher_is_better("val/reward")
    assert (default_margin("val_acc"), default_margin("val/loss")) == (0.01, 0.0)


def test_short_names_of_parameters() -> None:
    runs = [
        run(
            {**SGD, **CE, "data.batch_size": "64", "criterion.weight_decay": "1"},
            tags={"lossopt.arm": "x", "mine": "y"},
        )
    ]
    assert resolve("lr", runs) == "optimizer.lr"
    assert resolve("learning_rate", runs) == "optimizer.lr"
    assert resolve("batch_size", runs) == "data.batch_size"
    assert resolve("criterion", runs) == "criterion"
    assert resolve("arm", runs) == "lossopt.arm"
    assert resolve("mine", runs) == "mine"
    with pytest.raises(
        UserError, match=r"weight_decay: it can mean criterion\.weight_decay or optimizer\.weight_decay"
    ):
        resolve("weight_decay", runs)
    with pytest.raises(UserError, match=r"--by momentun: no run has such .*did you mean 'momentum'"):
        resolve("momentun", runs)


def test_numbers_have_one_spelling() -> None:
    assert {plain(text) for text in ("1e-3", "0.001", ".001", "0.0010", "+0.001")} == {"0.001"}
    assert plain("[32, 64]") == "[32, 64]"
    assert plain("1.2.3") == "1.2.3"


def test_an_arm_shares_what_is_the_same_in_all_its_runs() -> None:
    sizes = {0: "64", 1: "64", 2: "128"}
    runs = [run({**SGD, "data.batch_size": size}, seed, number=seed) for seed, size in sizes.items()]
    (mixed,) = group(runs, ("optimizer",)).arms
    assert "data.batch_size" not in mixed.shared
    assert "seed" not in mixed.shared
    assert mixed.shared["optimizer.momentum"] == "0"
    (alike,) = group(runs[:2]).arms
    assert alike.shared["data.batch_size"] == "64"
