"""The command, from runs that plain MLflow calls logged to what it prints and writes."""

from __future__ import annotations

import csv
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from rich.cells import cell_len
from rich.console import Console

from lit_lossopt.__main__ import COMMANDS, main
from lit_lossopt.comparison import pipeline
from lit_lossopt.comparison.flags import FLAGS, parse
from lit_lossopt.comparison.report import terminal
from lit_lossopt.config.help import command_help
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.logging_styles import EPOCHS, PER_EPOCH, STYLES, training
from tests.support.plain_runs import learning, log_run

pytestmark = pytest.mark.usefixtures("store")
SPEEDS = {("Adam", 1e-3): 12.0, ("SGD", 1e-1): 5.0, ("SGD", 1e-2): 2.0}


def log_study(experiment: str = "study", seeds: int = 3) -> list[str]:
    return [
        log_run(
            experiment,
            {"optimizer": optimizer, "lr": rate, "seed": seed, "hostname": f"node{seed}"},
            learning(seed, speed),
            name=f"{optimizer} {rate} {seed}",
        )
        for (optimizer, rate), speed in SPEEDS.items()
        for seed in range(seeds)
    ]


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    return capsys.readouterr().out


def found(shown: str) -> str:
    """Return what was printed, without the command that is proposed last: it repeats what was typed."""
    return shown.partition("\nWith curves and every number: ")[0]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_runs_of_plain_calls_compare_by_arm(capsys: pytest.CaptureFixture[str]) -> None:
    log_study()
    shown = compared(capsys, "--csv", "tables")
    for name in ("Adam lr=0.001", "SGD lr=0.1", "SGD lr=0.01"):
        assert f"\n {name}  " in shown
    assert "not in 2,000" in shown
    assert "lossopt compare --csv tables --html report.html" in shown
    arms = rows(Path("tables/arms.csv"))
    assert [(arm["arm"], arm["runs"], arm["family"]) for arm in arms] == [
        ("Adam lr=0.001", "3", "Adam"), ("SGD lr=0.1", "3", "SGD"), ("SGD lr=0.01", "3", "SGD"),
    ]  # fmt: skip
    assert arms[2]["steps_to_target"] == "inf"
    assert len(rows(Path("tables/runs.csv"))) == 9
    curves = rows(Path("tables/curves.csv"))
    assert len(curves) == 9 * 21
    run = next(one for one in read_runs("study", metrics=["val/accuracy"]) if one.run_id == curves[0]["run_id"])
    assert float(curves[1]["value"]) == run.histories["val/accuracy"].values[1]
    quantities = {(row["quantity"], row["first"], row["second"]) for row in rows(Path("tables/contrasts.csv"))}
    assert ("steps_to_target", "Adam lr=0.001", "SGD lr=0.1") in quantities


def test_points_out_of_order_and_doubled_change_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    log_study("one")
    for (optimizer, rate), speed in SPEEDS.items():
        for seed in range(3):
            points = {name: list(values)[::-1] for name, values in learning(seed, speed).items()}
            points["val/accuracy"] = [(step, -1.0) for step, _ in points["val/accuracy"]] + points["val/accuracy"]
            log_run("other", {"optimizer": optimizer, "lr": rate, "seed": seed}, points, name=f"r{seed}")
    for name in ("one", "other"):
        shown = compared(capsys, "--experiment", name, "--csv", name)
    assert "9 runs logged several values at one step (r2: 21)" in shown
    assert rows(Path("one/arms.csv")) == rows(Path("other/arms.csv"))
    assert rows(Path("one/contrasts.csv")) == rows(Path("other/contrasts.csv"))


