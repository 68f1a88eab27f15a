"""Full-batch gradient descent rises to the edge of stability and stays there (Cohen et al. 2021)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_runs


class Tanh(nn.Module):
    """3072-200-200-10 with tanh, as in the paper."""

    def __init__(self, in_channels: int = 3, image_size: int = 32, num_outputs: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(in_channels * image_size**2, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(),
            nn.Linear(200, num_outputs),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.layers(images)
        return outputs


class HalfSquare(nn.MSELoss):
    """½‖·‖² of each example, in the mean over the batch; torch's own is the mean over the outputs too."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # torch's name
        return super().forward(input, target) * self.outputs / 2


def descended(steps: int, images: int, every: int, *words: str) -> Run:
    """Return a run of full-batch gradient descent whose sharpness is that of the same images."""
    command = [
        "fit", f"--data.batch_size={images}", f"--probe.images={images}", "--model.optimizer=SGD",
        f"--trainer.max_steps={steps}", "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=1000",
        f"--diagnostics=alpha@every:5,sharpness@every:{every}", "--threads=1",
    ]  # fmt: skip
    assert main([*command, *words]) == 0
    return read_runs(metrics=None)[-1]


# In the default tier, tests of sharpness and needle against slow twins show the same measurements.
@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_on_two_digits_the_needle_rises_to_one_and_stays() -> None:
    run = descended(
        240, 255, 15, "--data=DigitsDataModule", "--data.classes=[3,8]", "--model.network=MiniCNN",
        "--model.network.dropout=0", "--model.criterion=MSELoss", "--model.optimizer.lr=0.2",
    )  # fmt: skip
    needle, loss = run.histories[names.NEEDLE].values, run.histories[names.TRAIN_LOSS].values
    np.testing.assert_allclose(needle, run.histories[names.SHARPNESS].values * 0.2 / 2, rtol=1e-6)
    assert needle[0] < 0.8
    assert np.all(np.abs(needle[len(needle) // 2 :] - 1) < 0.2), needle
    assert loss[-1] < 0.5 * loss[0]


@pytest.mark.slow
@pytest.mark.skipif("LOSSOPT_IMAGE_FOLDER" not in os.environ, reason="needs real images: LOSSOPT_IMAGE_FOLDER")
@pytest.mark.usefixtures("store")
@pytest.mark.timeout(14_000)
def test_on_images_of_cifar10_as_in_the_paper(tmp_path: Path) -> None:
    folder = Path(os.environ["LOSSOPT_IMAGE_FOLDER"])
    for source in sorted((folder / "train").iterdir()):
        place = tmp_path / "images" / source.name
        place.mkdir(parents=True)
        for image in sorted(source.iterdir())[:600]:
            (place / image.name).symlink_to(image)
    # 6,000 images, of which 5,000 are left for training.
    run = descended(
        6000, 5000, 100, "--data=ImageFolderDataModule", f"--data.folder={tmp_path / 'images'}",
        "--data.val_fraction=0.0833", "--data.test_fraction=0.0833", "--data.drop_last=false",
        "--model.network=tests.training.test_edge_of_stability.Tanh",
        "--model.criterion=tests.training.test_edge_of_stability.HalfSquare", "--allow-import=tests",
        "--model.optimizer.lr=0.02",
    )  # fmt: skip
    sharpness = run.histories[names.SHARPNESS].values
    needle = sharpness * 0.02 / 2
    # It begins far from the edge, rises, and stays there: 0.52 behind 400 steps, 0.92 behind 3,000.
    assert needle.min() < 0.6
    assert abs(np.median(needle[-15:]) - 1) < 0.1, needle
    assert needle.max() < 1.2, needle
