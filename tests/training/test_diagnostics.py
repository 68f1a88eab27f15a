"""Diagnostics measure what they say, and change nothing in training."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.killing.attempts import EVERYTHING, Attempts, assert_equal, last_state, read_at
from benchmarks.killing.pause import MOMENT, SIGNAL
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.diagnostics.step_geometry import alpha, slope_along
from lit_lossopt.diagnostics.trajectory import decoded
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.module import LossOptModule

OWN = "--allow-import=tests"
SHORT = ["fit", "--data=DigitsDataModule", "--threads=1", "--trainer.max_epochs=2", "--data.batch_size=160"]
SHORT += ["--probe.images=64"]
NORMS = "--model.network=tests.support.troubled.WithNorms"


@pytest.fixture(autouse=True)
def _ready(store: Path) -> None:
    """Have a store."""


def trained(*words: str) -> Run:
    """Return the run of a training in this process, with its histories."""
    assert main([*SHORT, *words]) == 0
    return read_runs(metrics=None)[-1]


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """Return the weights and buffers that a run's last checkpoint holds."""
    (path,) = Path("mlruns").glob(f"*/{run.run_id}/artifacts/checkpoints/last.ckpt")
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


KINDS = {
    "dropout": ["--config=adam"],
    "norms": ["--config=sgd_momentum", NORMS, OWN],
    "accumulated": ["--config=sgd", NORMS, OWN, "--trainer.accumulate_grad_batches=3"],
    "closure": ["--model.optimizer=LBFGS", "--model.optimizer.lr=0.5", "--model.optimizer.max_iter=3"],
    "mixed": ["--config=rmsprop", "--data.mixing=MixUp", "--trainer.gradient_clip_val=0.1"],
    "phases": ["--config=schedule_free", NORMS, OWN],
    "half": ["--config=adam", "--trainer.precision=bf16-mixed"],
    "learned": ["--config=adam", "--model.criterion=tests.support.foreign.Temperature", OWN],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_trained_is_the_same_to_the_bit(kind: str) -> None:
    often = "alpha@every:1,noise@every:1,cosine@every:2,sharpness@every:5,layer-sharpness@first:1"
    everything = f"--diagnostics=full,{often}"
    off = trained(*KINDS[kind], "--diagnostics=off")
    measured = trained(*KINDS[kind], everything)
    assert not [name for name in off.metrics if name.startswith((names.FLOW, "step/", "sharpness/"))]
    assert {names.GRAD_NORM, names.ALPHA, names.LOSS_CHANGE, names.SHARPNESS} <= set(measured.metrics)
    before, after = weights_of(off), weights_of(measured)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in (names.TRAIN_LOSS, "val/nll", names.PROBE_LOSS):
        assert off.histories[name].values.tolist() == measured.histories[name].values.tolist()
    assert off.tags[names.TAG_TRIAL_KEY] == measured.tags[names.TAG_TRIAL_KEY]


def twin() -> tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Return the network and the batches of the first epoch, for a loop that is written out."""
    data = DigitsDataModule(batch_size=160)
    data.prepare_data()
    data.setup("fit")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    return LossOptModule(in_channels=1, image_size=8).network.eval(), batches


def test_each_value_is_that_of_a_loop_written_out() -> None:
    rate = 0.05
    run = trained(
        "--config=sgd", f"--model.optimizer.lr={rate}", "--model.network=MiniCNN", "--model.network.dropout=0",
        "--diagnostics=flow@every:1,alpha@every:1,norm,cosine@every:1,noise@every:1",
    )  # fmt: skip
    network, batches = twin()
    parameters = list(network.parameters())
    before_last: list[torch.Tensor] = []
    for step, (images, labels) in enumerate(batches, start=1):
        old = [p.detach().clone() for p in parameters]
        loss = functional.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(rate * gradient)
        update = [new.detach() - was for new, was in zip(parameters, old, strict=True)]
        after = functional.cross_entropy(network(images), labels)
        behind = torch.autograd.grad(after, parameters)
        length = torch.cat([one.flatten() for one in update]).norm()
        slopes = slope_along(gradients, update, length), slope_along(behind, update, length)
        expected = {
            names.GRAD_NORM: torch.cat([one.flatten() for one in gradients]).norm(),
            f"{names.FLOW_GRADIENT}/conv2": torch.cat([one.flatten() for one in gradients[2:4]]).norm(),
            f"{names.FLOW_WEIGHT}/linear1": torch.cat([one.flatten() for one in old[4:6]]).norm(),
            f"{names.FLOW_UPDATE}/linear2": torch.cat([one.flatten() for one in update[6:]]).norm()
            / torch.cat([one.flatten() for one in old[6:]]).norm(),
            names.LOSS_CHANGE: (after - loss).detach(),
            names.ALPHA: alpha((loss.detach(), after.detach()), slopes, length),
        }
        halves = [
            torch.autograd.grad(functional.cross_entropy(network(images[part]), labels[part]), parameters)
            for part in (slice(0, 80), slice(80, 160))
        ]
        square = sum(float((a * b).sum()) for a, b in zip(*halves, strict=True))
        expected[names.GRADIENT_SQUARE] = torch.tensor(square)
        if before_last:
            both = [torch.cat([one.flatten() for one in which]) for which in (update, before_last)]
            expected[names.COSINE] = torch.cosine_similarity(both[0], both[1], dim=0)
        before_last = update
        for name, value in expected.items():
            history = run.histories[name]
            (logged,) = history.values[history.steps == step]
            assert logged == pytest.approx(float(value), rel=2e-3, abs=1e-6), (name, step)


def test_a_step_that_moves_nothing_changes_no_loss() -> None:
    # With any other dropout than that of the step, the second look would see another loss.
    run = trained("--config=sgd", "--model.optimizer.lr=0", "--diagnostics=alpha@every:1")
    assert set(run.histories[names.LOSS_CHANGE].values) == {0.0}
    assert set(run.histories[names.ALPHA].values) == {-1.0}


def test_the_time_of_snapshots_and_measurements_is_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock finds an hour more.
    hours = iter(range(0, 3600 * 1000, 3600))
    monkeypatch.setattr("lit_lossopt.training.callbacks.diagnostics.settled_time", lambda _: float(next(hours)))
    paused: list[float] = []
    watched = StepValues.on_train_end

    def on_train_end(values: StepValues, *arguments: Any) -> None:
        paused.append(values.paused_seconds)
        watched(values, *arguments)

    monkeypatch.setattr(StepValues, "on_train_end", on_train_end)
    trained("--config=sgd", "--probe.images=0", "--diagnostics=trajectory@first:3,flow@first:2")
    # Four snapshots with that of the start, and for two steps the copies before and the measurement behind.
    assert round(paused[0] / 3600) == 4 + 2 * 2


def test_a_step_of_several_batches_is_looked_at_with_all_of_them() -> None:
    rate = 0.05
    # Eight batches in steps of three, three and two: Lightning divides the last gradient by three as well.
    run = trained(
        "--config=sgd", f"--model.optimizer.lr={rate}", "--model.network=MiniCNN", "--model.network.dropout=0",
        "--trainer.accumulate_grad_batches=3", "--diagnostics=alpha@every:1", "--trainer.max_epochs=1",
    )  # fmt: skip
    network, batches = twin()
    parameters = list(network.parameters())
    for step, together in enumerate((batches[:3], batches[3:6], batches[6:8]), start=1):

        def loss(own: list[tuple[torch.Tensor, torch.Tensor]] = together) -> torch.Tensor:
            return torch.stack([functional.cross_entropy(network(images), labels) for images, labels in own]).mean()

        before = loss()
        gradients = torch.autograd.grad(before, parameters)
        update = [-rate * gradient * len(together) / 3 for gradient in gradients]
        with torch.no_grad():
            for parameter, change in zip(parameters, update, strict=True):
                parameter.add_(change)
        after = loss()
        behind = torch.autograd.grad(after, parameters)
        length = torch.cat([one.flatten() for one in update]).norm()
        slopes = slope_along(gradients, update, length), slope_along(behind, update, length)
        expected = alpha((before.detach(), after.detach()), slopes, length)
        assert run.histories[names.LOSS_CHANGE].values[step - 1] == pytest.approx(
            float((after - before).detach()), rel=2e-3
        )
        assert run.histories[names.ALPHA].values[step - 1] == pytest.approx(float(expected), rel=5e-3)


class Odd(nn.Module):
    """Has a layer that nothing uses, two ReLUs behind one layer, and attention."""

    def __init__(self, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__()
        self.first, self.unused = nn.Linear(image_size, 16), nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = torch.relu(torch.relu(self.first(images.flatten(1, 2))) - 0.1)
        seen, _ = self.attention(rows, rows, rows, need_weights=False)
        outputs: torch.Tensor = self.head(functional.scaled_dot_product_attention(seen, seen, seen).mean(1))
        return outputs


def test_layers_that_nothing_uses_and_attention_are_no_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("--config=adam", "--model.network=tests.training.test_diagnostics.Odd", OWN, "--diagnostics=full")
    assert f"{names.FLOW_WEIGHT}/unused" in run.metrics
    assert f"{names.FLOW_GRADIENT}/unused" not in run.metrics
    assert {f"{names.FLOW_DEAD}/first", f"{names.FLOW_DEAD}/first.2", names.SHARPNESS, names.NEEDLE} <= set(run.metrics)
    said = capsys.readouterr()
    assert "vanish" not in said.out
    assert "cannot be measured" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.precision=bf16-true", "--diagnostics=full"],
        ["--model.frozen_epochs=1"],
        ["--data.batch_size=3", "--trainer.limit_train_batches=4", "--diagnostics=noise@every:1", NORMS, OWN],
        ["--trainer.max_steps=1", "--diagnostics=full"],
    ],
)
def test_unusual_trainings_are_measured_and_recorded_whole(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("--config=adam", *words)
    assert run.status == "FINISHED"
    assert not {names.TAG_LOST, names.TAG_REFUSED, names.TAG_UNDELIVERED} & set(run.tags)
    assert "cannot be measured" not in capsys.readouterr().err
    assert not [name for name in run.metrics if name.endswith("/")]


class Flat(torch.autograd.Function):
    """Doubles a tensor. Its derivative has none."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return 2 * gradient


class Once(nn.Module):
    """Can be differentiated once."""

    def __init__(self, image_size: int = 8, num_outputs: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(image_size**2, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = Flat.apply(self.linear(images.flatten(1)))
        return outputs


def test_what_a_network_does_not_allow_is_left_out_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("--config=sgd", "--model.network=tests.training.test_diagnostics.Once", OWN, "--diagnostics=full")
    said = [line for line in capsys.readouterr().err.splitlines() if "cannot be measured here" in line]
    assert len(said) == 1
    assert "the diagnostic sharpness" in said[0]
    assert names.ALPHA in run.metrics
    assert names.SHARPNESS not in run.metrics
    off = trained("--config=sgd", "--model.network=tests.training.test_diagnostics.Once", OWN, "--diagnostics=off")
    before, after = weights_of(off), weights_of(run)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_values_stand_at_the_steps_that_were_asked_for() -> None:
    run = trained("--config=adam", "--diagnostics=norm@first:3,flow@every:5,alpha@spread:3,trajectory@log:2")
    planned = run.histories[names.TRAIN_LOSS].steps[-1]
    assert run.histories[names.GRAD_NORM].steps.tolist() == [1, 2, 3]
    assert run.histories[f"{names.FLOW_UPDATE}/conv1"].steps.tolist() == list(range(5, planned + 1, 5))
    assert run.histories[names.ALPHA].steps.tolist() == [1, 1 + round((planned - 1) / 2), planned]
    folder = next(Path("mlruns").glob(f"*/{run.run_id}/artifacts/trajectory"))
    assert [path.name for path in sorted(folder.iterdir())] == [f"step_{step:08}.pt" for step in (0, 1, planned)]
    start = torch.load(folder / f"step_{0:08}.pt", weights_only=True)["whole"]
    last = decoded(torch.load(folder / f"step_{planned:08}.pt", weights_only=True), start)
    saved = weights_of(run)
    for name, value in last.items():
        moved = saved[f"network.{name}"] - start[name]
        torch.testing.assert_close(value, saved[f"network.{name}"], atol=float(moved.abs().max()) / 2000, rtol=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("full,sharpnes", "there is no 'sharpnes' (did you mean 'sharpness'?)"),
        ("flow@evry:3", "'evry:3' is no moment"),
        ("flow@every:0", "'every:0' is no moment"),
        ("flow@log", "'log' is no moment"),
        ("", "there is no ''"),
    ],
)
def test_what_names_nothing_is_one_line(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, f"--diagnostics={text}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path("mlruns/lit_lossopt").exists()


@pytest.mark.parametrize("spelled", ["off", "false"])
def test_switched_off_in_a_config_as_on_the_command_line(spelled: str) -> None:
    Path("own.yaml").write_text(f"diagnostics: {spelled}\n", encoding="utf-8")
    run = trained("--config=own.yaml", "--trainer.max_steps=2")
    assert names.GRAD_NORM not in run.metrics


LONG = [*EVERYTHING, NORMS, "--allow-import=tests", "--checkpoints.every_n_steps=1"]
ASKED = "--diagnostics=full,cosine@every:4,alpha@every:3,sharpness@every:7,layer-sharpness@every:11"


@pytest.fixture(scope="module")
def undisturbed(zygote: Zygote, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    Attempts.store = empty_store
    attempts = Attempts(zygote, tmp_path_factory.mktemp("undisturbed"), *LONG, ASKED)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


# Behind the first of two updates that are compared, at an evaluation, and in the middle of nothing.
@pytest.mark.parametrize("step", [12, 16, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_and_resumed_every_value_is_there_once_and_the_same(
    step: int, undisturbed: Attempts, zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    attempts = Attempts(zygote, tmp_path / "killed", *LONG, ASKED)
    assert attempts.kill_at("batch", step + 1), attempts.output.read_text()
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert_equal(attempts.folder, undisturbed.folder)
    kept = [
        {path.name: path.read_bytes() for path in one.folder.rglob("trajectory/*.pt")}
        for one in (attempts, undisturbed)
    ]
    assert kept[0] == kept[1]
    assert kept[0]
    states = [last_state(one.folder)["callbacks"]["Diagnostics"] for one in (attempts, undisturbed)]
    assert states[0]["histories"] == states[1]["histories"]
    ends = [read_at(one.folder).tags.get(names.TAG_FINDINGS) for one in (attempts, undisturbed)]
    assert ends[0] == ends[1]


def test_findings_are_said_kept_and_taken_back_when_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config=sgd", "--model.network=tests.support.troubled.BornDead", OWN]
    run = trained(*words)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("finding: ")]
    found = [sentence for _, sentence in json.loads(run.tags[names.TAG_FINDINGS])]
    assert [f"finding: {sentence}" for sentence in found] == said
    assert any("dead ReLUs: 100 % of the units behind 1" in sentence for sentence in found)
    assert all(f"- {sentence}" in run.tags[names.TAG_DESCRIPTION] for sentence in found)
    # Longer, it ends anew: its description holds each finding once.
    assert main([*SHORT, *words, "--trainer.max_epochs=3", "--ckpt_path=last", "--resume=force"]) == 0
    after = read_runs(metrics=None)[-1]
    again = [sentence for _, sentence in json.loads(after.tags[names.TAG_FINDINGS])]
    assert all(after.tags[names.TAG_DESCRIPTION].count(f"- {sentence}") == 1 for sentence in again)


def test_a_run_that_was_stopped_says_nothing_yet(zygote: Zygote, empty_store: Path, tmp_path: Path) -> None:
    Attempts.store = empty_store
    attempts = Attempts(
        zygote, tmp_path / "stopped", "--model.network=tests.support.troubled.BornDead", OWN, "--diagnostics=default"
    )
    assert attempts.finish(**{MOMENT: "batch:9", SIGNAL: str(int(signal.SIGTERM))}) == names.Exit.TERMINATED
    assert names.TAG_FINDINGS not in read_at(attempts.folder).tags
    assert attempts.finish("--resume=auto") == 0
    assert "dead ReLUs" in read_at(attempts.folder).tags[names.TAG_FINDINGS]


def test_a_diverged_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--config=sgd", "--model.optimizer.lr=5", "--data.batch_size=64"]) == 3
    run = read_runs(metrics=None)[-1]
    assert run.tags[names.TAG_VERDICT] == names.Verdict.DIVERGED
    found = [sentence for _, sentence in json.loads(run.tags[names.TAG_FINDINGS])]
    assert found[0] == "the run diverged; the likely cause is a learning rate that is too high"
    assert f"finding: {found[0]}" in capsys.readouterr().out


def test_a_rate_that_is_too_high_visibly_overshoots() -> None:
    changes = {}
    for rate in (0.01, 0.3):
        run = trained("--config=sgd_momentum", f"--model.optimizer.lr={rate}", "--diagnostics=alpha@every:1")
        changes[rate] = (
            np.mean(run.histories[names.LOSS_CHANGE].values > 0),
            np.median(run.histories[names.ALPHA].values),
        )
    assert changes[0.3][0] > 3 * changes[0.01][0]
    assert changes[0.3][1] > changes[0.01][1]