def test_accuracies_from_0_to_100_compare_like_those_from_0_to_1(capsys: pytest.CaptureFixture[str]) -> None:
    for (optimizer, rate), speed in SPEEDS.items():
        for seed in range(3):
            values = dict(learning(seed, speed))["val/accuracy"]
            for name, factor in (("as shares", 1), ("per cents", 100)):
                points = {"val_acc": [(step, factor * value) for step, value in values]}
                log_run(name, {"optimizer": optimizer, "lr": rate, "seed": seed}, points)
    shares = compared(capsys, "--experiment", "as shares", "--target", "0.9", "--margin", "0.02", "--csv", "1st")
    again = compared(capsys, "--experiment", "as shares", "--target", "90", "--margin", "0.02", "--csv", "1st")
    assert found(again) == found(shares)
    shown = compared(capsys, "--experiment", "per cents", "--target", "90", "--margin", "2", "--csv", "2nd")
    assert "val_acc was logged from 0 to 100, and tables show it from 0 to 1" in shown
    assert "90 % val_acc" in shown
    told = [line for line in found(shown).splitlines() if "logged from" not in line]
    assert told == found(shares).replace("1st", "2nd").replace("as shares:", "per cents:").splitlines()


def test_accuracies_in_two_units_are_not_compared_by_guess(capsys: pytest.CaptureFixture[str]) -> None:
    for name, factor in (("Adam", 100), ("SGD", 1)):
        for seed in range(3):
            values = dict(learning(seed, 8))
            points = {
                "val/accuracy": [(step, factor * value) for step, value in values["val/accuracy"]],
                "test/accuracy": [(step, factor * value) for step, value in list(values["val/accuracy"])[-1:]],
                "val/loss": [(step, 1 - value) for step, value in values["val/accuracy"]],
            }
            log_run("mixed", {"optimizer": name, "seed": seed}, points)
    said = refused(capsys, "--experiment", "mixed")
    assert (
        "goes above 1 in the runs of Adam and never in those of SGD. Are these from 0 to 1, or from 0 to 100?" in said
    )
    # As a number beside another metric it is left out where its unit is not sure.
    compared(capsys, "--experiment", "mixed", "--metric", "val/loss", "--csv", "tables")
    arms = {arm["arm"]: arm for arm in rows(Path("tables/arms.csv"))}
    assert float(arms["Adam"]["test/accuracy"]) < 1
    assert arms["SGD"]["test/accuracy"] == ""
    # This package logs shares, whatever others do.
    for run in read_runs("mixed"):
        if run.params["optimizer"] == "SGD":
            MlflowClient().set_tag(run.run_id, "lossopt.framework", "pytorch")
    compared(capsys, "--experiment", "mixed", "--csv", "tables")
    finals = [float(arm["final"]) for arm in rows(Path("tables/arms.csv"))]
    assert finals[0] == pytest.approx(finals[1])


@pytest.mark.parametrize(
    ("typed", "understood"),
    [(["--target", "90"], "target 90.0 %"), (["--margin", "2"], "within the margin of 2 points"),
     (["--margin", "0.02"], "within the margin of 2 points")],
)  # fmt: skip
def test_targets_and_margins_of_accuracies_are_typed_as_shares_or_points(
    typed: list[str], understood: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Adam", "SGD"):
        for seed in range(5):
            log_run("alike", {"optimizer": name, "seed": seed}, learning(seed + 100 * (name == "SGD"), 40))
    assert understood in compared(capsys, "--experiment", "alike", *typed)


def test_one_evaluation_has_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("Adam", 0.9), ("SGD", 0.8)):
        for seed in range(3):
            log_run("single", {"optimizer": name, "seed": seed}, {"test_acc": [(0, value + seed / 100)]})
    shown = compared(capsys, "--experiment", "single")
    assert "Speed cannot be told, since the runs have one evaluation each." in shown
    assert "do not differ in speed" not in shown


def test_arms_without_seeds_are_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    for name, speed in (("Adam", 8), ("SGD", 4)):
        log_run("seedless", {"optimizer": name}, learning(0, speed))
    assert "No claim can be made, since the arms share no seed." in compared(capsys, "--experiment", "seedless")


