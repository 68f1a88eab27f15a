"""``lossopt twin``: a training in TensorFlow that is recorded, compared, resumed and tuned as one in torch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

import lit_lossopt
from benchmarks.killing.attempts import OFTEN, Attempts, assert_equal, last_state, wait_for_steps
from benchmarks.killing.zygote import Zygote
from lit_lossopt import load
from lit_lossopt.__main__ import main
from lit_lossopt.keras_twin.module import KERAS_KEY
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs

DIGITS = ["--config=digits", "--threads=1", "--probe.images=16", "--trainer.max_steps=30"]
EXACT = ["--twin.rule=torch", "--twin.dropout=shared"]


def train(command: str, *words: str) -> Run:
    known = {run.run_id for run in read_runs("lit_lossopt")} if Path("mlruns").exists() else set()
    assert main([command, "--config=adam", *DIGITS, *words]) == 0
    return next(run for run in read_runs("lit_lossopt") if run.run_id not in known)


def losses(run: Run) -> np.ndarray:
    return read_history(run.run_id, "train/loss").values


@pytest.mark.usefixtures("store")
def test_by_torchs_rule_it_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    torch_run, twin = train("fit"), train("twin", *EXACT)
    mine = losses(twin)
    # Every step is there, with dropout and in 32 bits.
    assert len(mine) == len(losses(torch_run)) == 30
    assert np.abs(mine / losses(torch_run) - 1).max() < 1e-3
    assert abs(float(twin.metrics["val/accuracy"]) - float(torch_run.metrics["val/accuracy"])) < 0.01
    # The same names, but for diagnostics that look into torch.
    own = {name for name in torch_run.metrics if not name.startswith(("flow/", "step/"))}
    assert own == set(twin.metrics)
    assert np.allclose(
        read_history(twin.run_id, "train/grad_norm").values,
        read_history(torch_run.run_id, "train/grad_norm").values,
        rtol=1e-2,
    )
    assert (twin.tags["lossopt.framework"], torch_run.tags["lossopt.framework"]) == ("tensorflow", "pytorch")
    assert twin.tags["lossopt.verdict"] == "completed"
    assert twin.tags["lossopt.arm"] == f"{torch_run.tags['lossopt.arm']} tensorflow rule=torch dropout=shared"
    capsys.readouterr()
    assert main(["compare", "--by=framework"]) == 0
    assert re.search(r"^ pytorch +1 ", said := capsys.readouterr().out, re.MULTILINE), said
    assert re.search(r"^ tensorflow +1 ", said, re.MULTILINE), said


@pytest.mark.usefixtures("store")
def test_so_it_does_with_everything_at_once() -> None:
    words = [
        "--config=sgd_momentum_weight_decay", "--config=digits", "--data.mixing=MixUp", "--model.decay_biases=false",
        "--data.augmentation=[PadCrop]", "--trainer.gradient_clip_val=0.05",
        "--trainer.gradient_clip_algorithm=value", "--model.lr_scheduler=CosineAnnealingLR",
        "--model.lr_scheduler.T_max=30", "--model.lr_scheduler_interval=step", "--data.drop_last=false",
    ]  # fmt: skip
    assert np.abs(losses(train("twin", *words, *EXACT)) / losses(train("fit", *words)) - 1).max() < 1e-3


@pytest.mark.usefixtures("store")
def test_another_framework_or_rule_begins_its_optimizer_afresh(capsys: pytest.CaptureFixture[str]) -> None:
    momentum = ["--config=sgd_momentum", "--config=digits"]
    train("fit", *momentum)
    last = next(Path("mlruns").rglob("last.ckpt"))
    longer = [*momentum, "--trainer.max_steps=40", f"--ckpt_path={last}"]
    capsys.readouterr()
    twin = train("twin", *longer, *EXACT)
    assert 'twin.rule: not set → "torch"' in (said := capsys.readouterr().out)
    assert "optimizer and schedule begin afresh" in said
    path = next(path for path in Path("mlruns").rglob("last.ckpt") if twin.run_id in str(path))
    # Keras keeps the velocity otherwise than torch, in a tensor of the same shape.
    longer = [*momentum, "--trainer.max_steps=50", f"--ckpt_path={path}"]
    train("twin", *longer, "--twin.rule=keras")
    assert 'twin.rule: "torch" → "keras"' in (said := capsys.readouterr().out)
    assert "optimizer and schedule begin afresh" in said
    assert main(["twin", "--config=adam", *DIGITS, *longer, "--resume=force"]) == 2
    assert "was trained by another rule or framework" in capsys.readouterr().err


@pytest.mark.usefixtures("store")
def test_by_keras_own_rule_it_learns_and_draws_its_own_dropout() -> None:
    first, second = train("twin"), train("twin", "--seed_everything=0", "--trainer.gradient_clip_val=1e9")
    assert losses(first)[-1] < 0.8 * losses(first)[0]
    # Dropout is a function of seed and step: it is drawn alike in a second training.
    assert np.array_equal(losses(first), losses(second))


@pytest.mark.usefixtures("store")
def test_trained_weights_are_those_of_a_torch_network(capsys: pytest.CaptureFixture[str]) -> None:
    run = train("twin", "--trainer.limit_val_batches=1")
    folder = Path("mlruns/lit_lossopt") / run.run_id / "artifacts"
    checkpoint = folder / "checkpoints" / "last.ckpt"
    state = torch.load(checkpoint, weights_only=True)
    assert len(state[KERAS_KEY]) > 2 * 8
    assert main(["test", f"--config={folder}/config.yaml", f"--ckpt_path={checkpoint}"]) == 0
    # A sweep tests its trials by their own words.
    assert main(["test", "--config=adam", *DIGITS[:1], *EXACT, f"--ckpt_path={checkpoint}"]) == 0
    assert read_runs("lit_lossopt")[-1].metrics["test/accuracy"] > 0.3
    pixels = np.random.default_rng(0).integers(0, 255, (2, 1, 8, 8), dtype=np.uint8)
    predicted = load(run.run_id)(pixels).probabilities
    assert predicted is not None
    assert predicted.shape == (2, 10)
    # Its config is the twin's.
    assert main(["fit", f"--config={folder}/config.yaml"]) == 2
    assert "a setting of the command twin" in capsys.readouterr().err


REFUSED = [
    (["--model.network=torch.nn.Identity"], "model.network=Identity: the twin has MiniCNN only"),
    (["--model.criterion=SquentropyLoss"], "model.criterion=SquentropyLoss: no counterpart in Keras"),
    (["--model.optimizer=Muon"], "model.optimizer=Muon: no counterpart in Keras; there are those of SGD, SGDW, Adam"),
    (["--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.9",
      "--model.optimizer.dampening=0.1"], "model.optimizer.dampening=0.1: Keras' SGD has nothing like it"),
    (["--model.optimizer.maximize=true"], "model.optimizer.maximize=True"),
    (["--trainer.accumulate_grad_batches=2"], "each batch for a step"),
    (["--trainer.precision=bf16-mixed"], "32-bit numbers"),
    (["--trainer.accelerator=gpu"], "TensorFlow finds its devices itself"),
    (["--diagnostics=full"], "diagnostics=full: they look into torch's training"),
    (["--model.lr_scheduler=OneCycleLR", "--model.lr_scheduler.max_lr=0.1", "--model.lr_scheduler.total_steps=50"],
     "model.lr_scheduler=OneCycleLR: it moves the momentum"),
    (["--twin.rule=jax"], "twin.rule=jax: there are keras and torch"),
    (["--model.optimizer=NAdam", "--model.optimizer.momentum_decay=0.5"], "model.optimizer.momentum_decay=0.5"),
    (["--twin.rules=torch"], "twin has no 'rules' (did you mean 'rule'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_what_has_no_counterpart_is_refused_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["twin", "--config=adam", *DIGITS, *words]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert len(said.splitlines()) == 1
    assert not Path("mlruns").exists()


WITHOUT = """
import sys
from lit_lossopt.__main__ import main
sys.exit(main({words}))
"""


def test_without_tensorflow_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    # All that is installed here, but for the extra.
    packages, rest = Path(torch.__file__).parents[1], tmp_path / "packages"
    rest.mkdir()
    for path in packages.iterdir():
        if not path.name.startswith(("tensorflow", "keras")):
            (rest / path.name).symlink_to(path)
    search = os.pathsep.join([str(Path(lit_lossopt.__file__).parents[1]), str(rest)])
    for words in (["twin", "--config=adam"], ["twin", "--check"], ["explain", "--config=adam"]):
        command = [sys.executable, "-S", "-c", WITHOUT.format(words=words)]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (
            2, f"lossopt: {words[0]}: tensorflow and keras are not installed; pip install 'lit_lossopt[tensorflow]'\n"
        )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _store(empty_store: Path) -> None:
    Attempts.store = empty_store


@pytest.mark.slow
def test_killed_it_goes_on_to_the_bit(zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    words = ["--config=adam", "--model.lr_scheduler=CosineAnnealingLR", "--model.lr_scheduler.T_max=3", OFTEN]
    whole, killed = (Attempts(zygote, tmp_path / name, *words) for name in ("whole", "killed"))
    for attempts in (whole, killed):
        attempts.words[0] = "twin"
        attempts.words.append("--trainer.max_epochs=2")
    assert whole.finish() == 0, whole.output.read_text()
    assert killed.kill_at("batch", 11), killed.output.read_text()
    assert killed.finish("--ckpt_path=last") == 0, killed.output.read_text()
    assert_equal(killed.folder, whole.folder)
    mine, theirs = (last_state(one.folder)[KERAS_KEY] for one in (killed, whole))
    assert all(map(torch.equal, mine, theirs))


PLAN = """
sweep:
  protocol: grid
  base: {config: adam, trainer.max_steps: 10}
  factors:
    framework: {pytorch: {}, tensorflow: {framework: tensorflow, twin.rule: torch, twin.dropout: shared}}
  overlays: digits
  seeds: 3
