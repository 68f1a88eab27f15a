"""What an epoch's smaller last batch does to plain SGD: the first epoch with it and without it, the same seeds.

Run: ``LOSSOPT_IMAGE_FOLDER=path/to/images python -m benchmarks.last_batch`` (two minutes on two cores).
"""

from __future__ import annotations

from benchmarks.cifar10_jpeg import SEEDS, Trial, content, run_trials, summary
from benchmarks.harness import write_json

ONE_EPOCH = "--trainer.max_epochs=1"
ARMS = ((ONE_EPOCH, "--data.drop_last=false"), (ONE_EPOCH, "--data.drop_last=true"))


def main() -> None:
    """Run both arms and write ``results/last_batch.json``."""
    runs = run_trials([Trial("sgd", seed, flags) for flags in ARMS for seed in SEEDS])
    print(write_json("last_batch", content([summary(runs, "sgd", flags) for flags in ARMS])))


if __name__ == "__main__":
    main()
