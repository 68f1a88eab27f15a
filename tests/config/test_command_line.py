"""What a person types: errors in one line, at once, and nothing heavy imported for them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.render import pages
from lit_lossopt.__main__ import COMMANDS, flags_of, main
from lit_lossopt.config import completion
from lit_lossopt.config.files import shipped_names
from lit_lossopt.config.help import Command
from lit_lossopt.config.signatures import FAMILIES, class_parameters, class_paths, full_class_path
from lit_lossopt.inference.export.request import FLAGS
from lit_lossopt.sweeps.engines.table import ENGINES
from lit_lossopt.tracking.reading.runs import read_runs

WITHOUT_EXTRA = dataclasses.replace(FAMILIES["model.optimizer"], more=None)

HEAVY = ("torch", "torchvision", "lightning", "torchmetrics", "mlflow", "sklearn", "numpy", "jsonargparse")

TYPED_WRONG = [
    ("fitt", "no such command .did you mean 'fit'"),
    ("fit --config sgdd", "no such file, and no config of that name .did you mean 'sgd'"),
    ("fit foo", "foo: not a flag"),
    ("fit --config", "a value is missing"),
    ("fit --config --threads=1", "a value is missing"),
    ("fit --model.optimizer", "a value is missing"),
    ("fit --model.optimizer=Adm", "model.optimizer=Adm from the command line: no such class .did you mean 'Adam'"),
    ("fit --model.optimizer=torch.optim.Adan", "no such class .did you mean 'Adam'"),
    ("fit --model.criterion=CrossEntrpyLoss", "no such class .did you mean 'CrossEntropyLoss'"),
    ("fit --model.optimizer=SGD --model.optimizer.momentun=.9", "momentun=0.9 .*SGD has no argument .*'momentum'"),
    ("fit --config sgd --model.optimizer.betas=[1,2]", "SGD has no argument 'betas'"),
    ("fit --model.optimiser=SGD", "model has no 'optimiser' .did you mean 'optimizer'"),
    ("fit --modle.optimizer=SGD", "no such key .did you mean 'model'"),
    ("fit --seed=1", "no such key .did you mean 'seed_everything'"),
    ("fit --trainer.max_epoch=3", "trainer has no 'max_epoch' .did you mean 'max_epochs'"),
    ("fit --trainer.max_ep 3", "trainer has no 'max_ep'"),
    ("fit --tracking.experimnt=x", "tracking has no 'experimnt' .did you mean 'experiment'"),
    ("fit --data.bach_size=3", "DigitsDataModule has no argument 'bach_size' .did you mean 'batch_size'"),
    ("fit --model.optimizer.lr=.nan", "model.optimizer.lr=nan from the command line: not a finite number"),
    ("fit --model.optimizer.lr=-.inf", "model.optimizer.lr=-inf from the command line: not a finite number"),
    ("fit --model.network=evil.Net", "importing evil is not allowed to a config .*--allow-import evil"),
    ("fit --model.criterion=os.system", "importing os is not allowed"),
    ("fit --model.network=torch.hub.load", "importing torch is not allowed"),
    ("fit --model.num_classes=3", "set from the data or the seed"),
    ("fit --model=3", "give its parts"),
    ("fit --model.optimizer=null", "model.optimizer=None from the command line: not the name of a class"),
    ("fit --model.criterion=", "not the name of a class"),
    ("fit --model.network=null", "not the name of a class"),
    ("fit --data=null", "data=None from the command line: not the name of a class"),
    ("fit --data.seed=3", "data.seed from the command line: set by the program"),
    ("fit --model.network.num_outputs=3", "set by the program"),
    (f"fit --config {'x' * 300}", "no such file"),
    (f"test --ckpt_path {'x' * 300}", "no such file"),
    ("fit --data=3", "not the name of a class"),
    ("fit --ckpt_path=nothing.ckpt", "no such file"),
    ("fit --ckpt_path=https://example.org/x.ckpt", "only a local file is loaded"),
    ("test", "name trained weights with --ckpt_path"),
    ("predict --config adam", "name trained weights with --ckpt_path"),
    ("completion fish", "name one shell of bash, zsh"),
    ("configs foo", "takes no arguments"),
]


@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_one_line_and_exit_2(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lossopt: ")
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "model:\n  optimizer:\n    class_path: SGD\n    init_args: {lr: .inf}\n",
            r"model.optimizer.lr=inf from mine.yaml",
        ),
        ("model:\n  optimizer:\n    class_path: SGD\n    init_args: {lr: 1}\n    init_args: {lr: 2}\n", "stands twice"),
        ("model: {optimizer: {class_path: SGD, init_args: {lrr: 1}}}", "lrr=1 from mine.yaml: SGD has no argument"),
        ("model: {optimizer: {class_path: SGD, init_args: 3}}", "init_args=3 from mine.yaml: not a mapping"),
        ("model: {optmizer: SGD}", "model.optmizer from mine.yaml: model has no 'optmizer'"),
        ("fit: {model: {optimizer: SGD}}", "fit from mine.yaml: no such key"),
        ("trainer: {callbacks: [{class_path: subprocess.Popen, init_args: {args: [x]}}]}", "importing subprocess"),
        ("model: null", "model=None from mine.yaml: give its parts"),
        ("model: {optimizer: {class_path: SGD, lr: 1, init_args: {lr: 2}}}", "lr from mine.yaml: stands twice"),
        ("trainer: 3", "trainer=3 from mine.yaml: give its parts"),
        ("model.optimizer.lrr: 3", "lrr=3 from mine.yaml: SGD has no argument"),
    ],
)
def test_an_error_in_a_file_names_the_file(content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(content)
    assert main(["fit", "--config", "adamw", "--config", "sgd", "--config", "mine.yaml"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


LIGHT = [
    "--help", "fit --help", "test -h", "demo --help", "configs", "completion bash", "__complete fit --mo",
    "sweep --help", "sweep --config sweep_losses --dry-run",
    "fit --config sgdd", "fit --model.optimizer=Adm", "fit --model.optimizer.lrr=3", "fit --trainer.max_epoch=3",
    "export x --to x.pt", "bench --help", "bench --seconds=0", "bench --config sgdd",
]  # fmt: skip


@pytest.mark.parametrize("typed", LIGHT)
def test_help_and_typing_errors_import_nothing_heavy(typed: str) -> None:
    program = f"import sys; from lit_lossopt.__main__ import main; main({typed.split()!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.splitlines()[-1].split())


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_a_command_is_one_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = Command("say the words", "builtins:print", "WORD", "lit_lossopt.inference.export.request:FLAGS", "A note.")
    monkeypatch.setitem(COMMANDS, "say", row)
    assert main([]) == 0
    assert "\n  say         say the words\n" in capsys.readouterr().out
    assert main(["say", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("say: say the words\n\nUsage: lossopt say WORD\n")
    assert shown.endswith("A note.\n")
    assert all(flag.head in shown for flag in FLAGS)
    assert "say" in candidates(["s"])
    assert candidates(["say", "--"]) == [flag.name for flag in FLAGS]
    assert "| `say` | say the words |" in pages()["../README.md"]


def test_help_names_every_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"--engine {'|'.join(ENGINES)} " in shown
    assert all(f"{name}: {kind.line}" in shown for name, kind in ENGINES.items())


def candidates(words: list[str]) -> list[str]:
    return completion.candidates(words, COMMANDS, flags_of)


def test_completion_offers_what_fits() -> None:
    assert set(COMMANDS) <= set(candidates([""]))
    assert candidates(["export", "x", "--o"]) == [flag.name for flag in FLAGS]
    assert candidates(["fit", "--config", "s"]) == shipped_names()
    assert "--model.optimizer=RMSprop" in candidates(["fit", "--model.optimizer=R"])
    assert "--model.optimizer.momentum=" in candidates(["fit", "--model.optimizer=SGD", "--model.opt"])
    assert "--model.optimizer.momentum=" not in candidates(["fit", "--model.opt"])
    assert "--model.optimizer.momentum=" in candidates(["fit", "--config", "sgd", "--model.opt"])
    assert "--model.optimizer.alpha=" in candidates(["fit", "--model.optimizer", "RMSprop", "--model.opt"])


def test_completion_offers_a_persons_own_configs() -> None:
    Path("configs").mkdir()
    Path("configs/mine.yaml").write_text("# Mine.")
    assert "mine" in candidates(["fit", "--config", "m"])


def test_output_may_be_cut_short() -> None:
    command = f"{sys.executable} -m lit_lossopt configs | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_training_goes_on_when_its_reader_has_had_enough(store: Path, tmp_path: Path) -> None:
    assert store
    words = "fit --config sgd --config digits --trainer.max_epochs=3 --threads=1 --probe.images=0 --diagnostics=off"
    command = f"set -o pipefail; {sys.executable} -m lit_lossopt {words} 2>&1 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    (run,) = read_runs()
    assert (run.status, run.metrics["time/epochs"]) == ("FINISHED", 3)


@pytest.mark.parametrize("name", ["Lion", "pytorch_optimizer.Lion"])
def test_an_optimizer_of_the_extra_that_is_missing_names_the_install_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lit_lossopt.config.check._installed", lambda _: False)
    monkeypatch.setattr("lit_lossopt.config.signatures.FAMILIES", {**FAMILIES, "model.optimizer": WITHOUT_EXTRA})
    assert main(["fit", f"--model.optimizer={name}"]) == 2
    assert "pip install 'lit_lossopt[optimizers]'" in capsys.readouterr().err


def test_nowhere_to_write_temporary_files_is_one_line() -> None:
    """No file may grow beyond nothing, as on a full disk."""
    command = f"ulimit -f 0; exec {sys.executable} -m lit_lossopt fit"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        r"lossopt: TMPDIR=.*: no folder for temporary files, because .*; set TMPDIR to .*\n", done.stderr
    )


# Bases of a newcomer's class, as a file of ours may name them, and an argument that comes from the base.
BASES = [
    ("from torch.optim import Optimizer", "Optimizer", ""),
    ("import torch", "torch.optim.SGD", "momentum"),
    ("import torch", "torch.optim.Adam", "betas"),
    ("from torch.optim import AdamW", "AdamW", "amsgrad"),
    ("from torch import optim", "optim.RMSprop", "alpha"),
    ("from torch.optim import LBFGS as Newton", "Newton", "history_size"),
    ("from torch.optim import Muon as MatrixMuon", "MatrixMuon", "ns_coefficients"),
    ("from lit_lossopt.optimizers import SGDW", "SGDW", "nesterov"),
    ("from lit_lossopt.optimizers.muon import Muon", "Muon", "adamw_lr"),
    ("from house.first import Second", "Second", "betas"),
]


@pytest.mark.parametrize(("line", "base", "argument"), BASES, ids=[base for _, base, _ in BASES])
def test_a_class_of_ours_is_known_by_bare_name_whatever_optimizer_it_derives_from(
    line: str, base: str, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One name of a package for each case: what was read of a source is kept.
    package = f"house{BASES.index((line, base, argument))}"
    (tmp_path / package).mkdir()
    files = {
        "__init__": f"from {package}.first import Second\n",
        "first": "import torch\nclass Second(torch.optim.Adam): ...\nclass NoOptimizer(dict): ...\n",
        "mine": f"{line.replace('house', package)}\nclass Mine({base}): ...\n",
    }
    for name, text in files.items():
        (tmp_path / package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    key, family = f"optimizer of {package}", FAMILIES["model.optimizer"]
    wider = dataclasses.replace(family, sources=(*family.sources, (package, package)))
    monkeypatch.setitem(FAMILIES, key, wider)
    new = {name: path for name, path in class_paths(key).items() if path.startswith(package)}
    # From the package where that exports it, otherwise from its module.
    assert new == {"Mine": f"{package}.mine.Mine", "Second": f"{package}.Second"}
    assert full_class_path(key, "Mine") == f"{package}.mine.Mine"
    assert argument in {"", *(class_parameters(key, f"{package}.mine.Mine") or {})}
