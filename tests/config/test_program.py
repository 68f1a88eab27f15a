"""The program by its installed script: modules of the working folder are found as ``python -m`` finds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.core.program import typed
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.plans import write_plan

pytestmark = pytest.mark.usefixtures("store")
# The documented recipe for a network and a loss of one's own.
OWN = """
from torch import nn

from lit_lossopt.losses import LossContract, one_hot, one_per_class, register_loss, softmax


class Wide(nn.Sequential):
    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_outputs))


class Distance(nn.Module):
    def forward(self, logits, targets):
        return (logits.softmax(1) - targets).square().sum(1).mean()


register_loss(Distance, LossContract(one_hot, one_per_class, probabilities=softmax, source="here"))
"""
Script = Callable[..., int]


def run_as_script(words: list[str], folder: str) -> int:
    """Run words as an installed ``lossopt`` does that lies in a folder; for a process of its own."""
    sys.argv = [f"{folder}/lossopt", *words]
    sys.path[:] = [folder, *(place for place in sys.path if place not in ("", str(Path.cwd())))]
    return main()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Script]:
    """Return what runs words as the installed script does, in this process."""
    path, modules = list(sys.path), set(sys.modules)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "lossopt"), *words])
        sys.path[:] = [str(tmp_path / "bin"), *path]
        return main()

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_of_"):
            del sys.modules[name]


def test_the_documented_recipe_works_by_the_script(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_of_mine.py").write_text(OWN)
    own = ["--config=adam", "--config=digits", "--model.network=own_of_mine.Wide", "--allow-import=own_of_mine"]
    words = [*own, "--model.criterion=own_of_mine.Distance", "--threads=1"]
    assert script("fit", *words, "--trainer.max_epochs=2", "--trainer.max_steps=25") == 0
    (run,) = read_runs("lit_lossopt")
    folder = f"mlruns/lit_lossopt/{run.run_id}/artifacts"
    checkpoint = f"{folder}/checkpoints/last.ckpt"
    assert script("fit", *words, "--trainer.max_steps=30", "--ckpt_path=last", "--resume=force") == 0
    assert script("test", f"--config={folder}/config.yaml", f"--ckpt_path={checkpoint}", *own[3:]) == 0
    assert script("export", checkpoint, "--to=own.safetensors", *own[3:]) == 0
    write_plan(base={"data": "DigitsDataModule", "model.network": "own_of_mine.Wide"}, seeds=1, protocol="grid")
    assert script("sweep", "--config=plan.yaml", "--dry-run", *own[3:]) == 0
    assert "own_of_mine.Wide" in capsys.readouterr().out


def test_a_module_that_is_not_here_is_one_line(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=adam", "--config=digits", "--model.network=own_of_none.Wide", "--allow-import=own_of_none"]
    assert script("fit", *words) == 2
    shown = capsys.readouterr().err
    assert "own_of_none" in shown
    assert shown.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--workers=2"], ["--engine=ray"]], ids=["local", "ray"])
def test_trials_find_modules_of_the_folder(more: list[str], zygote: Zygote, tmp_path: Path) -> None:
    if "--engine=ray" in more:
        pytest.importorskip("ray")
    (tmp_path / "own_of_trials.py").write_text(OWN)
    base = {"data": "DigitsDataModule", "trainer.max_epochs": 1, "model.network": "own_of_trials.Wide"}
    write_plan(base=base, seeds=1, protocol="grid", extend=0)
    words = ["sweep", "--config=plan.yaml", "--allow-import=own_of_trials", *more]
    function, output = "tests.config.test_program:run_as_script", tmp_path / "output.txt"
    process = zygote.call(function, [words, str(tmp_path / "bin")], tmp_path, output)
    assert zygote.wait(process) == 0, output.read_text()
    assert "6 of 6 trials have results" in output.read_text()


@pytest.mark.slow
def test_ranks_find_modules_of_the_folder(zygote: Zygote, tmp_path: Path) -> None:
    (tmp_path / "own_of_ranks.py").write_text(OWN)
    words = ["fit", "--config=adam", "--config=digits", "--model.network=own_of_ranks.Wide", "--trainer.max_epochs=1"]
    more = ["--allow-import=own_of_ranks", "--trainer.accelerator=cpu", "--trainer.devices=2"]
    function, output = "tests.config.test_program:run_as_script", tmp_path / "output.txt"
    process = zygote.call(function, [[*words, *more], str(tmp_path / "bin")], tmp_path, output)
    assert zygote.wait(process) == 0, output.read_text()


@pytest.mark.parametrize(
    ("called", "said"),
    [("/x/bin/lossopt", "lossopt fit 'a b'"), ("/x/lit_lossopt/__main__.py", "python -m lit_lossopt fit 'a b'")],
)
def test_commands_are_said_as_the_program_was_called(called: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called, "fit"])
    assert typed(["fit", "a b"]) == said
