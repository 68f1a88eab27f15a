"""``lossopt lr-find``: what is swept, said, drawn and kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.tuner.tuning import Tuner
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_lossopt.__main__ import COMMANDS, flags_of, main
from lit_lossopt.config.completion import candidates
from lit_lossopt.core.names import Exit
from lit_lossopt.optimizers import Muon
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.lr_find.callback import RangeSweep
from lit_lossopt.training.lr_find.command import command, scaled_rates
from lit_lossopt.training.lr_find.curve import geometric, read_curve
from lit_lossopt.training.lr_find.request import FLAGS, read_request

DIGITS = ["--config", "digits", "--threads=1"]


def lr_find(*words: str) -> Run:
    assert main(["lr-find", *words]) == 0
    return read_runs("lit_lossopt")[-1]


def curve(run: Run, metric: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(read_history(run.run_id, metric).values, float)


@pytest.mark.usefixtures("store")
def test_a_range_test_of_adam(capsys: pytest.CaptureFixture[str]) -> None:
    run = lr_find("--config", "adam", *DIGITS, "--model.optimizer.lr=5", "--steps=100", "--png", "out/curve.png")
    rates, losses = curve(run, "train/lr"), curve(run, "train/loss")
    assert rates == pytest.approx(geometric(1e-7, 10, 100)[: len(rates)])
    found = read_curve(rates.tolist(), losses.tolist())
    assert run.metrics["range_test/suggestion"] == found.suggestion
    assert found.suggestion is not None
    assert 3e-4 < found.suggestion < 2e-2
    assert run.tags["lossopt.range_test"] == "true"
    assert "lossopt.trial_key" not in run.tags
    assert not any(name.startswith(("val/", "test/")) for name in run.metrics)
    shown = capsys.readouterr().out
    assert f"suggested learning rate {found.suggestion:.2g}" in shown
    typed = f"lossopt fit --config adam --config digits --threads=1 --model.optimizer.lr={found.suggestion:.2g}"
    assert typed in shown.splitlines()
    assert f"suggested learning rate {found.suggestion:.2g}" in run.tags["mlflow.note.content"]
    kept = Path("mlruns/lit_lossopt") / run.run_id / "artifacts"
    assert (kept / "pictures/range_test.png").read_bytes() == Path("out/curve.png").read_bytes()
    assert not (kept / "checkpoints").exists()
    with Image.open("out/curve.png") as picture:
        assert picture.size == (640, 400)
    # No run to compare, and the only one there is.
    assert main(["compare"]) == 2
    # Again the same, to the bit; a schedule and a training's length change nothing of it.
    more = ["--model.lr_scheduler=ExponentialLR", "--model.lr_scheduler.gamma=0.5", "--model.lr_warmup=3"]
    more += ["--trainer.max_epochs=1", "--trainer.max_time=00:00:00:01", "--model.frozen_epochs=1"]
    again = lr_find("--config", "adam", *DIGITS, "--steps=100", *more)
    assert curve(again, "train/loss").tolist() == losses.tolist()


@pytest.mark.usefixtures("store")
def test_groups_keep_their_share_and_divergence_ends_the_test() -> None:
    words = ["--model.optimizer=SGD", "--model.optimizer.lr=0.5", "--model.backbone_lr_factor=0.1"]
    run = lr_find(*words, *DIGITS, "--min-lr=1e-4", "--max-lr=1e6", "--steps=200")
    head, backbone = curve(run, "train/lr/head"), curve(run, "train/lr/backbone")
    assert backbone == pytest.approx(0.1 * head)
    assert head == pytest.approx(geometric(1e-4, 1e6, 200)[: len(head)])
    assert len(head) < 200
    assert run.metrics["range_test/diverges"] < head[-1]


@pytest.mark.usefixtures("store")
def test_a_curve_without_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lr-find", "--config", "sgd", *DIGITS, "--min-lr=1e-9", "--max-lr=1e-7", "--steps=50"]
    assert main([*words, "--trainer.logger=false"]) == 1
    assert "no suggestion: the loss never falls by more than its noise" in capsys.readouterr().out
    assert not Path("mlruns").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min-lr=1", "--max-lr=0.1"], "the first must be above 0 and below the second"),
        (["--min-lr=0"], "the first must be above 0"),
        (["--max-lr=much"], "--max-lr much: not a finite number"),
        (["--steps"], "--steps: a value is missing"),
        (["--steps=10"], "at least 50"),
        (["--steps=60.5"], "a whole number"),
        (["--ckpt_path=last"], "begins with the initial weights"),
        (["--resume=auto"], "begins with the initial weights"),
        (["--model.optimizer=LBFGS", *DIGITS], "LBFGS cannot be tested over a range of rates"),
        (["--model.optimizer=Rprop", *DIGITS], "Rprop cannot be tested over a range of rates"),
        (["--model.optimizer=SGD", "--model.optimizer.lr=0", *DIGITS], "SGD has no learning rate to scale"),
        (["--trainer.devices=2", "--trainer.accelerator=cpu"], "a range test takes one device"),
        (["--modle.optimizer=SGD"], "no such key"),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-find", *words]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not Path("mlruns").exists()


def test_the_command_sets_every_rate() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    rates = scaled_rates(Muon(network.parameters(), lr=0.02, adamw_lr=1e-3), 0.05)
    assert rates == {"lr": 0.05, "adamw_lr": pytest.approx(2.5e-3)}
    typed = ["--config", "muon", "--model.optimizer.lr", "3", "--model.optimizer.adamw_lr=1", "--threads=1"]
    assert command(typed, rates) == (
        "lossopt fit --config muon --threads=1 --model.optimizer.lr=0.05 --model.optimizer.adamw_lr=0.0025"
    )


def test_flags_are_taken_completed_and_helped(capsys: pytest.CaptureFixture[str]) -> None:
    request = read_request(["--min-lr", "1e-5", "--config=adam", "--max-lr=1", "--steps", "60", "--png=x.png"])
    assert (request.lowest, request.highest, request.steps, request.png) == (1e-5, 1.0, 60, "x.png")
    assert request.words == ("--config=adam",)
    own = {flag.name for flag in FLAGS}
    assert own >= {"--min-lr", "--max-lr", "--steps", "--png"}
    assert own <= set(candidates(["lr-find", "--"], COMMANDS, flags_of))
    assert not own & set(candidates(["fit", "--"], COMMANDS, flags_of))
    assert main(["lr-find", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in (*own, "--model.criterion"))


class Plain(pl.LightningModule):
    """A regression that Lightning's own range test takes too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lr = 0.7
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = nn.functional.mse_loss(self.layers(batch[0]), batch[1])
        return {"loss": loss, "loss_before": loss.detach()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)


