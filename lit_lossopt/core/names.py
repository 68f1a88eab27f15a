"""Names that are stored or compared.

They are of metrics, tags, artifacts, verdicts and exit statuses. Each is spelled here and nowhere else. A ``/`` in the
name of a metric makes a section of MLflow's charts. Tags of this project begin with ``lossopt.``.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """How a run ended.

    The first three are results. The last two are missing data.
    """

    COMPLETED = "completed"
    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


# Verdicts of runs that a comparison counts.
RESULTS = (Verdict.COMPLETED, Verdict.DIVERGED, Verdict.COLLAPSED)


class Status(StrEnum):
    """MLflow's status of a run."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Exit(IntEnum):
    """Exit statuses of the commands."""

    DONE = 0
    # Something went wrong that is no mistake of the person who typed.
    FAILED = 1
    # Something typed or provided is wrong.
    MISTAKE = 2
    DIVERGED = 3
    # The command did its work, and a part of the record is lost.
    INCOMPLETE = 4
    # 128 and the number of the signal, as shells have it.
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class Answer(IntEnum):
    """What a command says to a claim, as its exit status.

    Commands that answer so never return ``Exit.INCOMPLETE``, which is the same number.
    """

    HOLDS = 0
    CONTRADICTED = 4
    # It is neither shown nor contradicted.
    UNDECIDED = 5


TRAIN_LOSS = "train/loss"
TRAIN_LR = "train/lr"
# The loss of a fixed set of training images, in evaluation mode, at pairs of consecutive steps.
PROBE_LOSS = "train/probe_loss"
TRAIN_SECONDS = "time/train_seconds"
EPOCHS = "time/epochs"
EXAMPLES = "time/examples"

# Diagnostics. Those of ``flow/`` are by layer, as ``flow/grad_norm/conv1``.
GRAD_NORM = "train/grad_norm"
FLOW = "flow"
FLOW_GRADIENT = f"{FLOW}/grad_norm"
FLOW_WEIGHT = f"{FLOW}/weight_norm"
FLOW_UPDATE = f"{FLOW}/update_ratio"
FLOW_LOST = f"{FLOW}/lost_digits"
FLOW_DEAD = f"{FLOW}/dead"
FLOW_SATURATED = f"{FLOW}/saturated"
FLOW_SOFTMAX = f"{FLOW}/softmax"
ALPHA = "step/alpha"
LOSS_CHANGE = "step/loss_change"
COSINE = "step/cosine"
NOISE_TRACE = "step/noise_trace"
GRADIENT_SQUARE = "step/gradient_square"
SHARPNESS = "sharpness/eigenvalue"
SHARPNESS_RESIDUAL = "sharpness/residual"
NEEDLE = "sharpness/needle"
NEEDLE_RESIDUAL = "sharpness/needle_residual"

