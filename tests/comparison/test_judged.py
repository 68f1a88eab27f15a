"""Verdicts that curves give: the right one for each shape, whatever program logged it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from lit_lossopt.__main__ import main
from lit_lossopt.comparison.measures.judged import judged, judged_note
from lit_lossopt.comparison.measures.trial import curve_of, final_of, verdict_of
from lit_lossopt.tracking.addresses import tracking_uri
from lit_lossopt.tracking.reading.api import ApiReader
from lit_lossopt.tracking.reading.records import History, Run
from lit_lossopt.tracking.reading.runs import read_runs, with_histories
from tests.support.plain_runs import Points, learning, log_run

METRIC = "val/accuracy"
FALLING = 2.3 * np.exp(-np.arange(200) / 40)
RISING = np.linspace(0.1, 0.9, 21)


def history(values: ArrayLike, last: int = 200) -> History:
    found = np.asarray(values, np.float64)
    return History(np.linspace(0, last, len(found)).astype(np.int64), found)


def plain(curves: Mapping[str, History], status: str = "FINISHED", tags: Mapping[str, str] | None = None) -> Run:
    """Return a run of a program that knows no verdicts."""
    return Run("id", "one", status, {}, tags or {}, {}, histories=curves)


def with_end(values: ArrayLike, end: float, count: int) -> list[float]:
    """Return values of which the last ones are replaced."""
    found = np.array(values, np.float64)
    found[len(found) - count :] = end
    return [float(value) for value in found]


def with_gap(values: ArrayLike, place: int, gap: float = nan) -> list[float]:
    found = np.array(values, np.float64)
    found[place] = gap
    return [float(value) for value in found]


NOISE = 0.02 * np.random.default_rng(0).standard_normal(200)
FLAT = 2.3 + NOISE
CURVES: dict[str, tuple[str, Mapping[str, Iterable[float]]]] = {
    "learns": ("completed", {"train/loss": FALLING, METRIC: RISING}),
    "loss ends in NaN": ("diverged", {"train/loss": with_end(FALLING, nan, 50), METRIC: RISING}),
    "loss ends in infinity": ("diverged", {"train_loss": with_end(FALLING, inf, 2), METRIC: RISING}),
    "loss is NaN from the start": ("diverged", {"loss": [nan] * 200, METRIC: RISING}),
    "one step was skipped": ("completed", {"train/loss": with_gap(FALLING, 77), METRIC: RISING}),
    "the last step was skipped": (
        "completed", {"train/loss": with_end(FALLING, nan, 1), METRIC: RISING, "val/loss": 1 - RISING}),
    "the last step is NaN, and nothing says otherwise": (
        "diverged", {"train/loss": with_end(FALLING, nan, 1), METRIC: RISING}),
    "the metric ends in NaN": ("diverged", {METRIC: with_end(RISING, nan, 5)}),
    "the validation loss ends in NaN": ("diverged", {METRIC: RISING, "val_loss": with_end(1 - RISING, nan, 5)}),
    "the validation loss has a gap": ("completed", {METRIC: RISING, "val_loss": with_gap(1 - RISING, 5)}),
    "overfits": ("completed", {"train/loss": FALLING, METRIC: RISING, "val/loss": np.linspace(0.5, 5, 21)}),
    "explodes": ("diverged", {"train/loss": np.concatenate([FALLING[:100], np.full(100, 50.0)]), METRIC: RISING}),
    "explodes for a moment": ("completed", {"train/loss": with_gap(FALLING, 120, 99.0), METRIC: RISING}),
    "explodes by epochs": ("diverged", {"loss": [2, 1, 0.5, 0.4, 30, 70, 90, 95], METRIC: RISING[:8]}),
    "one bad epoch": ("completed", {"loss": [2, 1, 0.5, 0.4, 30, 0.5, 0.4, 0.3], METRIC: RISING[:8]}),
    "the last epoch alone is bad": ("completed", {"loss": [2, 1, 0.5, 0.4, 0.5, 0.4, 0.3, 9], METRIC: RISING[:8]}),
    "three epochs": ("completed", {"loss": [2, 1, 9], METRIC: RISING[:3]}),
    "below zero and falling": ("completed", {"train/loss": -1 - np.arange(200) / 50, METRIC: RISING}),
    "below zero and rising": ("diverged", {"train/loss": -1 + np.arange(200) / 50, METRIC: RISING}),
    "never learns": ("collapsed", {"train/loss": FLAT, METRIC: 0.1 + 0 * RISING}),
    "never learns, without an accuracy": ("collapsed", {"train/loss": FLAT}),
    "mixed labels": ("completed", {"train/loss": FLAT, METRIC: RISING}),
    "mixed labels, another accuracy": ("completed", {"train/loss": FLAT, "val_acc": 100 * RISING}),
    "an accuracy at the end alone": ("completed", {"train/loss": FLAT, METRIC: [0.9]}),
    "converged within the first epoch": (
        "completed", {"loss": 0.1 + 0 * np.arange(100), METRIC: 0.95 + 0 * np.arange(100)}),
    "late": ("completed", {"train/loss": [2.3] * 150 + [1.0] * 100, METRIC: 0.1 + 0 * RISING}),
    "nothing": ("completed", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CURVES)
def test_verdicts(case: str) -> None:
    wanted, curves = CURVES[case]
    run = plain({name: history(list(values)) for name, values in curves.items()})
    (found,) = judged([run], METRIC)
    assert verdict_of(found) == wanted
    assert bool(found.tags.get("lossopt.evidence")) == (wanted != "completed")
    assert bool(judged_note([run], [found])) == (wanted != "completed")


@pytest.mark.parametrize(
    ("metric", "losses", "values", "wanted"),
    [
        ("val/auroc", FALLING, with_gap(RISING, 7), "completed"),
        ("val_f1", FALLING, with_gap(RISING, 0), "completed"),
        ("val/auroc", FALLING, with_end(RISING, nan, 1), "completed"),
        ("val/auroc", with_end(FALLING, nan, 50), with_end(RISING, nan, 5), "diverged"),
        ("val/auroc", FALLING, [nan] * 21, "completed"),
        ("val/nll", FALLING, with_end(1 - RISING, inf, 3), "diverged"),
    ],
)
def test_scores_that_cannot_be_computed_are_missing_points(
    metric: str, losses: ArrayLike, values: list[float], wanted: str
) -> None:
    (found,) = judged([plain({"train/loss": history(losses), metric: history(values)})], metric)
    assert verdict_of(found) == wanted


@pytest.mark.parametrize(
    ("status", "tags", "wanted"),
    [
        ("FAILED", {}, "failed"),
        ("KILLED", {}, "interrupted"),
        ("FINISHED", {"lossopt.verdict": "interrupted"}, "interrupted"),
        ("FINISHED", {"lossopt.verdict": "collapsed", "lossopt.framework": "lightning"}, "collapsed"),
        ("FINISHED", {"lossopt.verdict": "completed", "lossopt.framework": "lightning"}, "diverged"),
    ],
)
def test_what_its_program_said_stays_unless_it_is_that_all_went_well(
    status: str, tags: Mapping[str, str], wanted: str
) -> None:
    run = plain({"train/loss": history(with_end(FALLING, nan, 50))}, status, tags)
    assert verdict_of(judged([run], METRIC)[0]) == wanted


def test_what_its_program_saw_of_predictions_too_is_not_judged_again() -> None:
    # Weights that were trained before: at .95 from the start, which no curve tells from the share of a class.
    curves = {"train/loss": history(FLAT), METRIC: history(0.95 + 0 * RISING)}
    said = {"lossopt.verdict": "completed"}
    assert verdict_of(judged([plain(curves, tags=said)], METRIC)[0]) == "completed"
    assert verdict_of(judged([plain(curves)], METRIC)[0]) == "collapsed"


@pytest.mark.parametrize("last", [200, 20, 20_000])
@pytest.mark.parametrize("loss", ["train/loss", "val/loss", "eval_loss"])
def test_a_diverged_run_counts_at_its_last_evaluation_before(loss: str, last: int) -> None:
    # The accuracy of weights that are NaN is that of a guess, whatever axis it was logged on.
    values = np.concatenate([RISING[:15], np.full(6, 0.1)])
    at = history(values, last if loss == "train/loss" else 200)
    count = 200 if loss == "train/loss" else 21
    broken = history(with_end(np.linspace(2, 1, count), nan, count - round(0.72 * count)))
    (found,) = judged([plain({loss: broken, METRIC: at})], METRIC)
    assert verdict_of(found) == "diverged"
    assert final_of(found, METRIC) in RISING[13:15]
    assert len(curve_of(found, METRIC).values) in {14, 15}


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 300), st.integers(0, 299), st.floats(0.01, 100), st.permutations(range(3)))
def test_a_gap_the_unit_of_the_loss_and_the_order_of_runs_change_no_verdict(
    count: int, gap: int, unit: float, order: list[int]
) -> None:
    losses = 2.3 * np.exp(-4 * np.arange(count) / count)
    shapes = [losses, with_gap(losses, gap % (count - 1)), losses[::-1]]
    runs = [
        replace(plain({"train/loss": history(unit * np.asarray(one), count), METRIC: history(RISING)}), run_id=str(n))
        for n, one in enumerate(shapes)
    ]
    found = judged([runs[place] for place in order], METRIC)
    assert {one.run_id: verdict_of(one) for one in found} == {"0": "completed", "1": "completed", "2": "diverged"}


def broken(points: Points, share: float, *metrics: str) -> dict[str, list[tuple[int, float]]]:
    found = {name: list(values) for name, values in points.items()}
    for name in metrics:
        end = int(share * len(found[name]))
        found[name] = found[name][:end] + [(step, nan) for step, _ in found[name][end:]]
    return found


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("metrics", [("train/loss",), ("val/accuracy",), ("train/loss", "val/accuracy")])
def test_an_arm_of_which_most_runs_diverged_is_neither_faster_nor_equivalent(
    metrics: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(5):
        log_run("x", {"optimizer": "A", "seed": seed}, learning(seed, 6), name=f"A {seed}")
        faster = learning(seed + 50, 9)
        log_run(
            "x", {"optimizer": "B", "seed": seed}, broken(faster, 0.75, *metrics) if seed else faster, name=f"B {seed}"
        )
    assert main(["compare", "--csv", "tables"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "4 of 5 runs of B diverged." in shown
    assert "4 runs diverged by the curves, though logged as completed (B 1:" in shown
    for wrong in ("equivalent", "B reaches", "B is first", "faster"):
        assert wrong not in shown
    with Path("tables/runs.csv").open(encoding="utf-8", newline="") as file:
        runs = {row["name"] if "name" in row else row["run"]: row for row in csv.DictReader(file)}
    reached = [row["steps_to_target"] for row in runs.values() if row["verdict"] == "diverged"]
    assert reached == ["inf"] * 4


@pytest.mark.usefixtures("store")
def test_a_run_that_broke_before_its_first_evaluation_is_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        log_run("x", {"optimizer": "A", "seed": seed}, learning(seed, 6))
        log_run("x", {"optimizer": "B", "seed": seed}, {"train/loss": [(1, 2.3), (2, nan), (3, nan)]})
    assert main(["compare"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 runs of B diverged." in shown, shown


@pytest.mark.usefixtures("store")
def test_values_that_are_not_finite_are_read_as_they_were_logged() -> None:
    values = [1.0, nan, inf, -inf, nan]
    log_run("x", {}, {"loss": list(enumerate(values)), "score": [(0, 1.0), (1, inf)]})
    reader = ApiReader(tracking_uri())
    (direct,), (asked,) = with_histories(read_runs("x")), reader.runs([read_runs("x")[0].experiment_id])
    histories = reader.histories([asked], None)[asked.run_id]
    for run, found in ((direct, direct.histories), (asked, histories)):
        np.testing.assert_array_equal(found["loss"].values, values)
        np.testing.assert_array_equal([run.metrics["loss"], run.metrics["score"]], [nan, inf])
