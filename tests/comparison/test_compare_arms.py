"""Synthetic runs with a known winner, ties, repeats, gaps and accidents: the right verdicts, and never a traceback."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from math import inf, isinf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns, Comparison, Decision
from lit_lossopt.comparison.report.csv_files import write_tables
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.statistics.winners import fastest
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import Run
from tests.support.synthetic_runs import ACCURACY, STEPS, arm, arms_of, compared, history, rising, run

Floats = NDArray[np.float64]
TAU = {"adam": 100.0, "momentum": 101.0, "sgd": 200.0}
TOP = {"adam": 0.70, "momentum": 0.702, "sgd": 0.64}
NLL = names.metric(names.VAL, "nll")


def noisy(name: str, seed: int) -> Floats:
    random = np.random.default_rng([seed, *name.encode()])
    return rising(TAU[name] * np.exp(0.05 * random.normal()), TOP[name]) + 0.004 * random.normal(size=len(STEPS))


def losses(name: str, seed: int) -> Floats:
    steps = np.arange(1000)
    batches = 0.1 * np.random.default_rng(seed).normal(size=1000)
    own = 0.02 * np.random.default_rng([seed, *name.encode()]).normal(size=1000)
    beat = 0.1 * (-1.0) ** steps if name == "sgd" else 0
    return 0.3 + 2 * np.exp(-steps / TAU[name]) + batches + own + beat


def probe(name: str, seed: int) -> Floats:
    """Return a loss that falls by 2; that of sgd swings by 0.1 about its fall."""
    steps = np.arange(1001)
    own = 0.002 * np.random.default_rng([seed, *name.encode()]).normal(size=1001)
    return 0.3 + 2 * np.exp(-steps / TAU[name]) + own + (0.05 * (-1.0) ** steps if name == "sgd" else 0)


def one_run(name: str, seed: int) -> Run:
    return run(noisy(name, seed), arm=name, seed=seed, losses=losses(name, seed), probe=probe(name, seed))


def three_arms(seeds: int = 8) -> list[ArmRuns]:
    return [arm(name, [one_run(name, seed) for seed in range(seeds)]) for name in TAU]


def verdicts(found: Comparison) -> dict[str, object]:
    """Return what a person would act on."""
    return {
        "order": [one.name for one in found.arms],
        "alike": set(found.alike),
        "alike in speed": set(found.alike_speed),
        "fastest": fastest(found.arms).name,
        "claims": {
            (one.quantity, one.first, one.second)
            for one in (*found.finals, *found.speeds, *found.oscillations)
            if one.claimed
        },
    }


def test_a_known_winner() -> None:
    found = compared(three_arms())
    assert verdicts(found) == {
        "order": ["momentum", "adam", "sgd"],
        "alike": {"momentum", "adam"},
        "alike in speed": {"adam", "momentum"},
        "fastest": fastest(found.arms).name,
        "claims": {
            ("final", "momentum", "sgd"),
            ("steps_to_target", fastest(found.arms).name, "sgd"),
            ("climb_back", "adam", "sgd"),
            ("climb_back", "momentum", "sgd"),
        },
    }
    assert found.target == pytest.approx(0.95 * np.median([trial.final for trial in found.arms[0].trials]))
    assert [one.reached for one in found.arms] == [8, 8, 0]
    assert [isinf(one.steps_to_target.value) for one in found.arms] == [False, False, True]
    assert found.comparisons == 9
    assert found.level == pytest.approx(0.05 / 8.3, rel=0.02)
    assert not found.notes
    assert not found.left_out
    speed = next(one for one in found.speeds if "sgd" in {one.first, one.second})
    # Each sgd run would have gone on for 1,000 steps.
    first = {trial.seed: trial.steps_to_target for trial in fastest(found.arms).trials}
    assert speed.difference.value == pytest.approx(np.exp(np.mean([np.log(1000 / steps) for steps in first.values()])))
    assert speed.missed == (0, 8)
    assert speed.at_least


def test_numbers_of_one_run() -> None:
    curve = np.linspace(0.0, 1.0, len(STEPS))
    found = compared([arm("only", [run(curve, seed=3, more={NLL: history(3 - 2 * curve)})], rate=0.1)], target=0.5)
    trial = found.arms[0].trials[0]
    assert trial.seed == "3"
    assert trial.steps_to_target == pytest.approx(500)
    assert trial.seconds_to_target == pytest.approx(5)
    assert trial.examples_to_target == pytest.approx(32_000)
    assert trial.area == pytest.approx(0.5)
    assert trial.final == pytest.approx((0.95 + 1) / 2)
    assert (trial.best, trial.best_step) == (1.0, 1000)
    assert trial.scores == {NLL: pytest.approx(3 - 2 * 0.975)}
    assert trial.oscillation is not None
    assert trial.oscillation.drops == 0
    assert isnan(trial.ripple)
    assert found.target_origin == "as asked for"


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(3)), st.permutations(range(8)))
def test_the_order_of_arms_and_runs_changes_nothing(arms: list[int], seeds: list[int]) -> None:
    made = three_arms()
    found = compared(made)
    shuffled = [replace(made[index], runs=tuple(made[index].runs[seed] for seed in seeds)) for index in arms]
    again = compared(shuffled)
    assert answer(again) == answer(found)
    assert verdicts(again) == verdicts(found)


@settings(max_examples=5, deadline=None)
@given(st.permutations(["x", "y", "z"]))
def test_other_names_give_the_same_verdicts_under_those_names(other: list[str]) -> None:
    made = three_arms()
    renamed = [replace(one, name=name, family=name) for one, name in zip(made, other, strict=True)]
    before, after = compared(made), compared(renamed)
    named = dict(zip([one.name for one in made], other, strict=True))
    assert [one.name for one in after.arms] == [named[one.name] for one in before.arms]
    assert {named[name] for name in before.alike} == set(after.alike)
    assert [one.final for one in after.arms] == [one.final for one in before.arms]
    assert [one.p_adjusted for one in after.finals] == [one.p_adjusted for one in before.finals]


def test_identical_arms_do_not_differ_and_are_not_tested() -> None:
    found = compared(arms_of(lambda _, seed: noisy("adam", seed), ["a", "b"]))
    made = (*found.finals, *found.speeds, *found.oscillations)
    assert [one.decision for one in made] == [Decision.SAME] * 3
    assert not any(one.claimed or one.equivalent or one.test for one in found.finals)
    assert found.finals[0].wins == 0.5


def test_equal_arms_within_the_margin_are_equivalent_and_beyond_it_are_not() -> None:
    made = arms_of(lambda name, seed: noisy("adam", seed + 100 * (name == "b")), ["a", "b"])
    assert compared(made).finals[0].equivalent
    assert not compared(made, margin=0.0001).finals[0].equivalent


@pytest.mark.parametrize("seeds", [1, 2])
def test_without_three_pairs_nothing_is_claimed(seeds: int) -> None:
    found = compared(three_arms(seeds))
    assert not any(one.claimed or one.equivalent for one in (*found.finals, *found.speeds, *found.oscillations))
    assert {one.remark for one in (*found.finals, *found.speeds)} == {"fewer than three pairs of seeds"}
    assert set(found.alike) == set(TAU)


def test_runs_without_a_seed_or_with_others_seeds_are_not_paired() -> None:
    none = arms_of(noisy, ["adam", "sgd"])
    nameless = [
        replace(one, runs=tuple(replace(r, tags={names.TAG_VERDICT: "completed"}) for r in one.runs)) for one in none
    ]
    found = compared(nameless)
    assert [one.remark for one in (*found.finals, *found.speeds)] == ["no seed in common"] * 2
    assert [len(one.trials) for one in found.arms] == [8, 8]
    assert found.notes[0] == "16 runs name no seed and cannot be paired."
    apart = [none[0], replace(none[1], runs=none[1].runs[5:])]
    few = compared(apart)
    assert few.finals[0].difference.n == 3
    assert few.notes[0] == "Seeds 0, 1, 2, 3, 4 are not in every arm, and only the arms that have them are paired."


def test_the_seed_may_be_a_parameter() -> None:
    made = arms_of(noisy, ["adam", "sgd"])
    by_params = [
        replace(one, runs=tuple(replace(r, tags={}, params={"seed": r.tags[names.TAG_SEED]}) for r in one.runs))
        for one in made
    ]
    assert verdicts(compared(by_params)) == verdicts(compared(made))


def test_diverged_runs_never_get_there_and_count_at_their_last_finite_evaluation() -> None:
    made = three_arms()
    early = np.concatenate([np.linspace(0.1, 0.69, 6), [0.1]])
    broken = [
        run(early, arm="sgd", seed=seed, verdict="diverged", more={"val/loss": history([2, 1, 1, 1, 1, 1, nan])})
        for seed in range(2)
    ]
    found = compared([*made[:2], replace(made[2], runs=(*broken, *made[2].runs[2:]))], target=0.6)
    sgd = next(one for one in found.arms if one.name == "sgd")
    assert sgd.verdicts == {"completed": 6, "diverged": 2}
    assert sgd.reached == 6
    assert isinf(sgd.trials[0].steps_to_target)
    assert sgd.trials[0].final == 0.69
    assert sgd.trials[0].curve.steps[-1] == 250
    # It keeps its last value to the end of the budget.
    assert sgd.trials[0].area > 0.6
    assert isnan(sgd.trials[0].ripple)
    speed = next(one for one in found.speeds if "sgd" in {one.first, one.second})
    assert speed.test == "paired t"
    assert speed.missed == (0, 2)
    assert "2 of 8 runs of sgd diverged." in answer(found)


def test_a_run_that_diverged_before_any_evaluation_still_counts() -> None:
    made = three_arms()
    gone = [run(None, arm="sgd", seed=seed, verdict="diverged") for seed in range(8)]
    found = compared([*made[:2], arm("sgd", gone)])
    sgd = found.arms[-1]
    assert sgd.name == "sgd"
    assert isnan(sgd.final.value)
    assert isinf(sgd.steps_to_target.value)
    assert any(one.claimed and one.second == "sgd" for one in found.speeds)
    assert "8 of 8 runs of sgd diverged." in answer(found)


@pytest.mark.parametrize("verdict", ["interrupted", "failed"])
def test_missing_data_is_listed_and_never_ranked(verdict: str) -> None:
    made = three_arms()
    perfect = run(np.ones(len(STEPS)), arm="sgd", seed=8, verdict=verdict)
    found = compared([*made[:2], replace(made[2], runs=(*made[2].runs, perfect))])
    assert verdicts(found) == verdicts(compared(made))
    assert [(one.run_id, one.reason) for one in found.left_out] == [("sgd/8", verdict)]


@pytest.mark.parametrize(
    ("status", "reason"), [("RUNNING", "running"), ("FAILED", "failed"), ("KILLED", "interrupted"), ("FINISHED", None)]
)
def test_without_a_verdict_the_status_decides(status: str, reason: str | None) -> None:
    odd = replace(run(noisy("adam", 0), arm="adam", seed=9), tags={names.TAG_SEED: "9"}, status=status)
    made = three_arms()
    found = compared([replace(made[0], runs=(*made[0].runs, odd)), *made[1:]])
    assert [one.reason for one in found.left_out] == ([reason] if reason else [])


def test_of_repeated_runs_the_newest_counts_whatever_their_order() -> None:
    made = three_arms()
    stale = [
        replace(one, run_id=f"old {one.run_id}", start=-1, histories={ACCURACY: history(np.ones(21))})
        for one in made[2].runs
    ]
    for runs in ((*stale, *made[2].runs), (*made[2].runs, *stale)):
        found = compared([*made[:2], replace(made[2], runs=runs)])
        assert verdicts(found) == verdicts(compared(made))
        assert {one.run_id for one in found.left_out} == {one.run_id for one in stale}
        assert found.notes[0] == "8 runs were repeated with the same seed, and the newest counts."


def test_clocks_that_go_back_change_nothing() -> None:
    made = three_arms()
    back = [
        replace(one, runs=tuple(
            replace(r, histories={
                name: replace(h, milliseconds=h.milliseconds[::-1].copy()) for name, h in r.histories.items()
            }) for r in one.runs
        )) for one in made
    ]  # fmt: skip
    assert verdicts(compared(back)) == verdicts(compared(made))


def test_budgets_that_differ_and_missing_tails_are_said() -> None:
    made = three_arms()
    short = replace(made[0], runs=tuple(
        replace(r, histories={
            name: replace(h, steps=h.steps[:15], values=h.values[:15], milliseconds=h.milliseconds[:15])
            for name, h in r.histories.items()
        }) for r in made[0].runs[:2]
    ) + made[0].runs[2:])  # fmt: skip
    found = compared([short, *made[1:]])
    assert found.notes == ("Runs differ in length (700 to 1,000 steps), and each counts at its own end.",)
    assert {one.name: one.reached for one in found.arms}["adam"] == 8


def test_oddities_give_results_and_words() -> None:
    flat = np.full(len(STEPS), 0.5)
    spotted = flat.copy()
    spotted[[3, 20]] = nan, inf
    one_point = np.array([0.5])
    cases = {
        "flat": run(flat), "spotted": run(spotted), "single": run(one_point), "zero": run(np.zeros(len(STEPS))),
        "no seconds": replace(run(flat), histories={ACCURACY: history(flat)}),
        "short losses": run(flat, losses=[1.0, 2.0, nan]), "flat losses": run(flat, losses=np.ones(500)),
        "nan losses": run(flat, losses=np.full(500, nan)), "collapsed": run(flat, verdict="collapsed"),
    }  # fmt: skip
    made = [
        arm(
            name,
            [replace(one, run_id=f"{name}{seed}", tags={**one.tags, names.TAG_SEED: str(seed)}) for seed in range(4)],
        )
        for name, one in cases.items()
    ]
    for count in (1, 2, len(made)):
        found = compared(made[:count])
        assert all(answer(found))
    assert answer(compared(made, all_pairs=True))
    assert {one.name for one in found.arms} == set(cases)
    spots = next(one for one in found.arms if one.name == "spotted").trials[0]
    assert len(spots.curve.steps) == len(STEPS) - 2
    seconds = next(one for one in found.arms if one.name == "no seconds").trials[0]
    assert isnan(seconds.seconds_to_target)
    assert not isnan(seconds.steps_to_target)


def test_nothing_to_compare_is_one_line() -> None:
    broken = [run(noisy("adam", seed), arm="adam", seed=seed, verdict="failed") for seed in range(3)]
    with pytest.raises(UserError, match=r"^no run can be compared by val/accuracy: 3 failed; 1 never evaluated$"):
        compared([arm("adam", broken), arm("sgd", [run(None, arm="sgd")])])


def test_where_lower_is_better_the_winner_is_the_lowest() -> None:
    def falling(name: str, seed: int) -> Floats:
        return 2.4 - 2 * noisy(name, seed)

    made = [
        replace(one, runs=tuple(replace(r, histories={**r.histories, NLL: r.histories[ACCURACY]}) for r in one.runs))
        for one in arms_of(falling, list(TAU))
    ]
    found = compared(made, metric=NLL, higher_is_better=False, margin=0.05)
    assert [one.name for one in found.arms] == ["momentum", "adam", "sgd"]
    assert set(found.alike) == {"momentum", "adam"}
    contrast = next(one for one in found.finals if "sgd" in {one.first, one.second})
    assert contrast.first == "momentum"
    assert contrast.difference.low <= contrast.difference.value <= contrast.difference.high < 0
    assert contrast.claimed
    first = np.median([trial.curve.values[0] for one in found.arms for trial in one.trials])
    best = np.median([trial.final for trial in found.arms[0].trials])
    assert found.target == pytest.approx(first - 0.95 * (first - best))
    assert found.arms[0].reached == 8
    assert found.target_origin.startswith("95 % of the way from the first evaluation")


@pytest.mark.parametrize(
    ("metric", "name"), [("val/loss", "criterion"), ("train/loss", "criterion"), ("val_loss", "loss_fn")]
)
def test_values_of_different_losses_are_not_ranked(metric: str, name: str) -> None:
    def with_loss(arm_name: str, criterion: str) -> ArmRuns:
        more = {metric: history(2 - rising(100))}
        return arm(arm_name, [run(rising(100), arm=arm_name, more=more, params={name: criterion})])

    options = {"metric": metric, "higher_is_better": False}
    pair = [with_loss("a", "CrossEntropyLoss"), with_loss("b", "MSELoss")]
    with pytest.raises(UserError, match=rf"^{metric} of different losses .*val/accuracy or val/nll$"):
        compared(pair, **options)
    compared(pair)
    compared([with_loss("a", "MSELoss"), with_loss("b", "MSELoss")], **options)


def test_one_loss_with_other_arguments_is_another_loss() -> None:
    def smoothed(name: str, amount: str) -> ArmRuns:
        params = {"criterion": "CrossEntropyLoss", "criterion.label_smoothing": amount}
        return arm(name, [run(rising(100), arm=name, more={"val/loss": history(2 - rising(100))}, params=params)])

    with pytest.raises(UserError, match=r"label_smoothing=0\.1"):
        compared([smoothed("a", "0.0"), smoothed("b", "0.1")], metric="val/loss", higher_is_better=False)


def test_ripple_needs_the_same_batches() -> None:
    made = three_arms()
    other = replace(made[2], runs=tuple(replace(one, params={"data.batch_size": "128"}) for one in made[2].runs))
    found = compared([*made[:2], other])
    assert all(isnan(one.ripple.value) for one in found.arms)
    assert "no ripple" in found.notes[0]


def test_with_two_arms_ripple_is_a_ratio_and_is_said_to_be() -> None:
    found = compared(three_arms()[::2])
    assert found.ripple_is_ratio
    assert "ratio" in found.notes[0]
    low, high = (arm.ripple.value for arm in sorted(found.arms, key=lambda arm: arm.name))
    assert low * high == pytest.approx(1, rel=0.02)


def test_ratios_of_ripple_among_more_than_two_arms_are_not_given() -> None:
    kept = {"adam": range(8), "momentum": range(4), "sgd": range(4, 8)}
    arms = [replace(one, runs=tuple(one.runs[seed] for seed in kept[one.name])) for one in three_arms()]
    found = compared(arms)
    assert all(isnan(one.ripple.value) for one in found.arms)
    assert not found.ripple_is_ratio
    assert any("not the same two" in note for note in found.notes)


def test_tuning_feeds_sensitivity_and_budget_only() -> None:
    tuning = [
        arm(f"adam lr={rate}", [run(np.full(21, final), arm=f"tuning {rate}", verdict=verdict)], rate, "adam")
        for rate, final, verdict in [
            (0.001, 0.6, "completed"), (0.01, 0.71, "completed"), (0.1, 0.3, "diverged"), (1.0, 0.9, "failed"),
        ]
    ]  # fmt: skip
    made = [replace(one, learning_rate=0.01) for one in three_arms()]
    found = compared(made, tuning=tuning)
    assert verdicts(found) == verdicts(compared(made))
    (curve,) = found.sensitivity
    assert (curve.family, curve.best_rate, curve.diverging) == ("adam", 0.01, 0.1)
    assert len(curve.points) == 8 + 3
    (budget,) = found.budgets
    assert budget.expected == pytest.approx([(0.6 + 0.71 + 0.3) / 3, (0.71 * 2 + 0.6) / 3, 0.71])


def test_all_pairs_on_request() -> None:
    assert len(compared(three_arms()).finals) == 2
    every = compared(three_arms(), all_pairs=True)
    assert len(every.finals) == len(every.speeds) == 3
    # What is shown changes; what is claimed does not.
    assert every.alike == compared(three_arms()).alike


def test_the_interval_of_an_accuracy_ends_where_accuracies_do() -> None:
    finals = {"adam": (1.0, 0.98, 1.0), "sgd": (0.0, 0.03, 0.0)}
    made = compared(arms_of(lambda name, seed: np.full(len(STEPS), finals[name][seed]), list(finals), 3))
    best, worst = (one.final for one in made.arms)
    assert (best.high, worst.low) == (1.0, 0.0)
    assert 0 < worst.high < best.low < 1


def test_from_ten_pairs_on_a_bootstrap_interval_stands_in_the_table(tmp_path: Path) -> None:
    def row(seeds: int) -> dict[str, str]:
        write_tables(compared(three_arms(seeds)), tmp_path)
        with (tmp_path / "contrasts.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return next(one for one in rows if one["quantity"] == "final" and "sgd" in {one["first"], one["second"]})

    eight, ten = row(8), row(10)
    assert not eight["bootstrap_low"]
    low, value, high = (float(ten[name]) for name in ("bootstrap_low", "difference", "bootstrap_high"))
    assert low < value < high
    assert float(ten["p_sign_flip"]) == 2 / 2**10
    assert ten["decision"] == "claimed"


def test_a_target_met_before_training_takes_one_step() -> None:
    found = compared(arms_of(noisy, ["adam", "sgd"]), target=0.01)
    assert [one.steps_to_target.value for one in found.arms] == [0, 0]
    assert found.speeds[0].remark == "no difference"


def test_no_run_reaches_the_target() -> None:
    found = compared(three_arms(), target=0.99)
    assert not found.speeds
    assert found.comparisons == 6
    assert "No run reached 99 % validation accuracy." in answer(found)


def test_a_verdict_needs_no_heavy_imports() -> None:
    heavy = ("torch", "lightning", "mlflow", "matplotlib", "plotly", "pandas")
    code = (
        f"import sys, lit_lossopt.comparison.report.verdict; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