"""


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_framework_is_a_factor_of_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "both.yaml").write_text(PLAN)
    assert main(["sweep", "--config=both.yaml", "--workers=1"]) == 0
    assert main(["sweep", "--config=both.yaml", "--workers=1"]) == 0
    assert "6 of 6 trials" in capsys.readouterr().out
    # Runs of one seed are pairs, although the sweep's arms have other names.
    assert main(["compare", "--by=framework"]) == 0
    said = capsys.readouterr().out
    assert "pytorch and tensorflow do not differ in final validation accuracy, which is the same at every seed" in said


def test_a_framework_that_there_is_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "both.yaml").write_text(PLAN.replace("framework: tensorflow,", "framework: tensorflo,"))
    assert main(["sweep", "--config=both.yaml", "--dry-run"]) == 2
    assert "framework=tensorflo (did you mean 'tensorflow'?); there are: pytorch, tensorflow" in capsys.readouterr().err


ISOLATED = """
import sys
from lit_lossopt.__main__ import main
assert main({words}) == 0
assert not {{"tensorflow", "keras", "torch"}} & ({{*sys.modules}} - {{"", {allowed}}})
"""


@pytest.mark.parametrize(
    ("code"),
    [
        ISOLATED.format(words=["configs"], allowed=""),
        ISOLATED.format(words=["explain", "--known"], allowed=""),
        pytest.param(
            ISOLATED.format(words=["fit", "--config=adam", *DIGITS, "--trainer.max_steps=1"], allowed="'torch'"),
            marks=pytest.mark.slow,
        ),
        "import sys; import lit_lossopt.keras_twin.torch_rules; assert 'torch' not in sys.modules",
    ],
    ids=["configs", "known", "fit", "rules"],
)
def test_neither_framework_imports_the_other_unasked(code: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_signal_stops_it_with_the_line_that_goes_on(zygote: Zygote, tmp_path: Path) -> None:
    attempts = Attempts(zygote, tmp_path / "run", "--config=adam", OFTEN)
    attempts.words[0] = "twin"
    process = attempts.start("--trainer.max_epochs=500")
    wait_for_steps(attempts, 3)
    os.kill(process, signal.SIGTERM)
    assert zygote.wait(process) == 143
    assert "lossopt twin" in (said := attempts.output.read_text()) or "lit_lossopt twin" in said, said
