"""What tells runs apart: their parameters, without seed, machine and whatever follows from the rest."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from lit_lossopt import names
from lit_lossopt.errors import UserError, did_you_mean
from lit_lossopt.signatures import FAMILIES, class_defaults, class_paths
from lit_lossopt.tracking.runs import Run

Settings = Mapping[str, str]

SWEEP_ARM = "arm"
FRAMEWORK = "framework"
# Ends of parameter names that say nothing of the method: seed, machine, place, time, and what comes of the rest.
_SEEDS = ("seed", "random_seed", "random_state", "seed_everything", "rng_seed", "manual_seed")
_NO_SETTING = {
    *_SEEDS, "accelerator", "cache", "commit", "created", "cuda", "date", "datetime", "device", "devices", "download",
    "epoch", "eval_batch_size", "experiment", "experiment_name", "exp_name", "git_commit", "gpu", "gpus", "host",
    "hostname", "log_dir", "n_jobs", "num_threads", "num_workers", "output", "output_dir", "parameters",
    "predict_folder", "run_id", "run_name", "save_dir", "skipped_images", "test_images", "threads", "time", "timestamp",
    "train_images", "urls", "user", "val_images", "verbose", "weights_sha256", "workers",
}  # fmt: skip
_RATES = ("lr", "learning_rate", "learningrate", "base_lr", "init_lr", "initial_lr", "step_size", "eta")
# What is named first, whatever else there is.
_FIRST = (
    SWEEP_ARM,
    "optimizer",
    "opt",
    "optim",
    "lr",
    "criterion",
    "loss",
    "loss_fn",
    "loss_function",
    "network",
    "model",
)


def settings_of(run: Run) -> dict[str, str]:
    """Return the parameters of a run that can set its arm apart, numbers in one spelling."""
    found = {name: plain(value) for name, value in run.params.items() if end_of(name) not in _NO_SETTING}
    more = {SWEEP_ARM: run.tags.get(names.TAG_SWEEP_ARM), FRAMEWORK: run.tags.get(names.TAG_FRAMEWORK)}
    return {**found, **{name: value for name, value in more.items() if value and name not in found}}


def seed_parameter(run: Run) -> str:
    """Return the seed of a run, by its tag or a parameter; empty where it names none."""
    tag = run.tags.get(names.TAG_SEED, "")
    return tag or next((run.params[name] for name in sorted(run.params) if end_of(name) in _SEEDS), "")


def varying(all_settings: Sequence[Settings]) -> list[str]:
    """Return the names that do not have one and the same value in all runs, in the order in which they are told."""
    known = {name for settings in all_settings for name in settings}
    differing = [name for name in known if len({settings.get(name) for settings in all_settings}) > 1]
    return sorted(differing, key=_rank)


def rate_of(known: Iterable[str]) -> str | None:
    """Return the name of the learning rate among parameters, if there is one."""
    rates = [name for name in known if end_of(name) in _RATES]
    return min(rates, key=lambda name: (_rank(name), _RATES.index(end_of(name)), name), default=None)


def resolve(word: str, runs: Sequence[Run]) -> str:
    """Return the parameter or tag that a short name means: ``lr`` is ``optimizer.lr``.

    Raises:
        UserError: none, or several.
    """
    known = sorted({name for run in runs for name in (*settings_of(run), *run.params)})
    tags = sorted({name for run in runs for name in run.tags})
    if word in known:
        return word
    if end_of(word) in _RATES and rate_of(known):
        return str(rate_of(known))
    matching = [name for name in known if name.endswith(f".{word}") or end_of(name) == word]
    if len(matching) > 1:
        raise UserError(f"--by {word}: it can mean {' or '.join(matching)}; name one of them")
    tagged = [name for name in tags if name in (word, f"lossopt.{word}")]
    if matching or tagged:
        return (matching or tagged)[0]
    short = {end_of(name): name for name in known}
    raise UserError(f"--by {word}: no run has such a parameter or tag{did_you_mean(word, [*short, *known])}")


def value_of(run: Run, name: str) -> str | None:
    """Return a setting, parameter or tag of a run."""
    found = settings_of(run).get(name)
    raw = run.params.get(name, run.tags.get(name))
    return found if found is not None else None if raw is None else plain(raw)


def parent_of(name: str, known: Iterable[str]) -> str | None:
    """Return the class whose argument a parameter is: ``optimizer`` for ``optimizer.momentum``."""
    parents = [other for other in known if name.startswith(f"{other}.")]
    return max(parents, key=len, default=None)


def is_default(name: str, value: str, parent: str, class_name: str) -> bool | None:
    """Return whether an argument has its class's default; None where that is not known."""
    default = _defaults(f"model.{parent}", class_name).get(name.removeprefix(f"{parent}."))
    return None if default is None else _literal(default) == _literal(value)


def plain(value: str) -> str:
    """Return a value in one spelling: ``1e-3`` and ``0.0010`` are ``0.001``; on one line, without control signs."""
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        number = float(text)
        return f"{number:.12g}"
    return text


def end_of(name: str) -> str:
    """Return the last part of a parameter's name, in lower case."""
    return re.split(r"[./]", name)[-1].lower()


def _rank(name: str) -> tuple[int, int, str]:
    """Return where a setting stands among others: first the optimizer, its rate and its arguments, then the loss."""
    head = name.partition(".")[0].lower()
    head = "lr" if end_of(name) in _RATES and head not in _FIRST else head
    place = _FIRST.index(head) if head in _FIRST else len(_FIRST)
    return place, 0 if name.lower() == head else 1 if end_of(name) in _RATES else 2, name


@cache
def _defaults(family: str, class_name: str) -> Mapping[str, str]:
    if family not in FAMILIES or class_name not in class_paths(family):
        return {}
    return class_defaults(family, class_paths(family)[class_name])


def _literal(text: str) -> object:
    """Return what a text spells: tuples as lists, numbers as floats."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(value, list | tuple):
        return [float(item) if isinstance(item, int) else item for item in value]
    return float(value) if isinstance(value, int) else value
