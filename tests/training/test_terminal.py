"""What a person sees on a terminal while trainings and sweeps run, end, and are stopped."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.stored import stored_points
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.core.terminal_text import fitted
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.plans import write_plan
from tests.support.screen import Screen, Terminal

pytestmark = pytest.mark.usefixtures("store")
WORDS = ["fit", "--config=sgd_momentum", "--config=digits", "--threads=1", "--trainer.max_epochs=5"]
STEPS = 20
EVALUATION = re.compile(r"epoch (\d+)/5  step +(\d+)  loss \d\.\d{4}  val loss \d\.\d{4}  val accuracy [01]\.\d{4}")


@pytest.fixture(params=[80, 120])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    one = Terminal(request.param)
    yield one
    one.close()


def start(zygote: Zygote, words: list[str], terminal: Terminal, folder: Path, **more: str) -> int:
    store = os.environ["MLFLOW_TRACKING_URI"]
    return zygote.start(words, folder, terminal.path, {"MLFLOW_TRACKING_URI": store, **more})


def test_a_screen_shows_what_a_terminal_does() -> None:
    screen = Screen(8)
    screen.feed("12345678\rab\r\nlong line\x1b[A\rX\x1b[K\n\n\r  \rend")
    assert screen.lines == ["ab345678", "X", "e", "end"]


def test_a_stopped_training_leaves_whole_lines_and_the_command_that_goes_on(
    terminal: Terminal, zygote: Zygote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--allow-import=benchmarks", "--trainer.callbacks+=benchmarks.killing.pause.PauseAt"]
    process = start(zygote, words, terminal, tmp_path, **{MOMENT: f"batch:{(step := 3 * STEPS + 11)}"})
    terminal.read_until(lambda _: (tmp_path / MARK).exists())
    terminal.type(b"\x03")
    terminal.read_until(lambda sent: "^C" in sent)
    os.kill(process, signal.SIGINT)
    (tmp_path / MARK).unlink()
    assert zygote.wait(process) == 130
    screen = terminal.screen()
    evaluations = [found for line in screen.lines if (found := EVALUATION.fullmatch(line))]
    assert [(int(found[1]), int(found[2])) for found in evaluations] == [(n, n * STEPS) for n in (1, 2, 3)]
    # Nothing else is there but what is said of the end: no bar, no part of a line, no echo of the key.
    (run,) = read_runs("lit_lossopt")
    checkpoint = f"mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/last.ckpt"
    command = f"lossopt {shlex.join(words)} --ckpt_path {checkpoint}"
    said = [text for text in screen.paragraphs if text and not EVALUATION.fullmatch(text)]
    data = "data: 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); 1293 training, 144 validation, 360 test images"
    lines = len(fitted(data, terminal.columns).splitlines())
    assert " ".join(said[:lines]) == data
    assert said[lines:] == [
        f"stopped by Ctrl-C at step {step}", f"saved: step {step}, in", f"  {checkpoint}", "go on with:", f"  {command}"
    ]  # fmt: skip
    if terminal.columns == 80:
        assert main(shlex.split(command)[1:]) == 0
        assert f"run {run.run_id} goes on at step {step}" in capsys.readouterr().out
        np.testing.assert_array_equal(stored_points(run.run_id, "train/loss").steps, np.arange(1, 5 * STEPS + 1))


def test_a_training_on_a_terminal_ends_with_lines_alone(terminal: Terminal, zygote: Zygote, tmp_path: Path) -> None:
    words = [*WORDS, "--trainer.max_epochs=3", "--trainer.val_check_interval=10", "--tracking.experiment=my trials"]
    assert zygote.wait(start(zygote, words, terminal, tmp_path)) == 0
    shown = [text for text in terminal.screen().paragraphs if text]
    assert sum(text.startswith("epoch ") and len(text) <= 80 for text in shown) == 6
    (run,) = read_runs("my trials")
    data = [text for text in shown if not text.startswith("epoch ")][: 2 if terminal.columns == 80 else 1]
    assert data[0].startswith("data: 10 classes ")
    assert shown[6 + len(data) :] == [
        f"best val accuracy {run.metrics['best/val_accuracy']:.4f}",
        f"run {run.run_id} in experiment my trials",
        "compare its runs: lossopt compare --experiment 'my trials'",
        "look at them: mlflow ui, then open",
        f"  http://127.0.0.1:5000/#/experiments/{run.experiment_id}/runs?workflowType=machine_learning",
    ]


def test_a_bar_is_for_terminals_alone(zygote: Zygote, tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    assert zygote.wait(zygote.start([*WORDS, "--trainer.max_epochs=1"], tmp_path, output, {})) == 0
    assert "\r" not in output.read_text()


@pytest.mark.slow
def test_trials_in_this_process_leave_the_display_of_their_sweep_alone(
    terminal: Terminal, zygote: Zygote, tmp_path: Path
) -> None:
    write_plan(seeds=1, protocol="grid", extend=0)
    words = ["sweep", "--config=plan.yaml", "--engine=here"]
    assert zygote.wait(start(zygote, words, terminal, tmp_path, TERM="xterm")) == 0
    shown = terminal.screen().paragraphs
    assert sum(bool(re.match(r"\[\d/6\] grid (sgd|adam) lr=[\d.]+ seed=\d: val accuracy", text)) for text in shown) == 6
    assert not [text for text in shown if "it/s" in text or "Epoch " in text]
    assert sum("look at them" in text for text in shown) == 1
