"""The edge of stability: sharpness under full-batch gradient descent rises to 2/lr and stays there.

Run: ``python -m benchmarks.edge_of_stability``. It trains MiniCNN on the embedded digits, all images in each batch,
with squared error, through ``lossopt fit`` as a person would. The sharpness is that of the same images, and the needle
is 1 at the edge. It writes ``results/edge_of_stability.json`` and the picture in ``docs/pictures``.

Source of what is expected: Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of
Stability".
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine, write_json
from lit_lossopt.__main__ import main as program
from lit_lossopt.core import names
from lit_lossopt.core.colours import COLOURS
from lit_lossopt.tracking.reading.runs import read_runs

IMAGES = 1293
RATES = {"gradient descent": (0.2, 0.4), "with momentum 0.9": (0.4,)}
MOMENTUM = {"gradient descent": 0.0, "with momentum 0.9": 0.9}
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "edge_of_stability.png"


def words(rate: float, momentum: float, steps: int) -> list[str]:
    """Return the command that trains one arm."""
    return [
        "fit", "--data=DigitsDataModule", f"--data.batch_size={IMAGES}", f"--probe.images={IMAGES}",
        "--model.network=MiniCNN", "--model.network.dropout=0", "--model.criterion=MSELoss", "--model.optimizer=SGD",
        f"--model.optimizer.lr={rate}", f"--model.optimizer.momentum={momentum}", f"--trainer.max_steps={steps}",
        "--trainer.max_epochs=-1", "--trainer.check_val_every_n_epoch=100", "--checkpoints.every_minutes=60",
        f"--diagnostics=norm,alpha@every:10,sharpness@every:{max(1, steps // 40)}", "--tracking.experiment=edge",
    ]  # fmt: skip


def train(rate: float, momentum: float, steps: int) -> dict[str, Any]:
    """Return an arm's curves."""
    command = words(rate, momentum, steps)
    if program(command):
        raise SystemExit(f"did not train: {' '.join(command)}")
    run = read_runs("edge", metrics=None)[-1]
    curves = {}
    for key, name in (("sharpness", names.SHARPNESS), ("needle", names.NEEDLE), ("loss", names.TRAIN_LOSS)):
        history = run.histories[name]
        kept = slice(None, None, max(1, len(history.steps) // 400))
        curves[key] = [history.steps[kept].tolist(), np.round(history.values[kept], 6).tolist()]
    raised = run.histories[names.LOSS_CHANGE].values
    late = raised[len(raised) // 2 :]
    needle = run.histories[names.NEEDLE].values
    return {
        "rate": rate, "momentum": momentum, "command": " ".join(["lossopt", *command]), "curves": curves,
        "needle_second_half": float(np.median(needle[len(needle) // 2 :])),
        "steps_that_raise_the_loss": float(np.mean(late > 0)),
    }  # fmt: skip


def draw(arms: list[dict[str, Any]]) -> None:
    """Draw sharpness, needle and loss of each arm."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = canvas.subplots(3, 1, sharex=True)
    for place, arm in enumerate(arms):
        momentum = f", momentum {arm['momentum']:g}" if arm["momentum"] else ""
        for axis, key in zip(axes, ("sharpness", "needle", "loss"), strict=True):
            axis.plot(*arm["curves"][key], color=COLOURS[place], label=f"rate {arm['rate']:g}{momentum}", linewidth=1.4)
        axes[0].axhline(2 * (1 + arm["momentum"]) / arm["rate"], color=COLOURS[place], linestyle=":", linewidth=1)
    axes[1].axhline(1, color="#595e66", linestyle=":", linewidth=1)
    axes[0].set(ylabel="sharpness λ")
    axes[1].set(ylabel="stability needle")
    axes[2].set(ylabel="training loss", yscale="log", xlabel="step")
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(arms), frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(exist_ok=True)
    canvas.savefig(PICTURE, dpi=150)


def main(steps: int = 400) -> None:
    """Train, write and draw."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        arms = [train(rate, MOMENTUM[kind], steps) for kind, rates in RATES.items() for rate in rates]
        os.chdir(home)
    draw(arms)
    for arm in arms:
        print(f"rate {arm['rate']:g}, momentum {arm['momentum']:g}: needle {arm['needle_second_half']:.3f}")
    print(write_json("edge_of_stability", {"machine": machine(), "steps": steps, "images": IMAGES, "arms": arms}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
