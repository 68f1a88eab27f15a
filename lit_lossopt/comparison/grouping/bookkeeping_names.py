"""What the name of a parameter says of it.

It may be an id, a place, the name of a run, or a hyperparameter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lit_lossopt.comparison.grouping.name_words import last_part, words_of

# Words of a name that say which run it was, not what was run. The first count anywhere, the second at the end.
_IDS = {"commit", "guid", "hostname", "job", "jobid", "pid", "sha", "slurm", "timestamp", "uuid", "wandb"}
_LAST_IDS = {"created", "date", "datetime", "duration", "elapsed", "host", "id", "node", "port", "run", "runtime",
             "started", "time", "trial", "version"}  # fmt: skip
# Of the second, what may as well be a setting: a limit of time, the version of a method.
_MAY_SET = {"date", "datetime", "time", "version"}
_COUNTED, _COUNTS = {"exp", "experiment", "run", "trial"}, {"idx", "index", "no", "num", "number"}
_DURATIONS = {"duration", "elapsed", "runtime", "timestamp"}
_PLACES = {"cache", "checkpoint", "checkpoints", "ckpt", "cwd", "dir", "directory", "dirname", "file", "filename",
           "folder", "label", "log", "logdir", "logs", "name", "out", "output", "path", "results", "rundir", "save",
           "tag", "tags", "tmp", "uri", "url", "workdir"}  # fmt: skip
# With one of these a name or path says what was trained: ``model_name_or_path``.
_SUBJECTS = {"arch", "backbone", "config", "data", "dataset", "encoder", "init", "loss", "method", "model", "net",
             "network", "optim", "optimizer", "pretrained", "student", "task", "teacher", "tokenizer", "train",
             "training"}  # fmt: skip
_OWN_PLACES = {"dir", "directory", "folder", "log", "logdir", "logs", "out", "output", "results", "save",
               "ckpt"}  # fmt: skip
# An arm may be called so, as a run may.
_CALLED = {"label", "name", "tag", "tags"}
# Hyperparameters are searched, and may then differ in every run.
_SEARCHED = {
    "alpha", "aug", "augment", "augmentation", "augmentations", "batch", "beta", "block", "blocks", "bs", "channels",
    "clip", "components", "crop", "decay", "degree", "delay", "depth", "dim", "dimension", "dims", "dropout", "embed",
    "embedding", "epochs", "estimators", "factor", "features", "filters", "freeze", "frozen", "gamma", "head", "heads",
    "hidden", "horizon", "init", "initializer", "iterations", "iters", "kernel", "lambda", "latent", "layer", "layers",
    "leaf", "leaves", "length", "lookback", "max", "milestones", "min", "mixup", "momentum", "neighbors", "neurons",
    "norm", "normalization", "patch", "patience", "penalty", "period", "policy", "pool", "pooling", "preset", "prior",
    "rank", "ratio", "reduction", "reg", "regularization", "regularizer", "resolution", "rounds", "sampler", "schedule",
    "size", "split", "steps", "strategy", "stride", "temperature", "threshold", "tokens", "topk", "transform",
    "transforms", "trees", "units", "variant", "vocab", "warmup", "width", "window", "words",
}  # fmt: skip
STAMP = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?<![^\W_])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}(?![^\W_])"
    r"|\d{4}[-_.]?[01]\d[-_.]?[0-3]\d(?:[T_ .:/-]*[0-2]\d[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d(?:\.\d+)?)?)?"
    r"|[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}"
    r"|\d{9,}"
)
_DAY = re.compile(r"(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d")


def is_id(name: str, values: Sequence[str | None]) -> bool:
    """Return True if a parameter says which run it was.

    Its values (``None`` is a run without) tell, or its name.

    >>> is_id("job_id", ["1", "2"]), is_id("model_id", ["1", "2"])
    (True, False)
    """
    if all(STAMP.fullmatch(value) for value in values if value is not None):
        return True
    words, last = set(words_of(name)), set(words_of(last_part(name))[-1:])
    if words & _SUBJECTS:
        return False
    return bool(words & _IDS or last & _LAST_IDS or (words & _COUNTED and words & _COUNTS))


def may_set(name: str, values: Sequence[str | None]) -> bool:
    """Return True if an id may as well be a setting.

    A limit of time, a version and a day of data may.

    >>> may_set("max_time", ["10"]), may_set("snapshot", ["2024-01-31"]), may_set("job_id", ["10"])
    (True, True, False)
    """
    if all(is_day(value) for value in values if value is not None):
        return True
    return bool(set(words_of(last_part(name))[-1:]) & _MAY_SET)


def is_day(text: str) -> bool:
    """Return True if a text is a day without a time.

    It may be the day of a run, or of its data.
    """
    return bool(_DAY.fullmatch(text))


def is_place(name: str) -> bool:
    """Return True if a parameter is a folder, file or name.

    The name is that of the run.

    >>> is_place("results_path"), is_place("pretrained_path")
    (True, False)
    """
    words = set(words_of(name))
    return bool(words & _PLACES) and (not words & _SUBJECTS or bool(words & _OWN_PLACES))


def is_called(name: str) -> bool:
    """Return True if a parameter says what a run is called.

    An arm may be called so too.
    """
    return is_place(name) and bool(set(words_of(last_part(name))) & _CALLED)


def is_searched(name: str) -> bool:
    """Return True if a parameter is a hyperparameter by its name.

    >>> is_searched("n_units_l0"), is_searched("batch_size"), is_searched("something")
    (True, True, False)
    """
    return bool(set(words_of(last_part(name))) & _SEARCHED) and not is_place(name)


def says_duration(name: str) -> bool:
    """Return True if a parameter is a time or a duration."""
    return bool(set(words_of(name)) & _DURATIONS)
