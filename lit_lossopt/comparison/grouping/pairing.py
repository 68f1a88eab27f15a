"""What pairs runs of different arms.

It is their seeds, by whatever names programs give them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lit_lossopt.comparison.grouping.name_words import last_part, spelled, words_of
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run

_TOGETHER = {"randomseed", "randomstate", "randseed", "rngseed", "seedvalue"}
# Folds and replicates pair runs as seeds do.
_LIKE_SEEDS = {"fold", "replicate", "repetition"}
# Words that a seed's name may have besides. With any other it may be a setting, as ``seed_ratio``.
_HARMLESS = {
    "args", "base", "cfg", "config", "cuda", "cv", "data", "dataloader", "dataset", "env", "everything", "exp",
    "experiment", "fixed", "general", "generator", "global", "id", "idx", "index", "init", "initial",
    "initialization", "inner", "int", "jax", "keras", "loader", "main", "manual", "master", "model", "network", "no",
    "noise", "np", "number", "numpy", "order", "outer", "param", "params", "python", "pytorch", "random", "rand",
    "rng", "run", "sampler", "sampling", "shuffle", "sklearn", "split", "start", "state", "test", "tf", "tensorflow",
    "the", "torch", "train", "trainer", "training", "trial", "val", "valid", "validation", "value", "weight",
    "weights", "worker",
}  # fmt: skip
_MISSING = {"", "none", "null", "nan"}


@dataclass(frozen=True)
class Pairing:
    """What pairs each run.

    Attributes:
        keys: one for each run. An empty text pairs nothing.
        names: the parameters or tags that say so.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]


def is_seed(name: str) -> bool:
    """Return True if a parameter is a seed by its name.

    A fold or a replicate counts as a seed.

    >>> [is_seed(name) for name in ("Random Seed", "trainer.rngSeed", "random_state", "n_seeds", "seed_lr")]
    [True, True, True, False, False]
    """
    return any(_says_seed(set(words_of(part))) for part in (last_part(name), name)) or spelled(name) == "rep"


def pairing(runs: Sequence[Run], seed_name: str = "", ignored: Collection[str] = ()) -> Pairing:
    """Return what pairs runs.

    It is all seeds that vary and do not follow from the others. A seed that is the same in all runs pairs only if no
    other varies. If programs call their seeds differently, each run counts by its own.

    Args:
        runs: those that are compared.
        seed_name: the one parameter or tag that pairs. Without it, whatever is a seed by its name.
        ignored: parameters that do not count.
    """
    known = [seed_name] if seed_name else _seed_columns(runs, ignored)
    columns = {name: [_value(run, name) for run in runs] for name in known}
    varying = [name for name in known if len(set(columns[name])) > 1]
    parts: list[tuple[str, ...]] = [() for _ in runs]
    used: list[str] = []
    for name in varying or [name for name in known if any(columns[name])][:1]:
        adds = _adds(columns[name], parts)
        more = [
            (value,) if value and (adds or not key) else () for value, key in zip(columns[name], parts, strict=True)
        ]
        used += [name] if any(more) else []
        parts = [key + added for key, added in zip(parts, more, strict=True)]
    return Pairing(tuple(" ".join(key) for key in parts), tuple(used))


def note_on(paired: Pairing) -> list[str]:
    """Say what pairs runs, unless it is one seed."""
    if len(paired.names) < 2 and all(set(words_of(name)) & {"seed", "state", *_TOGETHER} for name in paired.names):
        return []
    if len(paired.names) > 1 and not any(" " in key for key in paired.keys):
        return []
    return [f"Runs are paired by {', '.join(paired.names)}."]


def _says_seed(words: set[str]) -> bool:
    core = words & {"seed", *_TOGETHER, *_LIKE_SEEDS} or words >= {"random", "state"}
    rest = words - {"seed", *_TOGETHER, *_LIKE_SEEDS} - _HARMLESS
    return bool(core) and all(word.isdigit() for word in rest)


def _seed_columns(runs: Sequence[Run], ignored: Collection[str]) -> list[str]:
    """Return the names of seeds.

    This package's own tag comes first, then what is called just so.
    """
    params = sorted({name for run in runs for name in run.params if is_seed(name) and name not in ignored})
    params.sort(key=lambda name: (spelled(name) != "seed", "seed" not in words_of(name)))
    return params if any(spelled(name) == "seed" for name in ignored) else [names.TAG_SEED, *params]


def _value(run: Run, name: str) -> str:
    text = run.params.get(name, run.tags.get(name, "")).strip()
    if text.lower() in _MISSING:
        return ""
    # Tables turn whole numbers into 1.0.
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else " ".join(text.split())


def _adds(values: Sequence[str], parts: Sequence[tuple[str, ...]]) -> bool:
    """Return True if a seed tells more than those before it.

    It differs between runs that share all seeds before it.
    """
    seen: dict[tuple[str, ...], str] = {}
    return any(key and value and seen.setdefault(key, value) != value for value, key in zip(values, parts, strict=True))
