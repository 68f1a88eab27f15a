"""Files as people really have them: each value is in the store, and what was read as something else is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from tests.support.imports import imported, points

pytestmark = pytest.mark.usefixtures("store")

Points = list[tuple[int, float]]
FALLING: Points = [(0, 1.5), (1, 0.75)]


class Odd(NamedTuple):
    """What is there, what is typed, what is said, and what is in the store."""

    files: Mapping[str, bytes]
    words: list[str]
    said: list[str]
    metrics: Mapping[str, Points]


def text(path: str, content: str, encoding: str = "utf-8") -> dict[str, bytes]:
    return {path: content.encode(encoding)}


CASES = {
    "UTF-16, as spreadsheets save text": Odd(
        text("metrics.csv", "step\tloss\n0\t1.5\n1\t0.75\n", "utf-16"), ["."], [], {"loss": FALLING}
    ),
    "line ends of old": Odd(text("metrics.csv", "step,loss\r0,1.5\r1,0.75\r"), ["."], [], {"loss": FALLING}),
    "columns that a spreadsheet leaves": Odd(
        text("metrics.csv", "step,loss,,\n0,1.5,,\n1,0.75,,\n"), ["."], [], {"loss": FALLING}
    ),
    "decimal commas": Odd(
        text("a.csv", "step;loss;lr\n0;1,5;0,1\n1;0,75;0,1\n"),
        ["a.csv", "--columns", "step=step,loss=loss,metric:lr=lr"],
        ["Commas were read as decimal commas in 'loss' and 'lr'."],
        {"loss": FALLING, "lr": [(0, 0.1), (1, 0.1)]},
    ),
    "commas beside points are no decimal commas": Odd(
        text("a.csv", "step;loss;sizes\n0;1.5;32,64\n1;0.75;32,64\n"),
        ["a.csv", "--columns", "step=step,loss=loss,metric:sizes=sizes"],
        ["left out: text in column 'sizes' (2)"],
        {"loss": FALLING},
    ),
    "commas that may be of thousands": Odd(
        text("a.csv", "step;loss;n\n0;1;1,234\n1;1;2,345\n"),
        ["a.csv", "--columns", "step=step,loss=loss,metric:n=n"],
        ["left out: text in column 'n' (2)"],
        {"loss": [(0, 1.0), (1, 1.0)]},
    ),
    "marks that only Python takes for parts of a number": Odd(
        text("metrics.csv", "step,loss\n0,1.5\n1,0.75\n2,1_0\n3_0,1\n"),
        ["."],
        ["text among the numbers of column 'loss', as '1_0' (1)", "rows whose 'step' is no whole number (1)"],
        {"loss": FALLING},
    ),
    "epochs in place of steps": Odd(
        text("a.csv", "epoch,loss\n0,1.5\n1,0.75\n"),
        ["a.csv", "--columns", "epoch=epoch,loss=loss"],
        ["The step is 'epoch', as --columns names none."],
        {"loss": FALLING, "epoch": [(0, 0.0), (1, 1.0)]},
    ),
    "runs that are mixed": Odd(
        text("a.csv", "step,seed,loss\n0,1,1.5\n1,1,0.75\n0,2,1.25\n1,2,0.5\n"),
        ["a.csv", "--columns", "step=step"],
        ["Some steps stand more than once.", "column 'seed', which --columns does not name; if it tells runs apart"],
        {"loss": [(0, 1.25), (1, 0.5)]},
    ),
    "a last line without an end": Odd(
        text("a.csv", "step,loss\n0,1.5\n1,0.75"),
        ["a.csv", "--columns", "step=step,loss=loss"],
        ["Its last line has no end."],
        {"loss": FALLING},
    ),
    "times of another form": Odd(
        text("a.csv", "step,at,loss\n0,31/01/2026 12:00,1.5\n1,2.5,0.75\n"),
        ["a.csv", "--columns", "step=step,time=at,loss=loss"],
        ["cells of 'at' that tell no time, as '31/01/2026 12:00' (2)"],
        {"loss": FALLING},
    ),
    "one run without a seed": Odd(
        text("metrics.csv", "step,loss\n0,1.5\n1,0.75\n"), [".", "--params", "lr=1"], ["no run says its seed"], {}
    ),
    "epochs of Keras that begin at 1": Odd(
        text("log.csv", "epoch,loss\n1,1.5\n2,0.75\n"),
        ["."],
        ["Its epochs do not begin at 0, so nobody can tell how many were done."],
        {"loss": [(1, 1.5), (2, 0.75)], "epoch": [(1, 1.0), (2, 2.0)]},
    ),
    "JSON with a mark before it, and a number that no float holds": Odd(
        text("history.json", f'\ufeff{{"loss": [1.5, 0.75], "big": [1, 1{"0" * 400}]}}'),
        ["."],
        ["left out: 'big', which is no list of numbers (2)"],
        {"loss": FALLING, names.EPOCHS: [(0, 1.0), (1, 2.0)]},
    ),
    "a history of W&B with the columns that were asked for": Odd(
        text("a.csv", ",_step,loss\n0,0,1.5\n1,1,0.75\n"), ["."], ["1 of wandb-history"], {"loss": FALLING}
    ),
    "a history that W&B has cut": Odd(
        text("a.csv", "_step,_runtime,loss\n" + "".join(f"{7 * row},1,1\n" for row in range(500))),
        ["."],
        ["It has 500 rows, to which W&B's history() cuts longer runs. scan_history() gives all."],
        {},
    ),
    "a chart of W&B along epochs": Odd(
        text("a.csv", '"epoch","adam - loss"\n0,1.5\n1,0.75\n'),
        ["."],
        ["The step is 'epoch', the x axis of its chart."],
        {"loss": FALLING, "epoch": [(0, 0.0), (1, 1.0)]},
    ),
    "files beside the logs": Odd(
        {**text("metrics.csv", "step,loss\n0,1.5\n1,0.75\n"), "old/metrics.csv.gz": b"\x1f\x8b", "notes.csv": b"a,b\n"},
        ["."],
        ["table that no format fits (1), as notes.csv", "not read: compressed file, which gunzip unpacks (1)"],
        {"loss": FALLING},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_odd_is_read_exactly_and_said(
    case: str, logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = CASES[case]
    monkeypatch.chdir(logs)
    for name, content in odd.files.items():
        (logs / name).parent.mkdir(exist_ok=True)
        (logs / name).write_bytes(content)
    (run,) = imported(*odd.words)
    said = capsys.readouterr().out
    for words in odd.said:
        assert words in said
    for metric, wanted in odd.metrics.items():
        assert points(run, metric) == wanted
    assert not odd.metrics or set(run.metrics) <= {*odd.metrics, "epoch"}
    # What is there already is read anew, and stays one run.
    assert len(imported(*odd.words)) == 1


def test_links_to_folders_elsewhere_are_named_and_not_followed(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(logs)
    for folder in (tmp_path / "elsewhere", logs / "version_0"):
        folder.mkdir()
        (folder / "metrics.csv").write_text("step,loss\n0,1\n", encoding="utf-8")
    (logs / "latest").symlink_to("version_0")
    (logs / "linked").symlink_to(tmp_path / "elsewhere")
    assert len(imported(".")) == 1
    said = capsys.readouterr().out
    assert "not read: link to a folder, which you may name itself (1), as linked" in said
    assert len(imported("linked", "--params", "seed=1")) == 1
    (logs / "version_0" / "metrics.csv").unlink()
    assert main(["import", "."]) == 2
    assert "name the folder to which linked is a link" in capsys.readouterr().err


def write_same(folder: Path) -> None:
    """Write two trainings that gave nothing but NaN."""
    for name in ("adam_1", "sgd_1"):
        (folder / f"{name}.csv").write_text("epoch,loss\n0,nan\n1,nan\n", encoding="utf-8")


ORDERS: dict[str, Callable[[Path], list[list[Path]]]] = {
    "together": lambda logs: [[logs]],
    "one by one": lambda logs: [[logs / "adam_1.csv"], [logs / "sgd_1.csv"]],
    "the second first": lambda logs: [[logs / "sgd_1.csv"], [logs]],
    "again": lambda logs: [[logs], [logs / "sgd_1.csv"], [logs / "adam_1.csv"], [logs]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_runs_of_one_content_are_told_apart_in_any_order(order: str, logs: Path) -> None:
    write_same(logs)
    for paths in ORDERS[order](logs):
        runs = imported(*paths, "--name-pattern", "{optimizer}_{seed}")
    assert sorted((run.name, run.params["optimizer"]) for run in runs) == [
        ("logs/adam_1", "adam"), ("logs/sgd_1", "sgd")
    ]  # fmt: skip
    assert all(math.isnan(value) for run in runs for value in run.histories["loss"].values)


def test_a_log_that_has_grown_is_known_by_any_path(
    logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "metrics.csv").write_text("step,loss\n0,1\n1,nan\n", encoding="utf-8")
    (older,) = imported(logs)
    (logs / "metrics.csv").write_text("step,loss\n0,1\n1,nan\n2,0.25\n", encoding="utf-8")
    monkeypatch.chdir(logs)
    capsys.readouterr()
    assert len(imported("metrics.csv")) == 2
    assert f"its beginning was imported before, as run {older.run_id}, which stays" in capsys.readouterr().out


def test_charts_of_a_run_that_come_one_by_one_are_named(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for metric in ("loss", "acc"):
        (logs / f"{metric}.csv").write_text(f'"Step","adam - {metric}"\n0,1\n1,0.5\n', encoding="utf-8")
    (first,) = imported(logs / "loss.csv")
    capsys.readouterr()
    assert len(imported(logs / "acc.csv")) == 2
    assert f"other metrics of it are in run {first.run_id}. To join them, delete both" in capsys.readouterr().out


def test_runs_of_one_table_keep_their_order_and_have_places_of_their_own(logs: Path) -> None:
    rows = "".join(f"{step},{seed},{1 / (step + 1)}\n" for seed in range(5) for step in range(3))
    (logs / "a.csv").write_text(f"step,seed,loss\n{rows}", encoding="utf-8")
    runs = imported(logs / "a.csv", "--columns", "step=step,seed=seed,loss=loss")
    assert [run.params["seed"] for run in runs] == ["0", "1", "2", "3", "4"]
    from mlflow.tracking import MlflowClient

    found = [MlflowClient().get_run(run.run_id) for run in runs]
    assert all(f"/{run.info.run_id}/artifacts" in run.info.artifact_uri for run in found)
    assert [run.info.run_name for run in found] == [f"logs/a seed={seed}" for seed in range(5)]
    assert [run.data.tags["mlflow.runName"] for run in found] == [run.info.run_name for run in found]
