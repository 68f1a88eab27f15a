"""Schedule-Free evaluates weights whose norms have never seen a batch; their statistics are computed anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.killing.attempts import Attempts, assert_equal
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.diagnostics.batch_statistics import norms_in_training, recompute
from lit_lossopt.diagnostics.looking import draw_examples
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.troubled import WithNorms

NORMS = ["--model.network=tests.support.troubled.WithNorms", "--allow-import=tests"]
# Its weights of training and of evaluation are far apart.
FREE = ["--config=schedule_free", *NORMS, "--model.optimizer.lr=0.02", "--data=DigitsDataModule", "--threads=1"]
FREE += ["--probe.images=64"]
# As many steps, of a fifth of the images.
FEW_IMAGES = ["--data.classes=[0,1]", "--data.batch_size=32", "--data.eval_batch_size=16"]


def state_of(run_id: str) -> dict[str, torch.Tensor]:
    (path,) = Path("mlruns").glob(f"*/{run_id}/artifacts/checkpoints/last.ckpt")
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}


def test_each_statistic_is_that_of_all_images_at_once() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5)).eval()
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm2d)
    batches = list(torch.randn(4, 32, 1, 8, 8))
    recompute(network, [norm], batches)
    seen = [network[0](batch) for batch in batches]
    torch.testing.assert_close(norm.running_mean, torch.cat(seen).mean((0, 2, 3)))
    variances = torch.stack([one.transpose(0, 1).flatten(1).var(1) for one in seen])
    torch.testing.assert_close(norm.running_var, variances.mean(0))
    assert norm.momentum == 0.1
    assert not norm.training


def test_frozen_norms_keep_theirs() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    network[1].eval()
    assert list(norms_in_training(network)) == ["0"]


def test_what_is_kept_are_the_statistics_of_the_weights_that_are_evaluated(store: Path) -> None:
    assert store
    assert main(["fit", *FREE, "--trainer.max_epochs=1"]) == 0
    state = state_of(read_runs()[-1].run_id)
    network = WithNorms()
    network.load_state_dict(state)
    data = DigitsDataModule()
    data.prepare_data()
    data.setup("fit")
    examples = draw_examples(data, 16 * data.batch_size)
    images, _ = data.on_after_batch_transfer((examples.images, examples.labels), 0)
    norm = network.features[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        entering = network.eval().features[0](images)
    torch.testing.assert_close(norm.running_mean, entering.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_training_is_the_same_however_often_it_is_evaluated(store: Path) -> None:
    assert store
    losses = []
    for every in (4, 20):
        assert main(["fit", *FREE, "--trainer.max_epochs=2", f"--trainer.val_check_interval={every}"]) == 0
        run = read_runs(metrics=None)[-1]
        losses.append(run.histories["train/loss"].values.tolist())
    # Not to the bit: on the way to the other weights and back, the optimizer rounds.
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("step", [4, 6])
def test_killed_and_resumed_it_is_the_same_to_the_bit(
    step: int, zygote: Zygote, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    Attempts.store = empty_store
    words = ["--config=schedule_free", *NORMS, "--checkpoints.every_n_steps=1", *FEW_IMAGES]
    whole = Attempts(zygote, tmp_path / "whole", *words)
    assert whole.finish() == 0, whole.output.read_text()
    killed = Attempts(zygote, tmp_path / "killed", *words)
    # An evaluation comes behind every fourth step: killed just behind one, and between two.
    assert killed.kill_at("batch", step + 1), killed.output.read_text()
    assert killed.finish("--resume=auto") == 0, killed.output.read_text()
    assert_equal(killed.folder, whole.folder)
