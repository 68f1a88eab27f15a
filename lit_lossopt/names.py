"""Every metric, tag and artifact name, spelled once.

A ``/`` gives MLflow's charts their sections; tags begin with ``lossopt.``.
"""

from __future__ import annotations

TRAIN_LOSS = "train/loss"
TRAIN_LR = "train/lr"
TRAIN_SECONDS = "time/train_seconds"
EPOCHS = "time/epochs"
EXAMPLES = "time/examples"

VAL = "val"
TEST = "test"
BEST_VAL_ACCURACY = "best/val_accuracy"

TAG_ARM = "lossopt.arm"
TAG_SEED = "lossopt.seed"
TAG_TRIAL_KEY = "lossopt.trial_key"
TAG_VERDICT = "lossopt.verdict"
TAG_EVIDENCE = "lossopt.evidence"
TAG_LAST_GOOD_STEP = "lossopt.last_good_step"
TAG_ATTEMPT = "lossopt.attempt"
TAG_GAPS = "lossopt.gap_seconds"
TAG_CONTINUES = "lossopt.continues"
TAG_FRAMEWORK = "lossopt.framework"
TAG_JOURNAL = "lossopt.journal"
TAG_UNDELIVERED = "lossopt.undelivered"
TAG_REFUSED = "lossopt.refused"
TAG_CONFIG_SHA256 = "lossopt.config_sha256"
# MLflow's own: the commit, a run's description, and the colour of its lines in charts.
TAG_COMMIT = "mlflow.source.git.commit"
TAG_DESCRIPTION = "mlflow.note.content"
TAG_COLOUR = "mlflow.runColor"

CONFIG_ARTIFACT = "config.yaml"
PROVENANCE_ARTIFACT = "provenance.json"
DIFF_ARTIFACT = "changes.diff"
JOURNAL_FOLDER = "mlruns/journal"
OUTPUT_FOLDER = "mlruns/output"
CHECKPOINT_FOLDER = "checkpoints"
PICTURE_FOLDER = "pictures"

EXPERIMENT = "lit_lossopt"


def metric(split: str, quantity: str) -> str:
    """Return the name of an evaluated quantity: ``metric("val", "accuracy")`` is ``val/accuracy``."""
    return f"{split}/{quantity}"
