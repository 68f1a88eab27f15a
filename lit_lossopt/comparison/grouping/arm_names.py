"""Names of arms, as ``Adam lr=0.001``.

They are as short as they can be while they differ and can be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lit_lossopt.comparison.grouping.name_words import is_number, spelled
from lit_lossopt.comparison.grouping.settings import (
    SWEEP_ARM,
    Settings,
    end_of,
    is_default,
    parent_of,
    rate_of,
    varying,
)

MAX_CHARACTERS = 80
# Names of parameters whose value says what it is.
_SPEAKING = {
    SWEEP_ARM, "activation", "algorithm", "arch", "architecture", "augmentation", "backbone", "criterion", "data",
    "dataset", "framework", "given", "loss", "loss_fn", "loss_function", "lr_scheduler", "method", "mixing", "model",
    "net", "network", "opt", "optim", "optimizer", "scheduler",
}  # fmt: skip
# Ends of such names that add nothing: ``opt_name``.
_ADDS_NOTHING = ("_name", "_type", "_class")
_SILENT = {"true", "false", "none", "null", "yes", "no", "on", "off", ""}


def telling(arms: Sequence[Settings]) -> list[dict[str, str]]:
    """Return those settings of each arm that its name must tell.

    A setting that does not differ is not told. Nor is one that follows from another choice. The arguments that come
    along with a class are told only if they differ from its defaults or, if these are not known, within that class. The
    learning rate is told wherever it differs.

    Args:
        arms: settings that differ from each other.
    """
    differing = varying(arms)
    rate = rate_of(differing)
    choices: list[str] = []
    for name in differing:
        values = {settings[name] for settings in arms if name in settings}
        # A choice of words, as of a class or a loss, is no number.
        is_choice = is_speaking(name) and not any(is_number(value) for value in values)
        if is_choice and not _follows(name, choices, arms):
            choices.append(name)
    return [
        {
            name: settings[name]
            for name in differing
            if name in settings and (name in choices or name == rate or _is_told(name, settings, choices, arms))
        }
        for settings in arms
    ]


def distinct_names(told: Sequence[Mapping[str, str]], fallback: str) -> list[str]:
    """Return one name an arm.

    If two would be the same, they get a number behind it.

    Args:
        told: what each name must tell.
        fallback: the name if there is nothing to tell.
    """
    known = list(dict.fromkeys(name for settings in told for name in settings))
    short = short_names(known)
    speaking = {name for name in known if _speaks(name, told)}
    names = [
        " ".join(value if name in speaking else f"{short[name]}={value}" for name, value in settings.items())
        for settings in told
    ]
    names = [name or (fallback if len(told) == 1 else f"other {fallback}") for name in names]
    cut = [name if len(name) <= MAX_CHARACTERS else f"{name[: MAX_CHARACTERS - 1]}…" for name in names]
    counts, seen = Counter(cut), Counter[str]()
    numbered = []
    for name in cut:
        seen[name] += 1
        numbered.append(f"{name} #{seen[name]}" if counts[name] > 1 else name)
    return numbered


def short_names(known: Sequence[str]) -> dict[str, str]:
    """Return parameter → the last part of its name.

    There is more of it if two would be the same.

    >>> short_names(["optimizer.lr", "network.width", "data.width"])
    {'optimizer.lr': 'lr', 'network.width': 'network.width', 'data.width': 'data.width'}
    """
    ends = Counter(end_of(name) for name in known)
    return {name: name if ends[end_of(name)] > 1 else name.replace("/", ".").rpartition(".")[2] for name in known}


def is_speaking(name: str) -> bool:
    """Return True if a parameter's value says what it is.

    By its name, such a parameter is a choice of words.

    >>> is_speaking("model.optimizer"), is_speaking("opt_name"), is_speaking("momentum")
    (True, True, False)
    """
    end = spelled(name)
    return any(word in _SPEAKING for word in (end_of(name), end, *(end.removesuffix(more) for more in _ADDS_NOTHING)))


def _is_told(name: str, settings: Settings, choices: Sequence[str], arms: Sequence[Settings]) -> bool:
    parent = parent_of(name, choices)
    if SWEEP_ARM in choices:
        same = [other for other in arms if other.get(SWEEP_ARM) == settings.get(SWEEP_ARM)]
        return len({other.get(name) for other in same}) > 1
    if parent is None:
        return not _follows(name, choices, arms)
    default = is_default(name, settings[name], parent, settings.get(parent, ""))
    if default is not None:
        return not default
    same = [other for other in arms if other.get(parent) == settings.get(parent)]
    return len({other.get(name) for other in same}) > 1


def _follows(name: str, choices: Sequence[str], arms: Sequence[Settings]) -> bool:
    """Return True if the choices already determine a setting."""
    values: dict[tuple[str | None, ...], str | None] = {}
    for settings in arms:
        key = tuple(settings.get(choice) for choice in choices)
        if values.setdefault(key, settings.get(name)) != settings.get(name):
            return False
    return True


def _speaks(name: str, told: Sequence[Mapping[str, str]]) -> bool:
    values = {settings[name] for settings in told if name in settings}
    others = {value for settings in told for other, value in settings.items() if other != name}
    silent = any(value.lower() in _SILENT or is_number(value) for value in values)
    return is_speaking(name) and not silent and not values & others