def test_odd_names_are_shown_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["<script>alert(1)</script>", "[red]ünï\x1b[31m\n[/red]", "=1+1"]
    for place, name in enumerate(odd):
        for seed in range(2):
            log_run("<b>odd\n[bold]", {"model": name, "seed": seed}, learning(seed, 3 + place), name=f"{name}\n")
    log_run("<b>odd\n[bold]", {"model": "x"}, learning(0, 1), name="[red]\x1b[31mbroken\n", status="FAILED")
    shown = compared(capsys, "--csv", "tables")
    for name in ("<script>alert(1)</script>", "[red]ünï [31m [/red]", "=1+1"):
        assert f" {name} " in shown
    assert "\x1b" not in shown
    assert {row["arm"] for row in rows(Path("tables/arms.csv"))} == {odd[0], "[red]ünï [31m [/red]", "=1+1"}


def test_experiment_filter_runs_and_by(capsys: pytest.CaptureFixture[str]) -> None:
    ids = log_study("first")
    log_run("second", {"optimizer": "Muon"}, learning(0, 3))
    assert "second: val/accuracy" in compared(capsys)
    assert "Muon" in compared(capsys)
    shown = compared(capsys, "--experiment", "first", "--filter", "params.optimizer = 'SGD'")
    assert ("lr=0.01" in shown, "Adam" in shown) == (True, False)
    shown = compared(capsys, "--runs", ",".join(run_id[:10] for run_id in (*ids[:2], *ids[3:5])), "--csv", "some")
    assert [row["runs"] for row in rows(Path("some/arms.csv"))] == ["2", "2"]
    assert "first: val/accuracy" in shown
    shown = compared(capsys, "--experiment", "first", "--by", "optimizer", "--csv", "by")
    assert [(row["arm"], row["runs"]) for row in rows(Path("by/arms.csv"))] == [("Adam", "3"), ("SGD", "6")]
    assert "Runs of one arm differ in more than their seed (lr)" in shown


def test_runs_that_count_and_those_that_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    log_study()
    diverged = {"val/accuracy": [(0, 0.1), (100, 0.3)], "train/loss": [(1, 2.3), (2, float("nan"))]}
    for seed in range(3):
        settings = {"optimizer": "SGD", "lr": 10, "seed": seed}
        log_run("study", settings, diverged, tags={"lossopt.verdict": "diverged"}, status="FAILED")
    log_run("study", {"optimizer": "Bad"}, learning(0, 1), status="FAILED", name="bad")
    log_run("study", {"optimizer": "Now"}, learning(0, 1), status="RUNNING", name="now")
    log_run("study", {"optimizer": "Old"}, learning(0, 1), tags={"lossopt.phase": "aside"}, name="old")
    MlflowClient().delete_run(log_run("study", {"optimizer": "Gone"}, learning(0, 1), name="gone"))
    shown = compared(capsys)
    assert "3 diverged" in shown
    assert "SGD lr=10" in shown
    assert "Left out, failed: bad." in shown
    assert "Left out, still running (or killed: lossopt sync marks it): now." in shown
    assert "Left out, deleted: gone." in shown
    assert "Left out, set aside: no longer in its sweep's plan: old." in shown


def test_runs_of_a_trainer_that_logs_where_it_wrote_compare_by_arm(capsys: pytest.CaptureFixture[str]) -> None:
    arms = (("adamw_torch", 12), ("sgd", 3))
    for number, (name, speed, seed) in enumerate((*one, seed) for one in arms for seed in range(3)):
        folder = f"out/runs/Jan05_12-11-2{number}_node{number}"
        settings = {
            "optim": name, "seed": seed, "data_seed": None, "logging_dir": folder,
            "output_dir": f"out/{name}-{seed}", "run_name": f"r{number}", "cache_key": f"k{number}z", "local_rank": 0,
        }  # fmt: skip
        log_run("trainer", settings, learning(seed, speed), name=f"r{number}")
    shown = compared(capsys, "--csv", "tables")
    assert [(arm["arm"], arm["runs"]) for arm in rows(Path("tables/arms.csv"))] == [("adamw_torch", "3"), ("sgd", "3")]
    assert "Left aside, since they only tell one run or seed from the next: cache_key." in shown
    assert "cannot be paired" not in shown


