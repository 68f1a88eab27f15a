"""Runs of other programs in the store: with all of their values, once, and fit for a comparison."""

from __future__ import annotations

import importlib.util
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support import foreign_logs
from tests.support.foreign_logs import BEGAN, EPOCHS, ODD, PER_EPOCH, RUNS, SECONDS, accuracy, loss
from tests.support.imports import imported, points

pytestmark = pytest.mark.usefixtures("store")
needs_tensorboard = pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard"), reason="needs tensorboard, the extra that reads its event files"
)

WIDE = ["--columns", "step=iteration,optimizer=opt,seed=Random Seed,train_loss=train loss,val_acc=acc"]
LONG = ["--columns", "step=step,metric=metric,value=value,run=name,optimizer=optimizer,seed=seed"]
# Format → who writes it, what is typed behind the path, and the names of accuracy and loss.
FORMATS: dict[str, tuple[Callable[[Path], object], list[str], str, str]] = {
    "keras-csv": (
        foreign_logs.write_keras_tables, ["--name-pattern", "{optimizer}_{seed}"], "val_accuracy", "loss"
    ),
    "keras-history": (
        foreign_logs.write_histories, ["--name-pattern", "{optimizer}_{seed}/history"], "val_accuracy", "loss"
    ),
    "wandb-chart": (
        foreign_logs.write_wandb_charts, ["--name-pattern", "{optimizer}-{seed}"], "val/acc", "train/loss"
    ),
    "wandb-history": (
        foreign_logs.write_wandb_histories, ["--name-pattern", "{optimizer}-{seed}"], "val/acc", "train/loss"
    ),
    "table, wide": (foreign_logs.write_wide, WIDE, "val_acc", "train_loss"),
    "table, long": (foreign_logs.write_long, LONG, "val_acc", "train_loss"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_its_values_to_the_bit_and_can_be_compared(
    name: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, words, metric, training = FORMATS[name]
    write(logs)
    runs = imported(logs, *words)
    assert {(run.params["optimizer"], int(run.params["seed"])) for run in runs} == set(RUNS)
    assert len(runs) == len(RUNS)
    for run in runs:
        arm, seed = run.params["optimizer"], int(run.params["seed"])
        by_epoch = name.startswith("keras")
        ends = range(EPOCHS) if by_epoch else range(PER_EPOCH - 1, EPOCHS * PER_EPOCH, PER_EPOCH)
        assert points(run, metric) == [(step, accuracy(arm, seed, epoch)) for epoch, step in enumerate(ends)]
        steps = range(EPOCHS if by_epoch else EPOCHS * PER_EPOCH)
        assert points(run, training) == [(step, loss(arm, seed, step)) for step in steps]
        assert run.status == "FINISHED"
        assert run.tags[names.TAG_IMPORTED_FROM] == str(logs)
        assert run.tags[names.TAG_IMPORTED_FORMAT] == name.partition(",")[0]
        assert len(run.tags[names.TAG_IMPORTED_SHA256]) == 64
        assert names.TAG_IMPORTING not in run.tags
    capsys.readouterr()
    assert main(["compare", "--experiment", "imported", "--html", "page.html"]) == 0
    assert "adam" in capsys.readouterr().out.split("faster than")[0]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_imported_twice_is_there_once(name: str, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, words, *_ = FORMATS[name]
    write(logs)
    first = imported(logs, *words)
    # Elsewhere, and written at another time.
    shutil.move(logs, logs.with_name("moved"))
    capsys.readouterr()
    again = imported(logs.with_name("moved"), *words)
    assert [run.run_id for run in again] == [run.run_id for run in first]
    said = capsys.readouterr().out
    assert "0 runs imported" in said
    assert said.count("imported already, as run") == len(RUNS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], Any]]:
    """Return the logs of Lightning's own loggers, and what was logged."""
    folder = tmp_path_factory.mktemp("lightning")
    logged = {(arm, seed): foreign_logs.train_with_lightning(folder, seed, arm) for arm, seed in RUNS}
    return folder, logged


@needs_tensorboard
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_what_lightning_logged_is_in_the_store(kind: str, trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder, logged = trained
    runs = imported(folder / kind)
    assert len(runs) == len(RUNS)
    for run in runs:
        told = logged[run.params["optimizer"], int(run.params["seed"])]
        assert points(run, "train_loss") == told["train_loss"]
        assert points(run, "val_acc") == told["val_acc"]
        assert run.histories["epoch"].values.max() == 3
        assert run.params == {
            "optimizer": run.params["optimizer"],
            "seed": run.params["seed"],
            "lr": "0.02",
            "net.width": "2",
        }
        assert run.name.startswith(f"{kind}/version_")
        assert run.tags[names.TAG_IMPORTED_FORMAT] == {"csv": "lightning-csv"}.get(kind, kind)
        # Event files have times, and tables have none.
        assert (run.end is None) == (kind == "csv")
        assert 0 < run.start <= (run.end or run.start)
    assert main(["compare", "--experiment", "imported"]) == 0
    # Above these folders nobody can know that both are of the same trainings.
    capsys.readouterr()
    assert main(["import", str(folder)]) == 2
    assert (
        "several formats are in it, lightning-csv (csv/version_0/metrics.csv) and tensorboard"
        in capsys.readouterr().err
    )
    assert len(imported(folder, "--format", runs[0].tags[names.TAG_IMPORTED_FORMAT])) == len(RUNS)


@needs_tensorboard
def test_a_file_of_events_is_read_up_to_a_half_record_and_refused_where_it_is_damaged(
    trained: Any, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = next(trained[0].glob("tensorboard/version_0/*tfevents*"))
    content = whole.read_bytes()
    # A half record, as a killed training leaves it; another byte; no event file at all.
    (logs / whole.name).write_bytes(content[:-5])
    assert len(imported(logs)) == 1
    assert "half a record at the end" in capsys.readouterr().out
    for broken in (content[:300] + b"x" + content[301:], b"no events"):
        (logs / whole.name).write_bytes(broken)
        assert main(["import", str(logs)]) == 2
        assert "damaged (the record at byte" in capsys.readouterr().err


@pytest.mark.slow
@needs_tensorboard
@pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow"), reason="needs keras and tensorflow, the extra tensorflow"
)
def test_what_keras_logged_is_in_the_store(logs: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.support.keras_logs", str(logs)],
        check=True,
        cwd=Path(foreign_logs.__file__).parents[2],
    )
    by_format = {}
    for kind, pattern in (
        ("csv", "{optimizer}_{seed}"),
        ("json", "{optimizer}_{seed}/history"),
        ("tensorboard", "{optimizer}_{seed}"),
    ):
        assert main(["import", str(logs / kind), "--experiment", kind, "--name-pattern", pattern]) == 0
        found = read_runs(kind, metrics=None)
        by_format[kind] = {(run.params["optimizer"], run.params["seed"]): run for run in found}
        assert len(by_format[kind]) == len(found) == 6
        words = ["--metric", "validation/epoch_accuracy"] if kind == "tensorboard" else []
        assert main(["compare", "--experiment", kind, *words]) == 0
    for key, run in by_format["csv"].items():
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert points(run, metric) == points(by_format["json"][key], metric)
        part, _, name = "val_accuracy".partition("_")
        events = by_format["tensorboard"][key].histories["validation/epoch_accuracy"]
        # Event files hold 32 bits.
        assert np.array_equal(events.values, run.histories[f"{part}_{name}"].values.astype(np.float32))


def test_keras_epochs_are_known_as_epochs_that_were_done(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign_logs.write_keras_tables(logs)
    run = imported(logs)[0]
    assert points(run, names.EPOCHS) == [(epoch, epoch + 1.0) for epoch in range(EPOCHS)]
    said = capsys.readouterr().out
    assert "6 runs: Keras counts epochs from 0" in said
    assert "no file says its settings" in said


def test_times_of_a_file_are_the_times_of_its_run(logs: Path) -> None:
    foreign_logs.write_wandb_histories(logs)
    run = imported(logs)[0]
    last = BEGAN + SECONDS * EPOCHS * PER_EPOCH
    assert (run.start, run.end) == (BEGAN * 1000, round(last * 1000))
    first = (BEGAN + SECONDS) * 1000
    assert run.histories["train/loss"].milliseconds.tolist()[:2] == [round(first), round(first + 1000 * SECONDS)]


def test_odd_values_survive_and_what_is_left_out_is_said_once(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logs / "odd.csv").write_text(ODD, encoding="utf-8")
    (run,) = imported(logs / "odd.csv", "--columns", "step=step,loss=loss,metric:mixed=mixed,metric:top (%)=none")
    values = run.histories["loss"].values
    assert run.histories["loss"].steps.tolist() == [0, 1, 2, 3, 4]
    # Of two rows with one step the later counts, as in a training that went on from a checkpoint.
    assert math.isnan(values[1])
    assert values[[0, 2, 3, 4]].tolist() == [0.1, math.inf, 1e-320, 0.30000000000000004]
    assert run.histories["mixed"].values.tolist() == [1.0, 2.0, 5.0, 6.0]
    said = capsys.readouterr().out
    assert "rows whose 'step' is no whole number (2)" in said
    assert "column 'note', which --columns does not name (8)" in said
    assert "text among the numbers of column 'mixed', as 'three' (1)" in said
    assert "left out: one column without values, top (%)" in said
    assert said.count("left out") == 4


def test_runs_of_two_programs_are_compared_where_their_metrics_get_one_name(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_logs.write_keras_tables(logs)
    keras = ["--name-pattern", "{optimizer}_{seed}", "--params", "framework=keras"]
    imported(logs, *keras, "--rename", "val_accuracy=val/accuracy")
    assert "metric 'val_accuracy' is stored as 'val/accuracy'" in capsys.readouterr().out
    foreign_logs.write_wide(logs)
    runs = imported(logs / "wide.csv", *WIDE, "--params", "framework=own", "--rename", "val_acc=val/accuracy")
    assert len(runs) == 2 * len(RUNS)
    assert {tuple(sorted(set(run.metrics) & {"val/accuracy", "val_acc"})) for run in runs} == {("val/accuracy",)}
    capsys.readouterr()
    assert main(["compare", "--experiment", "imported", "--by", "framework,optimizer"]) == 0
    said = capsys.readouterr().out
    # The same accuracies after the same epochs.
    assert "Curves are compared along epochs" in said
    assert "keras adam and own adam do not differ in speed, which is the same at every seed" in " ".join(said.split())
    assert main(["import", str(logs / "wide.csv"), *WIDE, "--rename", "val_ac=val/accuracy"]) == 2
    assert "no run has this metric (did you mean 'val_acc'?)" in capsys.readouterr().err


def test_a_dry_run_says_which_run_gets_what_and_writes_nothing(
    logs: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign_logs.write_wide(logs)
    before = store.read_bytes()
    assert main(["import", str(logs / "wide.csv"), *WIDE, "--params", "lr=0.1", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "logs/wide optimizer=adam seed=2 (table)" in said
    assert "  parameters: optimizer=adam seed=2 lr=0.1" in said
    assert f"  metric val_acc: {EPOCHS} values, steps 9 to 79" in said
    assert store.read_bytes() == before


def test_a_history_in_json_keeps_what_has_an_epoch(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logs / "history.json").write_text('{"loss": [NaN, 1, Infinity], "val_loss": [1], "note": "x", "lr": [1, null, 2]}')
    (run,) = imported(logs)
    assert run.histories["loss"].values.tolist()[1:] == [1.0, math.inf]
    assert points(run, "lr") == [(0, 1.0), (2, 2.0)]
    said = capsys.readouterr().out
    assert "values of 'val_loss', which are not as many as the epochs" in said
    assert "'note', which is no list of numbers" in said


def test_a_step_that_a_program_counts_itself_goes_before_that_of_wandb(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "_step,_timestamp,trainer/global_step,val_acc\n0,1700000000,49,0.5\n1,1700000001,99,0.75\n2,1700000002,,1\n"
    (logs / "run.csv").write_text(rows, encoding="utf-8")
    (run,) = imported(logs)
    assert points(run, "val_acc") == [(49, 0.5), (99, 0.75)]
    assert "trainer/global_step" not in run.metrics
    said = capsys.readouterr().out
    assert "1 run: The step is trainer/global_step" in said
    assert "rows whose 'trainer/global_step' is no whole number (1)" in said


def test_a_column_of_times_gives_a_table_its_times(logs: Path) -> None:
    (logs / "t.csv").write_text("n,at,loss\n1,2023-11-14T22:13:20+00:00,1\n2,1700000060,0.5\n", encoding="utf-8")
    (run,) = imported(logs / "t.csv", "--columns", "step=n,time=at,loss=loss")
    assert (run.start, run.end) == (1_700_000_000_000, 1_700_000_060_000)
    assert run.histories["loss"].milliseconds.tolist() == [run.start, run.end]
