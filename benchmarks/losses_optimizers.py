"""Losses × optimizers on a JPEG copy of CIFAR-10, three epochs, one seed each, judged by the same yardsticks.

Run: ``LOSSOPT_IMAGE_FOLDER=path/to/images python -m benchmarks.losses_optimizers`` (about twelve minutes on two cores).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.cifar10_jpeg import Trial, content, run_trials
from benchmarks.harness import write_json
from lit_lossopt.tracking.reading.runs import Run

OPTIMIZERS = ("sgd_momentum", "adam", "muon")
# Mean squared error and one-vs-rest average over ten outputs, nine of them easy: their gradients are some ten times
# smaller, so momentum gets ten times the rate, as in mse.yaml and one_vs_rest.yaml.
LOSSES = {
    "CrossEntropyLoss": (),
    "BCEWithLogitsLoss": ("--model.optimizer.lr=0.1",),
    "MSELoss": ("--model.optimizer.lr=0.1",),
    "FocalLoss": (),
    "SquentropyLoss": (),
}
YARDSTICKS = ("accuracy", "nll", "brier", "ece", "loss")


def trial(loss: str, optimizer: str) -> Trial:
    """Return the trial of a loss with an optimizer."""
    own_rate = LOSSES[loss] if optimizer == "sgd_momentum" else ()
    return Trial(optimizer, 0, (f"--model.criterion={loss}", "--trainer.max_epochs=3", *own_rate))


def main() -> None:
    """Run every pair and write ``results/losses_optimizers.json``."""
    trials = {(loss, optimizer): trial(loss, optimizer) for loss in LOSSES for optimizer in OPTIMIZERS}
    print(write_json("losses_optimizers", content(arms(trials, run_trials(list(trials.values()))))))


def arms(trials: Mapping[tuple[str, str], Trial], done: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what each pair reached by every yardstick; None where its loss implies no probabilities."""
    runs = {run.name: run for run in done}
    return [
        {
            "criterion": loss,
            "optimizer": optimizer,
            "lr": runs[one.name].params["optimizer.lr"],
            **{name: runs[one.name].metrics.get(f"val/{name}") for name in YARDSTICKS},
        }
        for (loss, optimizer), one in trials.items()
    ]


if __name__ == "__main__":
    main()