def test_parameters_are_ignored_and_the_seed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for name, speed in (("Adam", 12), ("SGD", 3)):
        for seed in range(3):
            settings = {"optimizer": name, "draw": seed, "room": (seed + len(name)) % 2, "shelf": seed % 2}
            log_run("x", settings, learning(seed, speed))
    shown = compared(capsys, "--ignore", "room,shelf", "--seed-name", "draw", "--csv", "one")
    assert [(arm["arm"], arm["runs"]) for arm in rows(Path("one/arms.csv"))] == [("Adam", "3"), ("SGD", "3")]
    assert "cannot be paired" not in shown
    again = compared(capsys, "--ignore", "room", "--ignore=shelf", "--seed-name=draw", "--csv", "one")
    assert found(again) == found(shown)
    compared(capsys, "--by", "room", "--ignore", "shelf", "--seed-name", "draw", "--csv", "by")
    assert {arm["arm"] for arm in rows(Path("by/arms.csv"))} == {"room=0", "room=1"}


def test_the_parent_of_a_search_is_no_arm(capsys: pytest.CaptureFixture[str]) -> None:
    for name, speed in (("Adam", 12), ("SGD", 3)):
        parent = log_run("search", {"optimizer": name, "trials": 3}, learning(0, speed), name=f"search {name}")
        for seed in range(3):
            tags = {"mlflow.parentRunId": parent}
            log_run(
                "search", {"optimizer": name, "seed": seed}, learning(seed, speed), tags=tags, name=f"{name} {seed}"
            )
    # A training with a child of its own, which measured something else, is one.
    training = log_run("search", {"optimizer": "Muon", "seed": 0}, learning(0, 5), name="training")
    log_run("search", {}, {"profile": [(0, 1.0)]}, tags={"mlflow.parentRunId": training}, name="profile")
    shown = compared(capsys, "--csv", "tables")
    assert {(arm["arm"], arm["runs"]) for arm in rows(Path("tables/arms.csv"))} == {
        ("Adam", "3"), ("SGD", "3"), ("Muon", "1"),
    }  # fmt: skip
    assert "Left out, holds other runs together: search Adam, search SGD." in shown


def test_another_metric_and_its_direction(capsys: pytest.CaptureFixture[str]) -> None:
    for name, end in (("a", 0.2), ("b", 0.4)):
        for seed in range(3):
            values = [(step, 2.3 - (2.3 - end) * step / 20 + 0.001 * seed) for step in range(21)]
            log_run("x", {"model": name, "seed": seed}, {"val_loss": values, "reward": values})
    compared(capsys, "--csv", "loss")
    assert [row["arm"] for row in rows(Path("loss/arms.csv"))] == ["a", "b"]
    assert "--higher-is-better or --lower-is-better" in refused(capsys, "--metric", "reward")
    compared(capsys, "--metric", "reward", "--higher-is-better", "--csv", "reward")
    assert [row["arm"] for row in rows(Path("reward/arms.csv"))] == ["b", "a"]


def test_a_comparison_is_kept_in_mlflow_and_never_compared(capsys: pytest.CaptureFixture[str]) -> None:
    log_study()
    shown = compared(capsys, "--log")
    (kept,) = [run for run in read_runs("study") if "lossopt.comparison" in run.tags]
    assert kept.run_id in shown
    found = {item.path for item in MlflowClient().list_artifacts(kept.run_id)}
    assert found == {"report.html", "comparison.json", "figures", "tables"}
    assert {item.path for item in MlflowClient().list_artifacts(kept.run_id, "tables")} == {
        f"tables/{name}.csv" for name in ("arms", "runs", "contrasts", "curves")
    }
    again = compared(capsys, "--csv", "again")
    assert "comparison" not in again
    assert len(rows(Path("again/runs.csv"))) == 9