RANGE_SMOOTHED = "range_test/smoothed_loss"
RANGE_SUGGESTION = "range_test/suggestion"
RANGE_BEGINS = "range_test/begins_to_fall"
RANGE_LOWEST = "range_test/lowest"
RANGE_DIVERGES = "range_test/diverges"

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
# How often the run's process was killed without a word.
TAG_KILLED = "lossopt.killed"
TAG_GAPS = "lossopt.gap_seconds"
TAG_CONTINUES = "lossopt.continues"
# Of a branch: the id of the run that it begins from, "@", and the step behind which it begins.
TAG_BRANCH = "lossopt.branch"
TAG_FRAMEWORK = "lossopt.framework"
TAG_JOURNAL = "lossopt.journal"
TAG_UNDELIVERED = "lossopt.undelivered"
# Of a run whose values were lost, because the disk of its journal was full: how many, by metric.
TAG_LOST = "lossopt.lost"
TAG_REFUSED = "lossopt.refused"
# What a run's diagnostics found, as JSON.
TAG_FINDINGS = "lossopt.findings"
# The layers that diagnostics speak of, from the images to the outputs, as JSON.
TAG_LAYERS = "lossopt.layers"
# Of a run that holds a comparison of others.
TAG_COMPARISON = "lossopt.comparison"
# Of a range test of the learning rate, which is no training.
TAG_RANGE_TEST = "lossopt.range_test"
# Of a run of another program: the path as typed, the format of its file, and the SHA-256 of what was read. The last is
# there once the run is whole. Until then the run has the same under another name.
TAG_IMPORTED_FROM = "lossopt.imported_from"
TAG_IMPORTED_FORMAT = "lossopt.imported_format"
TAG_IMPORTED_SHA256 = "lossopt.imported_sha256"
TAG_IMPORTING = "lossopt.importing"
# Of a run whose step was compiled: the seconds that this took, in its last attempt.
TAG_COMPILE_SECONDS = "lossopt.compile_seconds"
# The words of the command that made a run, as a list in JSON.
TAG_COMMAND = "lossopt.command"
# Objects that were handed over from Python, as a list of keys in JSON.
TAG_GIVEN = "lossopt.given"
TAG_CONFIG_SHA256 = "lossopt.config_sha256"
# Of a sweep and its trials: the parent run, the hash of merged settings, the levels' names, the part of the protocol.
TAG_SWEEP = "lossopt.sweep"
TAG_SWEEP_KEY = "lossopt.sweep_key"
TAG_SWEEP_ARM = "lossopt.sweep_arm"
TAG_PHASE = "lossopt.phase"
# Of a trial: how many seeds its arm was to get by the plan when the trial was started.
TAG_PLANNED_SEEDS = "lossopt.planned_seeds"
# Of the repeats of a race: its rules, as JSON.
TAG_RACE = "lossopt.race"
# The phase of a trial that trains a winner again.
REPEAT = "repeat"
# The phase of a trial from which arms begin, and which is no arm itself.
TRUNK = "trunk"
# The phase of a run that is no longer a part of its sweep: the plan has changed, or another point has won.
ASIDE = "aside"
# Of the sweep itself: the plan's name, and the hash of what it says.
TAG_PLAN = "lossopt.plan"
TAG_PLAN_SHA256 = "lossopt.plan_sha256"
# Runs with one of them are no trainings to compare.
TAGS_OF_NO_RESULT = (TAG_COMPARISON, TAG_RANGE_TEST, TAG_PLAN)
# MLflow's own: the commit, a run's description, the colour of its lines in charts, and the run that it is nested in.
TAG_COMMIT = "mlflow.source.git.commit"
TAG_DESCRIPTION = "mlflow.note.content"
TAG_COLOUR = "mlflow.runColor"
TAG_PARENT = "mlflow.parentRunId"
# Of an experiment: what kind of work it is. Without it, versions of MLflow that guess may take it for another kind.
TAG_KIND = "mlflow.experimentKind"
TRAINING_KIND = "custom_model_development"

CONFIG_ARTIFACT = "config.yaml"
PROVENANCE_ARTIFACT = "provenance.json"
# The source of objects that were handed over from Python.
GIVEN_ARTIFACT = "given_from_python.py"
DIFF_ARTIFACT = "changes.diff"
# Beside the folders of experiments.
RUNS_FOLDER = "mlruns"
JOURNAL_FOLDER = f"{RUNS_FOLDER}/journal"
OUTPUT_FOLDER = f"{RUNS_FOLDER}/output"
CHECKPOINT_FOLDER = "checkpoints"
# The last state of a run.
LAST_STATE = "last.ckpt"
PICTURE_FOLDER = "pictures"
# Snapshots of the weights.
TRAJECTORY_FOLDER = "trajectory"
RANGE_PICTURE = "range_test.png"

# Keys of a checkpoint, beside Lightning's own.
RUN_KEY = "lossopt_run"
CONFIG_KEY = "lossopt_config"
# Metric → number of its points that were logged before.
LOGGED_KEY = "lossopt_logged"
CRITERION_KEY = "lossopt_criterion"
STATE_KEY = "lossopt_state"
# Of a branch: what was trained before it, in words.
TRUNK_KEY = "lossopt_trunk"
# What the weights were that training began with, in words, where they were another run's.
WEIGHTS_KEY = "lossopt_weights"
# The metrics of the last evaluation, which callbacks may ask for at an epoch's end.
METRICS_KEY = "lossopt_metrics"
# Whether a validation was cut short, and whether training was told to stop.
VALIDATION_DUE_KEY = "lossopt_validation_due"
STOPPED_KEY = "lossopt_stopped"

EXPERIMENT = "lit_lossopt"


def kept_state(step: int) -> str:
    """Return the file name of the state that is kept for good after a step.

    >>> kept_state(400)
    'step-400.ckpt'
    """
    return f"step-{step}.ckpt"


def metric(split: str, quantity: str) -> str:
    """Return the name of an evaluated quantity.

    >>> metric("val", "accuracy")
    'val/accuracy'
    """
    return f"{split}/{quantity}"
