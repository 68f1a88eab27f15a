"""Curves on one axis: the same training, however it was logged, gives the same verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import isfinite, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_lossopt.comparison.comparison import ArmRuns, Comparison
from lit_lossopt.comparison.measures.axes import common_axis
from lit_lossopt.comparison.report.figures import figures
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run
from tests.support.logging_styles import EPOCHS, PER_EPOCH, STYLES, Style, Training, every_fifth_epoch, training
from tests.support.synthetic_runs import ACCURACY, arm, compared

TAU = {"adam": 4.0, "momentum": 4.1, "sgd": 9.0}
_LOSSES = ("train_loss", "loss")


def as_run(
    one: Training,
    style: Style,
    *,
    name: str,
    seed: int,
    verdict: str = "completed",
    params: Mapping[str, str] | None = None,
) -> Run:
    told, points = style(one)
    histories = {
        names.TRAIN_LOSS if key in _LOSSES else key: History(
            np.array([step for step, _ in found], dtype=np.int64), np.array([value for _, value in found])
        )
        for key, found in points.items()
    }
    tags = {names.TAG_VERDICT: verdict, names.TAG_SEED: str(seed)}
    known = {key: str(value) for key, value in {**told, **(params or {})}.items()}
    return Run(f"{name}/{seed}", f"{name}/{seed}", "FINISHED", known, tags, {}, histories=histories)


def arms(styles: Mapping[str, str | Sequence[str]], seeds: int = 5, tau: Mapping[str, float] = TAU) -> list[ArmRuns]:
    """Return arms, each logged in its style; several styles take turns over the seeds."""
    found = []
    for name, style in styles.items():
        each = [style] if isinstance(style, str) else style
        runs = [
            as_run(training(seed, tau[name]), STYLES[each[seed % len(each)]], name=name, seed=seed)
            for seed in range(seeds)
        ]
        found.append(arm(name, runs))
    return found


def target_in_epochs(found: Comparison) -> dict[str, list[float]]:
    unit = {"epoch": 1, "step": PER_EPOCH, "example": 32 * PER_EPOCH}[found.axis]
    return {one.name: [trial.steps_to_target / unit for trial in one.trials] for one in found.arms}


def verdicts(found: Comparison) -> list[object]:
    return [
        [one.name for one in found.arms], found.alike, found.alike_speed,
        [(one.first, one.second, one.claimed, round(one.difference.value, 6)) for one in found.finals],
        [(one.first, one.second, one.claimed, round(one.difference.value, 6)) for one in found.speeds],
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(combinations(STYLES, 2)))
def test_the_same_curves_logged_in_any_two_ways_are_equally_fast(first: str, second: str) -> None:
    made = arms({"a": first, "b": second}, tau={"a": 5.0, "b": 5.0})
    found = compared(made, target=0.8)
    assert not found.no_speed
    (speed,) = found.speeds
    assert speed.difference.value == pytest.approx(1, abs=1e-3)
    assert not speed.claimed
    reached = target_in_epochs(found)
    assert reached["a"] == pytest.approx(reached["b"], rel=1e-3)
    assert reached["a"][0] == pytest.approx(5.0 * np.log(8), rel=0.1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_logging_any_arms_by_epoch_changes_no_verdict(which: list[bool]) -> None:
    plain = compared(arms(dict.fromkeys(TAU, "by step")), target=0.8)
    styles = {name: "by epoch" if by_epoch else "by step" for name, by_epoch in zip(TAU, which, strict=True)}
    found = compared(arms(styles), target=0.8)
    assert verdicts(found) == verdicts(plain)
    for name, reached in target_in_epochs(plain).items():
        unit = 1 / PER_EPOCH if all(which) else 1
        assert [one / unit for one in target_in_epochs(found)[name]] == pytest.approx(reached, rel=1e-6)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(sorted(STYLES)), min_size=3, max_size=3), st.permutations(range(3)))
def test_the_order_of_arms_changes_nothing(styles: list[str], order: list[int]) -> None:
    made = arms(dict(zip(TAU, styles, strict=True)), seeds=3)
    first, second = compared(made, target=0.8), compared([made[place] for place in order], target=0.8)
    assert answer(first) == answer(second)
    assert first.notes == second.notes
    assert first.axis == second.axis


@pytest.mark.parametrize("mixed", [("by step", "by epoch"), ("lightning", "keras"), ("deep obs", "ours")])
def test_a_mix_within_one_arm_is_put_on_one_axis(mixed: tuple[str, str]) -> None:
    found = compared(arms({"adam": mixed, "sgd": "hugging face"}), target=0.8)
    alike = compared(arms({"adam": "ours", "sgd": "hugging face"}), target=0.8)
    assert target_in_epochs(found)["adam"] == pytest.approx(target_in_epochs(alike)["adam"], rel=1e-3)
    assert any("adam were read as logged by epoch" in note for note in found.notes)


def test_evaluations_at_every_fifth_epoch_lie_at_their_epochs() -> None:
    made = arms({"adam": "hugging face"}, tau={"adam": 9.0})
    seldom = [as_run(training(seed, 9), every_fifth_epoch, name="sgd", seed=seed) for seed in range(5)]
    found = compared([*made, arm("sgd", seldom)], target=0.8)
    assert found.axis == "epoch"
    assert {trial.axis[-1] for one in found.arms for trial in one.trials} == {EPOCHS}
    assert found.speeds[0].remark == "no difference"


def test_who_was_read_as_logged_by_epoch_is_said_with_the_reason() -> None:
    def notes(**styles: str) -> str:
        return " ".join(note for note in compared(arms(styles), target=0.8).notes if "ripple" not in note)

    assert notes(adam="by step", sgd="by epoch") == (
        "Runs of sgd were read as logged by epoch, since they have as many evaluations as the others. Curves are "
        "compared along epochs. Those of adam, logged by step, have as many evaluations, so an epoch is read as 50 "
        "steps."
    )
    assert "of sgd were read as logged by epoch, since their parameter epochs is 40" in notes(
        adam="lightning", sgd="keras"
    )
    assert "of sgd were read as logged by epoch, since their training loss was logged by step" in notes(
        adam="hugging face", sgd="deep obs"
    )
    assert not notes(adam="by step", sgd="by step")
    assert not notes(adam="ours", sgd="lightning").count("by epoch")


@pytest.mark.parametrize("style", ["by epoch", "by step", "lightning", "ours"])
def test_runs_that_are_all_alike_keep_their_own_axis(style: str) -> None:
    found = compared(arms({"adam": style, "sgd": style}), target=0.8)
    assert (found.axis, found.no_speed) == ("step", "")
    for one in found.arms:
        for trial in one.trials:
            np.testing.assert_array_equal(trial.axis, trial.curve.steps)
            np.testing.assert_array_equal(trial.losses_axis, trial.losses.steps)


def test_evaluations_that_may_be_steps_or_epochs_give_no_speed() -> None:
    made = arms({"adam": "by step"})
    short = [as_run(training(seed, 4, epochs=25), STYLES["by epoch"], name="sgd", seed=seed) for seed in range(5)]
    found = compared([*made, arm("sgd", short)], target=0.8)
    assert found.no_speed == (
        "Speed is not compared: evaluations of sgd are numbered one by one (to 25), by step or by epoch, those of adam "
        "by step. Log the metric epoch or the parameter epochs."
    )
    assert found.no_speed in answer(found)
    assert not found.speeds
    assert not found.alike_speed
    for one in found.arms:
        assert all(isnan(trial.steps_to_target) and not len(trial.axis) for trial in one.trials)
        assert 0.7 < one.area.value < 0.9
    assert {panel.axes[0].label for panel in figures(found)[0].panels} == {"as logged, by step or by epoch"}


def test_epochs_whose_steps_are_not_known_give_no_speed() -> None:
    made = arms({"adam": "keras"})
    every = [as_run(training(seed, 4, epochs=25), STYLES["by step"], name="sgd", seed=seed) for seed in range(5)]
    found = compared([*made, arm("sgd", every)], target=0.8)
    assert found.no_speed.startswith(
        "Speed is not compared: the runs of adam were logged by epoch, those of sgd by step"
    )


def test_losses_lie_on_the_axis_of_the_metric() -> None:
    found = compared(arms({"adam": "lightning", "momentum": "keras", "sgd": "deep obs"}), target=0.8)
    assert found.axis == "epoch"
    for one in found.arms:
        trial = one.trials[0]
        assert trial.losses_axis[-1] == pytest.approx(EPOCHS, abs=0.03)
        assert trial.axis[-1] == EPOCHS
    lines = {line.arm: line for figure in figures(found) for panel in figure.panels for line in panel.lines}
    assert len(lines) == 3
    shown = next(figure for figure in figures(found) if figure.key == "metric").panels[0]
    assert (shown.title, shown.axes[0].label) == ("by epochs", "epoch")
    assert all(line.x["step"][0] >= 0 and line.x["step"][-1] == EPOCHS for line in shown.lines)
    losses = next(figure for figure in figures(found) if figure.key == "loss").panels[0]
    sgd = next(line for line in losses.lines if line.arm == "sgd")
    assert len(sgd.y) > 200
    assert sgd.x["step"][-1] == pytest.approx(EPOCHS, abs=0.03)


def batches(
    style: str, sizes: Mapping[str, int], params: Mapping[str, str] | None = None, *, images: int = 1600
) -> list[ArmRuns]:
    """Return arms that learn alike by the epoch, with different batch sizes."""
    return [
        arm(
            name,
            [
                as_run(
                    training(seed, 5, per_epoch=images // size, batch=size), STYLES[style], name=name, seed=seed,
                    params={key: str(size) if value == "size" else value for key, value in (params or {}).items()},
                )
                for seed in range(5)
            ],
        )
        for name, size in sizes.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("style", "params", "axis"),
    [
        ("by step", {"data.batch_size": "size"}, "example"),
        ("by step", {"per_device_train_batch_size": "size", "gradient_accumulation_steps": "2"}, "example"),
        ("ours", {"batch_size": "size"}, "example"),
        ("ours", {}, "example"),
        ("lightning", {"batch_size": "size"}, "example"),
        ("keras", {"batch_size": "size"}, "epoch"),
    ],
)
def test_arms_of_different_batch_size_are_compared_by_examples(style: str, params: dict[str, str], axis: str) -> None:
    found = compared(batches(style, {"small": 16, "large": 64}, params), target=0.8)
    assert found.axis == axis
    (speed,) = found.speeds
    assert speed.difference.value == pytest.approx(1, abs=1e-3)
    if axis == "example":
        reached = found.arms[0].trials[0].steps_to_target / 1600
        factor = 2 if "gradient_accumulation_steps" in params else 1
        assert reached == pytest.approx(factor * 5 * np.log(8), rel=0.1)
        assert any("batch size" in note for note in found.notes)


def test_batch_sizes_that_are_not_known_of_all_give_no_speed() -> None:
    made = batches("by step", {"small": 16, "large": 64}, {"batch_size": "size"})
    nameless = batches("by step", {"other": 32})
    found = compared([*made, *nameless], target=0.8)
    assert found.no_speed == (
        "Speed is not compared: the arms differ in batch size (16, 64), so their steps are not alike, and the examples "
        "seen by other are not known. Log the metric time/examples or the parameter batch_size."
    )


def test_where_others_name_their_batch_size_a_silent_arm_is_said() -> None:
    made = [*batches("by step", {"named": 32}, {"batch_size": "size"}), *batches("by step", {"silent": 32})]
    found = compared(made, target=0.8)
    assert found.axis == "step"
    assert any("Runs of silent name no batch size" in note for note in found.notes)


def test_epochs_of_other_data_are_not_alike() -> None:
    made = [
        *batches("keras", {"all": 32}, {"train_images": "1600"}),
        *batches("keras", {"half": 32}, {"train_images": "800"}, images=800),
    ]
    found = compared(made, target=0.8)
    assert found.axis == "example"
    (speed,) = found.speeds
    assert speed.first == "half"
    assert speed.difference.value == pytest.approx(2, rel=1e-2)


def test_the_end_of_a_run_is_its_own_arms_budget() -> None:
    long = [as_run(training(seed, 9), STYLES["by step"], name="long", seed=seed) for seed in range(3)]
    short = [as_run(training(seed, 9, epochs=24), STYLES["by step"], name="short", seed=seed) for seed in range(3)]
    gone = as_run(training(3, 9, epochs=2), STYLES["by step"], name="short", seed=3, verdict="diverged")
    lost = as_run(training(0, 9, epochs=2), STYLES["by step"], name="lost", seed=0, verdict="diverged")
    found = compared([arm("long", long), arm("short", [*short, gone]), arm("lost", [lost])], target=0.89)
    ends = {trial.run.run_id: trial.end for one in found.arms for trial in one.trials}
    assert ends == {
        "long/0": 2000, "long/1": 2000, "long/2": 2000, "short/0": 1200, "short/1": 1200, "short/2": 1200,
        "short/3": 1200, "lost/0": 2000,
    }  # fmt: skip
    assert "Runs differ in length (1,200 to 2,000 steps), and each counts at its own end." in found.notes


def test_a_run_that_ended_sooner_is_not_slower_for_that() -> None:
    def made(epochs: int) -> Comparison:
        long = [as_run(training(seed, 18), STYLES["by step"], name="long", seed=seed) for seed in range(8)]
        short = [
            as_run(training(seed, 14, epochs=epochs), STYLES["by step"], name="short", seed=seed) for seed in range(8)
        ]
        return compared([arm("long", long), arm("short", short)], target=0.8)

    (whole,) = made(EPOCHS).speeds
    assert (whole.first, whole.claimed) == ("short", True)
    cut = made(24)
    assert {one.name: one.reached for one in cut.arms} == {"long": 8, "short": 0}
    (speed,) = cut.speeds
    assert (speed.claimed, speed.remark) == (False, "reached only beyond the budget of the other")
    assert (
        "long and short cannot be compared in speed. In each pair the shorter run ended before either got there."
        in answer(cut)
    )


def test_a_short_arm_beside_one_logged_by_epoch_has_epochs_of_the_same_size() -> None:
    made = arms({"adam": "by step", "momentum": "by epoch"})
    short = [as_run(training(seed, 4, epochs=24), STYLES["by step"], name="sgd", seed=seed) for seed in range(5)]
    found = compared([*made, arm("sgd", short)], target=0.8)
    assert (found.axis, found.no_speed) == ("epoch", "")
    assert {trial.end for one in found.arms if one.name == "sgd" for trial in one.trials} == {24}


@pytest.mark.parametrize("style", ["by epoch", "keras", "deep obs", "lightning"])
def test_a_run_that_diverged_early_counts_as_its_arm_does(style: str) -> None:
    made = arms({"adam": "ours", "sgd": style})
    early = as_run(training(9, 9, epochs=2), STYLES[style], name="sgd", seed=9, verdict="diverged")
    found = compared([made[0], replace(made[1], runs=(*made[1].runs, early))], target=0.8)
    trial = next(trial for one in found.arms for trial in one.trials if trial.verdict == "diverged")
    unit = 1 if found.axis == "epoch" else PER_EPOCH
    assert trial.axis[-1] == pytest.approx(2 * unit, rel=0.02)
    assert trial.end == pytest.approx(EPOCHS * unit, rel=0.01)
    assert not isfinite(trial.steps_to_target)


def evaluated_every(one: Run, distance: int) -> Run:
    history = one.histories[ACCURACY]
    kept = history.steps % distance == 0
    seldom = replace(history, steps=history.steps[kept], values=history.values[kept])
    return replace(one, histories={**one.histories, ACCURACY: seldom})


def test_an_arm_that_is_evaluated_more_often_is_not_favoured() -> None:
    often = arms({"often": "by step"}, tau={"often": 9.0})[0]
    seldom = replace(
        often,
        name="seldom",
        runs=tuple(evaluated_every(replace(one, run_id=f"s{one.run_id}"), 2 * PER_EPOCH) for one in often.runs),
    )
    found = compared([often, seldom], target=0.8)
    assert {one.remark for one in (*found.finals, *found.speeds)} == {"no difference"}
    assert len({(one.best.value, one.roughness.value, one.area.value) for one in found.arms}) == 1
    assert (
        "Runs were evaluated at different places (seldom every 100 steps; often every 50 steps). Only the 21 "
        "evaluations that all have are compared and shown." in found.notes
    )


def test_schedules_without_common_places_are_said() -> None:
    often = arms({"often": "by step"}, tau={"often": 9.0})[0]
    odd = replace(
        often,
        name="odd",
        runs=tuple(
            replace(
                one,
                run_id=f"o{one.run_id}",
                histories={ACCURACY: replace(one.histories[ACCURACY], steps=one.histories[ACCURACY].steps * 7 // 10)},
            )
            for one in often.runs
        ),
    )
    found = compared([often, odd], target=0.8)
    assert any("which favours the one that is evaluated more often" in note for note in found.notes)
    assert all(len(trial.curve.steps) == EPOCHS + 1 for one in found.arms for trial in one.trials)


@pytest.mark.parametrize(("told", "said"), [("True", True), ("true", True), ("False", False), (None, False)])
def test_a_metric_of_the_test_images_is_said_to_be_one(told: str | None, said: bool) -> None:
    params = {} if told is None else {"data.validate_on_test": told}
    made = [
        arm(
            "adam",
            [as_run(training(seed, 4), STYLES["ours"], name="adam", seed=seed, params=params) for seed in range(3)],
        ),
        *arms({"sgd": "ours"}, 3),
    ]
    found = compared(made, target=0.8)
    assert found.on_test_images is said
    assert any("measured on the test images in runs of adam" in note for note in found.notes) is said


def test_without_any_evaluation_there_is_still_an_axis() -> None:
    gone = Run("a", "a", "FINISHED", {}, {names.TAG_VERDICT: "diverged"}, {}, histories={})
    axes = common_axis([arm("a", [gone])], ACCURACY)
    assert (axes.noun, axes.no_speed, axes.notes) == ("step", "", ())


def test_steps_of_epochs_that_differ_are_no_common_axis() -> None:
    # The epoch that Lightning logs tells that the one arm's batches are twice as large, though nothing names them.
    large = [as_run(training(n, 4.0, per_epoch=25), STYLES["lightning"], name="large", seed=n) for n in range(5)]
    small = [as_run(training(n, 4.0), STYLES["lightning"], name="small", seed=n) for n in range(5)]
    found = compared([arm("large", large), arm("small", small)])
    assert (found.axis, found.no_speed) == ("epoch", "")
    assert any(note.startswith("An epoch has 25 to 50 steps, so batch sizes seem to differ") for note in found.notes)
    (speed,) = found.speeds
    assert not speed.claimed
    assert speed.difference.value == pytest.approx(1)


def test_a_run_that_stopped_half_way_has_the_epochs_of_its_arm() -> None:
    def by_step(one: Training) -> tuple[dict[str, str], dict[str, list[tuple[int, float]]]]:
        return {"epochs": str(EPOCHS)}, {
            ACCURACY: [(PER_EPOCH * epoch, float(one.accuracy[epoch])) for epoch in range(1, one.epochs + 1)]
        }

    def stopped(seed: int) -> Training:
        one = training(seed, 4.0)
        return replace(one, accuracy=one.accuracy[: EPOCHS // 2 + 1]) if seed % 2 else one

    steps = [as_run(stopped(seed), by_step, name="steps", seed=seed) for seed in range(5)]
    whole = [as_run(training(seed, 4.0), STYLES["keras"], name="epochs", seed=seed) for seed in range(5)]
    found = compared([arm("steps", steps), arm("epochs", whole)], target=0.8)
    assert found.axis == "epoch"
    ends = {trial.run.run_id: trial.end for one in found.arms for trial in one.trials}
    assert [ends[f"steps/{seed}"] for seed in range(5)] == [EPOCHS, EPOCHS / 2, EPOCHS, EPOCHS / 2, EPOCHS]
    assert found.speeds[0].difference.value == pytest.approx(1)