def test_page_and_figures_are_written_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    log_study()
    shown = compared(capsys, "--html", "new/report.html", "--png", "figures")
    assert Path("new/report.html").stat().st_size > 10_000
    assert list(Path("figures").glob("*.png"))
    assert "html: new/report.html" in shown
    Path("file").touch()
    assert "compare --csv file/tables: cannot be written" in refused(capsys, "--csv", "file/tables")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--htlm", "x"], "compare --htlm: no such flag (did you mean '--html'?)"),
        (["--experiment"], "compare --experiment: expected one argument"),
        (["--target", "high"], "compare --target: invalid"),
        (["--margin=-1"], "compare --margin: invalid"),
        (["study"], "compare study: no such flag; names follow their flag"),
        (["--runs", "a", "--filter", "b"], "leave out --experiment and --filter"),
        (["--experiment", "studi"], "no experiment 'studi'"),
        (["--metric", "val/acuracy"], "did you mean 'val/accuracy'"),
        (["--by", "momentum"], "--by momentum: no run has such a parameter"),
        (["--ignore", "hostnam"], "--ignore hostnam: no run has such a parameter (did you mean 'hostname'?)"),
        (["--seed-name", "sed"], "--seed-name sed: no run has such a parameter or tag (did you mean 'seed'?)"),
        (["--ignore", "lr", "--by", "lr"], "--ignore lr: --by names it too, and a setting cannot be both"),
        (["--filter", "params.lr > 'x"], "filter"),
        (["--filter", "params.optimizer = 'Muon'"], "no runs that --filter"),
        (["--higher-is-better", "--lower-is-better"], "not allowed with argument"),
    ],
)
def test_what_was_typed_wrong_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    log_study(seeds=1)
    assert said in refused(capsys, *words)


def test_without_runs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no runs yet in sqlite:" in refused(capsys)
    log_run("x", {}, learning(0, 1), status="FAILED")
    assert "no runs to compare in x: failed" in refused(capsys)


def test_the_help_names_each_flag() -> None:
    shown = command_help("compare", COMMANDS["compare"], FLAGS)
    assert all(f"  {flag.head}" in shown for flag in FLAGS)


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], {"torch", "lightning", "mlflow", "numpy"}),
        ([], {"torch", "lightning", "mlflow"}),
        pytest.param(["--filter", "params.seed = '0'"], {"torch", "lightning"}, marks=pytest.mark.slow),
    ],
)
def test_neither_torch_nor_lightning_is_imported(words: list[str], unwanted: set[str]) -> None:
    log_study()
    code = (
        "import sys; from lit_lossopt.__main__ import COMMANDS, main; status = main(sys.argv[1:]); "
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, "compare", *words], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.partition("loaded ")[2].split())
    assert "lit_lossopt" in loaded
    assert not loaded & unwanted


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_and_keeps_what_matters(width: int) -> None:
    log_study()
    log_run("study", {"optimizer": "A" * 70, "lr": 1, "seed": 0}, learning(0, 4))
    comparison = pipeline.compared(read_runs("study"), parse([]), "study")
    file = StringIO()
    console = Console(file=file, width=width)
    console.print(terminal.arm_table(comparison, width, plain=True))
    lines = file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "final" in lines[1]
    assert ("steps to target" in lines[1]) == (width >= 80)
    assert ("best" in lines[1]) == (width >= 160)
    assert sum("SGD lr=0.1 " in line for line in lines) == 1


def log_styles(experiment: str, styles: dict[str, str], tau: dict[str, float]) -> None:
    for name, style in styles.items():
        for seed in range(3):
            params, points = STYLES[style](training(seed, tau[name]))
            log_run(experiment, {"optimizer": name, "seed": seed, **params}, points)


