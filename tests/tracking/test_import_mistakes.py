"""Mistakes in what is imported are answered in one line, and nothing is written then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
from tests.support.permissions import bound_by_permissions

pytestmark = pytest.mark.usefixtures("store")


def files(**contents: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name, content in contents.items():
            path = folder / name.replace("__", "/").replace("_csv", ".csv").replace("_json", ".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    return write


def content(name: str, of_file: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(of_file)

    return write


def experiment_of_old(folder: Path) -> None:
    files(**{"my runs__mlruns__0__meta.yaml": "x", "my runs__mlruns__0__1f__meta.yaml": "x"})(folder)


# What is there, what is typed, and what is answered.
ERRORS: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "no path": (files(), [], "import: name the files or folders"),
    "no file": (files(), ["gone.csv"], "import gone.csv: there is no such file or folder in"),
    "nothing recognised": (files(a="x"), ["."], "none of its 1 files is a log. Looked for: metrics.csv of Lightning's"),
    "unknown table": (files(a_csv="iter,loss\n1,2\n"), ["a.csv"], "such a table (iter, loss). Say what its"),
    "folder of unknown tables": (files(a_csv="iter,loss\n1,2\n"), ["."], "say what the columns of a.csv are"),
    "unknown file": (files(a="x"), ["a"], "say what it is with --format lightning-csv|"),
    "no such column": (
        files(a_csv="iter,loss\n1,2\n"), ["a.csv", "--columns", "step=itre,loss=loss"],
        "--columns itre: a.csv has no such column (did you mean 'iter'?); there are: iter, loss",
    ),
    "no step": (files(a_csv="iter,loss\n1,2\n"), ["a.csv", "--columns", "loss=loss"], "counts the steps, as step=iter"),
    "names without values": (
        files(a_csv="step,metric,x\n1,a,2\n"), ["a.csv", "--columns", "step=step,metric=metric"], "has both, metric="
    ),
    "each row a run": (
        files(a_csv="step,lr,loss\n1,1,2\n2,2,2\n3,3,2\n"), ["a.csv", "--columns", "step=step,lr=lr,loss=loss"],
        "its 3 rows would be 3 runs. If it changes within a run, write metric:lr=lr",
    ),
    "short line": (
        files(metrics_csv="step,loss,acc\n1,2,3\n2,3\n"), ["metrics.csv"],
        "metrics.csv, line 3: the line is broken: it has 2 cells, and the header has 3",
    ),
    "half a line": (files(metrics_csv="step,loss\n1,2.5\n2,2"), ["metrics.csv"], "line 3: the line is broken: its end"),
    "open quotes": (files(metrics_csv='step,loss\n1,"2\n'), ["metrics.csv"], "the line is broken: unexpected end"),
    "empty": (files(metrics_csv=""), ["metrics.csv", "--format", "lightning-csv"], "metrics.csv: the file is empty"),
    "empty, and nothing said": (files(metrics_csv=""), ["metrics.csv"], "metrics.csv: the file is empty; leave it out"),
    "two columns without a name": (files(metrics_csv="step,,\n1,2,3\n"), ["metrics.csv"], "two columns have no name"),
    "compressed": (content("metrics.csv.gz", b"\x1f\x8b\x08"), ["metrics.csv.gz"], "it is compressed; unpack it first"),
    "compressed in a folder": (content("metrics.csv.gz", b"\x1f\x8b"), ["."], "unpack what is compressed, as gunzip"),
    "workbook": (
        content("a.xlsx", b"PK\x03\x04"), ["a.xlsx", "--columns", "step=a"], "it is a workbook or an archive; save its"
    ),
    "lines of JSON": (content("a.jsonl", b"{}"), ["a.jsonl"], "write its lines as CSV"),
    "no UTF-8": (content("metrics.csv", b"step,gr\xf6\xdfe\n"), ["metrics.csv"], "byte 7 is no UTF-8"),
    "chart along time": (
        files(a_csv='"Wall Time","adam - loss"\n1700000000,1\n'), ["a.csv"], "times are no steps; choose Step as"
    ),
    "charts along steps and epochs": (
        files(a_csv='"Step","a - x"\n1,1\n', b_csv='"epoch","a - y"\n1,1\n'), ["."], "have several x axes, 'epoch' (b"
    ),
    "two columns of one name": (files(metrics_csv="step,a,a\n1,2,3\n"), ["metrics.csv"], "'a' stands in it twice"),
    "no numbers": (files(metrics_csv="step,a\n1,x\n"), ["metrics.csv"], "no numbers at steps in it; left out: text in"),
    "broken JSON": (files(history_json='{"loss": [1, 2'), ["."], "history.json: it is no whole JSON"),
    "no history": (files(history_json='{"loss": 3}'), ["."], "no lists of numbers in it; json.dump(history.history"),
    "two formats": (
        files(metrics_csv="step,a\n1,2\n", k_csv="epoch,loss\n0,1\n"), ["."], "several formats are in it, keras-csv"
    ),
    "file store": (
        files(**{"old__0__meta.yaml": "x"}), ["old"], "mlflow migrate-filestore --source"
    ),
    "file store that has spaces": (experiment_of_old, ["my runs"], "--target 'sqlite:////"),
    "experiment in a file store": (experiment_of_old, ["my runs/mlruns/0"], "my runs/mlruns: a file store of old"),
    "file store further below": (experiment_of_old, ["."], "my runs/mlruns: a file store of old"),
    "wrong parameters": (files(), ["a", "--params", "lr"], "--params lr: must have the form NAME=VALUE"),
    "twice": (files(), ["a", "--params", "lr=1", "--params", "lr=2"], "lr stands in it twice"),
    "contradiction": (
        files(metrics_csv="step,a\n1,2\n", **{"hparams.yaml": "seed: 1\n"}), ["metrics.csv", "--params", "seed=2"],
        "it is known that seed is 1; leave out one of them",
    ),
    "no pattern": (files(), ["a", "--name-pattern", "adam"], "put each parameter once in braces"),
    "pattern that does not fit": (
        files(metrics_csv="step,a\n1,2\n"), ["metrics.csv", "--name-pattern", "{a}_x_{b}_y"], "does not fit it"
    ),
    "format and columns": (files(), ["a", "--format", "keras-csv", "--columns", "step=a"], "leave one of both out"),
    "unknown format": (files(), ["a", "--format", "excel"], "import --format: invalid choice: 'excel'"),
    "experiment": (files(), ["a", "--experiment", "a/b"], "import --experiment a/b: it names a folder below mlruns"),
    "broken YAML": (
        files(metrics_csv="step,a\n1,2\n", **{"hparams.yaml": "a: [1"}), ["metrics.csv"], "cannot be read as YAML"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_answered_in_one_line_and_writes_nothing(
    case: str, logs: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, words, answer = ERRORS[case]
    write(logs)
    monkeypatch.chdir(logs)
    before = store.read_bytes()
    assert main(["import", *words]) == 2
    said = capsys.readouterr()
    assert answer in said.err
    assert said.err.count("\n") == 1
    assert store.read_bytes() == before


@pytest.mark.parametrize("locked", ["a/metrics.csv", "a"])
def test_what_cannot_be_read_is_named_and_not_passed_over(
    locked: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        files(**{f"{name}__metrics_csv": "step,x\n1,2\n"})(logs)
    (logs / locked).chmod(0)
    for path in (logs, logs / locked):
        assert bound_by_permissions(lambda: main(["import", str(path)])) == 2  # noqa: B023  # called within this turn
        assert capsys.readouterr().err == (
            f"lossopt: import {logs / locked}: cannot be read: Permission denied; mend that, or leave it out\n"
        )
    (logs / locked).chmod(0o755)


def test_a_file_store_whose_place_is_taken_is_not_migrated_over_it(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment_of_old(logs)
    (logs / "my runs" / "mlflow.db").touch()
    assert main(["import", str(logs / "my runs")]) == 2
    said = capsys.readouterr().err
    assert f"If {logs}/my runs/mlflow.db holds its runs: export MLFLOW_TRACKING_URI=" in said
    assert f"--target 'sqlite:///{logs}/my runs/mlruns.db'" in said


def test_without_tensorboard_its_extra_is_named(logs: Path) -> None:
    (logs / "events.out.tfevents.1.host").write_bytes(b"")
    # As where it is not installed: a process that cannot find it.
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from lit_lossopt.__main__ import main; sys.exit(main(['import', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(logs)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'lit_lossopt[tensorboard]'" in done.stderr
