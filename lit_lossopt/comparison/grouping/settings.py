"""What tells runs apart.

It is their parameters, without seed, machine and whatever follows from the rest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from lit_lossopt.comparison.grouping.name_words import spelled, words_of
from lit_lossopt.comparison.grouping.pairing import is_seed
from lit_lossopt.config.signatures import FAMILIES, class_defaults, class_paths
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.tracking.reading.runs import Run

Settings = Mapping[str, str]

SWEEP_ARM = "arm"
FRAMEWORK = "framework"
# Ends of parameter names that say nothing of the method. They are of machine, place, time, and what comes of the rest.
_NO_SETTING = {
    "accelerator", "array_job_id", "array_task_id", "cache", "cache_dir", "class_names", "commit", "created", "cuda",
    "dataloader_num_workers", "date", "datetime", "device", "devices", "download", "epoch", "eval_batch_size",
    "exp_name", "experiment", "experiment_id", "experiment_name", "fused", "git_commit", "git_hash", "git_sha",
    "global_rank", "gpu", "gpu_id", "gpu_ids", "gpus", "host", "hostname", "hub_token", "job_id", "job_name",
    "local_rank", "log_dir", "log_file", "log_path", "logdir", "logging_dir", "master_addr", "master_address",
    "master_port", "n_gpu", "n_jobs", "node_rank", "num_threads", "num_workers", "output", "output_dir",
    "output_path", "parameters", "pid", "predict_folder", "rdzv_endpoint", "rdzv_id", "report_to",
    "resident", "resume_from_checkpoint", "run_dir", "run_id", "run_name", "save_dir", "save_path", "skipped_images",
    "slurm_job_id", "test_images", "threads", "time", "timestamp", "train_images", "trial_id", "trial_number",
    "tune_trial_id", "urls", "user", "username", "uuid", "val_images", "verbose", "verbosity", "wandb_id",
    "wandb_run_id", "wandb_version", "weights_sha256", "work_dir", "workdir", "workers",
}  # fmt: skip
# Programs whose own parameters say where and how something ran.
_RUNNERS = {"hydra", "slurm", "torchelastic", "wandb"}
_RATES = ("lr", "learning_rate", "learningrate", "base_lr", "init_lr", "initial_lr", "step_size", "eta", "lr_0",
          "optimizer_lr", "opt_lr", "opt_learning_rate", "optimizer_learning_rate", "base_learning_rate",
          "initial_learning_rate", "init_learning_rate", "learning_rate_init", "lr_init", "peak_lr", "max_lr",
          "peak_learning_rate", "max_learning_rate")  # fmt: skip
# What is named first, whatever else there is.
_FIRST = (
    SWEEP_ARM,
    "optimizer",
    "opt",
    "optim",
    "opt_name",
    "optimizer_name",
    "lr",
    "criterion",
    "loss",
    "loss_fn",
    "loss_function",
    "network",
    "model",
)


def settings_of(run: Run) -> dict[str, str]:
    """Return the parameters of a run that can set its arm apart.

    Numbers are in one spelling.
    """
    params_of_arm = {
        name: plain(value) for name, value in run.params.items() if not (_says_nothing(name) or is_seed(name))
    }
    more = {SWEEP_ARM: run.tags.get(names.TAG_SWEEP_ARM), FRAMEWORK: run.tags.get(names.TAG_FRAMEWORK)}
    return {**params_of_arm, **{name: value for name, value in more.items() if value and name not in params_of_arm}}


def varying(all_settings: Sequence[Settings]) -> list[str]:
    """Return the names whose values differ between runs.

    They are in the order in which they are told.

    >>> varying([{"lr": "0.1", "optimizer": "SGD", "depth": "2"}, {"lr": "0.2", "optimizer": "Adam", "depth": "2"}])
    ['optimizer', 'lr']
    """
    known = {name for settings in all_settings for name in settings}
    differing = [name for name in known if len({settings.get(name) for settings in all_settings}) > 1]
    return sorted(differing, key=_rank)


def is_rate(name: str) -> bool:
    """Return True if a parameter is a learning rate by its name."""
    return end_of(name) in _RATES or spelled(name) in _RATES


def rate_of(known: Iterable[str]) -> str | None:
    """Return which of these parameters is the learning rate.

    None if none is.

    >>> rate_of(["model.width", "optimizer.lr"])
    'optimizer.lr'
    """
    return min(filter(is_rate, known), key=lambda name: (_rank(name), _place_among_rates(name), name), default=None)


def resolve(word: str, runs: Sequence[Run], flag: str = "--by", *, tags: bool = True) -> str:
    """Return the parameter or tag that a short name means.

    So ``lr`` means ``optimizer.lr``.

    Args:
        word: as it was typed.
        runs: whose parameters and tags it can mean.
        flag: behind which it stood.
        tags: whether it can mean a tag.

    Raises:
        UserError: none, or several.
    """
    known = sorted({name for run in runs for name in (*settings_of(run), *run.params)})
    known_tags = sorted({name for run in runs for name in run.tags}) if tags else []
    if word in known:
        return word
    if is_rate(word) and rate_of(known):
        return str(rate_of(known))
    matching = [name for name in known if name.endswith(f".{word}") or end_of(name) == word]
    matching = matching or [name for name in known if spelled(word) and spelled(name) == spelled(word)]
    if len(matching) > 1:
        raise UserError(f"{flag} {word}: it can mean {' or '.join(matching)}. Name one of them")
    tagged = [name for name in known_tags if name in (word, f"lossopt.{word}")]
    if matching or tagged:
        return (matching or tagged)[0]
    short = {end_of(name): name for name in known}
    near = did_you_mean(word, [*short, *known, *(name for name in known_tags if not name.startswith("mlflow."))])
    raise UserError(f"{flag} {word}: no run has such a parameter{' or tag' if tags else ''}{near}")


def value_of(run: Run, name: str) -> str | None:
    """Return a setting, parameter or tag of a run, or None if it has none."""
    setting = settings_of(run).get(name)
    raw = run.params.get(name, run.tags.get(name))
    return setting if setting is not None else None if raw is None else plain(raw)


def parent_of(name: str, known: Iterable[str]) -> str | None:
    """Return the class whose argument a parameter is.

    >>> parent_of("optimizer.momentum", ["optimizer", "network"])
    'optimizer'
    """
    parents = [other for other in known if name.startswith(f"{other}.")]
    return max(parents, key=len, default=None)


def is_default(name: str, value: str, parent: str, class_name: str) -> bool | None:
    """Return True if an argument has its class's default.

    None if the default is not known.
    """
    default = _defaults(f"model.{parent}", class_name).get(name.removeprefix(f"{parent}."))
    return None if default is None else _literal(default) == _literal(value)


def plain(value: str) -> str:
    """Return a value in one spelling, on one line, without control signs.

    >>> plain("1e-3"), plain("0.0010"), plain("SGD")
    ('0.001', '0.001', 'SGD')
    """
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        number = float(text)
        return f"{number:.12g}"
    return text


def end_of(name: str) -> str:
    """Return the last part of a name in lower case."""
    return re.split(r"[./]", name)[-1].lower()


def _says_nothing(name: str) -> bool:
    if end_of(name) in _NO_SETTING or spelled(name) in _NO_SETTING:
        return True
    return bool(set(words_of(name)[:1]) & _RUNNERS)


def _place_among_rates(name: str) -> int:
    return _RATES.index(end_of(name) if end_of(name) in _RATES else spelled(name))


def _rank(name: str) -> tuple[int, int, str]:
    """Return where a setting stands among others.

    The optimizer comes first, with its rate and its arguments, then the loss.
    """
    head = name.partition(".")[0].lower()
    head = "lr" if is_rate(name) and head not in _FIRST else head
    place = _FIRST.index(head) if head in _FIRST else len(_FIRST)
    return place, 0 if name.lower() == head else 1 if is_rate(name) else 2, name


@cache
def _defaults(family: str, class_name: str) -> Mapping[str, str]:
    if family not in FAMILIES or class_name not in class_paths(family):
        return {}
    return class_defaults(family, class_paths(family)[class_name])


def _literal(text: str) -> object:
    """Return what a text spells, with tuples as lists and numbers as floats."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(value, list | tuple):
        return [float(item) if isinstance(item, int) else item for item in value]
    return float(value) if isinstance(value, int) else value