@pytest.mark.parametrize("style", [style for style in STYLES if style != "ours"])
def test_stores_of_several_programs_give_the_verdict_of_one(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    tau = {"Adam": 4.0, "SGD": 4.0, "Slow": 9.0}
    log_styles("mixed", {"Adam": "ours", "SGD": style, "Slow": style}, tau)
    shown = compared(capsys, "--experiment", "mixed", "--target", "0.8", "--all-pairs", "--csv", "tables")
    speeds = {
        frozenset((row["first"], row["second"])): row
        for row in rows(Path("tables/contrasts.csv"))
        if row["quantity"] == "steps_to_target"
    }
    alike, slow = (speeds[frozenset(("SGD", other))] for other in ("Adam", "Slow"))
    assert float(alike["difference"]) == pytest.approx(1, abs=1e-3)
    assert alike["claimed"] == "False"
    assert (slow["first"], slow["claimed"]) == ("SGD", "True")
    assert float(slow["difference"]) == pytest.approx(9 / 4, rel=0.02)
    arms = {row["arm"]: row for row in rows(Path("tables/arms.csv"))}
    (noun,) = {row["axis"] for row in arms.values()}
    assert f"{noun}s to target" in shown
    unit = {"epoch": 1, "step": PER_EPOCH}[noun]
    assert float(arms["SGD"]["steps_to_target"]) / unit == pytest.approx(4 * 2.08, rel=0.1)
    ends = {row["arm"]: row["place"] for row in rows(Path("tables/curves.csv"))}
    assert [float(end) for end in ends.values()] == [EPOCHS * unit] * 3
    by_epoch = style in {"by epoch", "keras", "deep obs"}
    assert ("were read as logged by epoch" in shown) is by_epoch
    assert (noun == "epoch") is by_epoch


def test_steps_that_may_be_epochs_give_no_speed(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        for name, style, epochs in (("A", "by step", 40), ("B", "by epoch", 25)):
            params, points = STYLES[style](training(seed, 4, epochs=epochs))
            log_run("unsure", {"optimizer": name, "seed": seed, **params}, points)
    shown = compared(capsys, "--experiment", "unsure", "--html", "report.html", "--png", "figures", "--csv", "tables")
    assert "Speed is not compared: evaluations of B are numbered one by one (to 25), by step or by epoch" in shown
    assert "faster" not in shown
    assert "to target" not in shown
    assert {row["steps_to_target"] for row in rows(Path("tables/arms.csv"))} == {""}
    assert not [row for row in rows(Path("tables/contrasts.csv")) if row["quantity"] == "steps_to_target"]


def test_never_is_said_of_each_arms_own_budget(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        for name, epochs in (("fast", 40), ("slow", 40), ("short", 24)):
            params, points = STYLES["ours"](training(seed, 4 if name == "fast" else 60, epochs=epochs))
            log_run("budgets", {"optimizer": name, "seed": seed, **params}, points)
    shown = compared(capsys, "--experiment", "budgets", "--target", "0.8")
    assert "not in 2,000" in shown.partition("\n slow  ")[2].partition("\n")[0]
    assert "not in 1,200" in shown.partition("\n short  ")[2].partition("\n")[0]
    assert "Runs differ in length (1,200 to 2,000 steps), and each counts at its own end." in shown


def test_batch_sizes_are_compared_by_examples_on_page_and_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        for size in (16, 64):
            params, points = STYLES["by step"](training(seed, 4, per_epoch=1600 // size, batch=size))
            log_run("batches", {"data.batch_size": size, "seed": seed, **params}, points)
    shown = compared(capsys, "--experiment", "batches", "--target", "0.8", "--html", "page.html", "--csv", "tables")
    assert "examples to target" in shown
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Examples and seconds to the target" in page
    assert "examples seen" in page
    (speed,) = [row for row in rows(Path("tables/contrasts.csv")) if row["quantity"] == "steps_to_target"]
    assert float(speed["difference"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("store")
def test_runs_without_any_finite_value_are_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "AB":
        log_run("x", {"optimizer": name, "seed": 0}, {"val_accuracy": [(step, float("nan")) for step in range(5)]})
    assert main(["compare"]) == 2
    assert "no run can be compared by val_accuracy: 2 without a finite val_accuracy" in capsys.readouterr().err