@pytest.mark.filterwarnings("ignore")
def test_lightning_takes_the_same_steps(tmp_path: Path) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(320, 8)
    loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=32)
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    theirs = Tuner(pl.Trainer(max_epochs=50, default_root_dir=tmp_path, **quiet)).lr_find(
        Plain(), loader, min_lr=1e-5, max_lr=0.1, num_training=40, early_stop_threshold=None
    )
    assert theirs is not None
    # Its losses are smoothed, each divided by one power of β too many.
    smoothed = np.asarray(theirs.results["loss"]) * (1 - 0.98 ** np.arange(2, 42))
    raw = np.diff(smoothed, prepend=0) + 0.02 * np.concatenate([[0], smoothed[:-1]])
    sweep = RangeSweep(theirs.results["lr"])
    trainer = pl.Trainer(max_steps=40, callbacks=[sweep, StepValues(sweep.look)], enable_checkpointing=False, **quiet)
    trainer.fit(Plain(), loader)
    assert sweep.losses == pytest.approx((raw / 0.02).tolist(), rel=1e-4)
    assert math.isclose(theirs.results["loss"][0], sweep.losses[0] / 1.98, rel_tol=1e-4)


@pytest.mark.usefixtures("store")
def test_a_compiled_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", "--config=adam", "--config=digits", "--compile=true"]) == Exit.MISTAKE
    assert "the range test makes plain steps; leave it out" in capsys.readouterr().err
