"""The flags of ``lossopt compare``."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence

from lit_lossopt.comparison.expectations import Expected, form_of_expectations, read_expectation
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag, parse_flags


def parse(words: Sequence[str]) -> Namespace:
    """Return what was typed, with lists split at commas.

    Raises:
        UserError: an unknown flag, a missing or a wrong value, or flags that exclude each other.
    """
    options = parse_flags("compare", words, FLAGS, hint="; names follow their flag, as --experiment NAME")
    if options.runs and (options.filter or options.experiment):
        raise UserError("compare --runs names the runs already: leave out --experiment and --filter")
    return options


# Flags that say where something is written, and not what is compared.
_PLACES = ("--html", "--png", "--csv", "--json", "--log")


def without_places(words: Sequence[str]) -> list[str]:
    """Return words without the flags that say where something is written.

    >>> without_places(["--by", "lr", "--html", "page.html", "--log", "--json=x"])
    ['--by', 'lr']
    """
    kept: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, is_joined, _ = word.partition("=")
        if flag not in _PLACES:
            kept.append(word)
        elif not is_joined and flag != "--log":
            queue.pop(0)
    return kept


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _size(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise ValueError(text)
    return value


def _expected(text: str) -> Expected:
    try:
        return read_expectation(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {form_of_expectations()}") from error


# What `sweep` hands on to its comparison, too.
EXPECT = Flag(
    "--expect",
    "TEXT",
    "what should be claimed, as 'adam faster than sgd'; also: better than, steadier than, equivalent to; repeatable; "
    "the exit status is 4 if one is contradicted, 5 if one is undecided",
    {"type": _expected, "action": "append", "default": []},
)
JSON = Flag(
    "--json", "FILE", "everything as JSON, unrounded, for programs; - prints it, and all else goes to standard error"
)
FLAGS = (
    Flag("--experiment", "NAME", "MLflow experiment; by default the one whose latest run started last"),
    Flag(
        "--filter",
        "TEXT",
        "only runs that it leaves, in MLflow's syntax: \"params.optimizer = 'SGD'\"",
        {"default": ""},
    ),
    Flag(
        "--runs",
        "ID,ID",
        "only these runs, of any experiment; beginnings of ids will do",
        {"type": _listed, "default": []},
    ),
    Flag(
        "--by",
        "NAME,NAME",
        "what makes an arm, as criterion,optimizer,lr; by default whatever differs but for the seed",
        {"type": _listed, "default": []},
    ),
    Flag(
        "--ignore",
        "NAME,NAME",
        "parameters that set no arm apart, as run_number; repeatable",
        {"type": _listed, "action": "extend", "default": []},
    ),
    Flag(
        "--seed-name",
        "NAME",
        "the parameter or tag that pairs runs; by default what is a seed by its name",
        {"default": ""},
    ),
    Flag("--metric", "NAME", "compared at each evaluation (val/accuracy)"),
    Flag(
        "--higher-is-better",
        "",
        "of the metric, where its name does not tell; or --lower-is-better",
        {"action": "store_true", "default": None, "group": "direction"},
    ),
    Flag(
        "--lower-is-better",
        "",
        "of the metric, where its name does not tell",
        {"action": "store_false", "dest": "higher_is_better", "group": "direction"},
    ),
    Flag("--target", "VALUE", "what counts as reached (95 % of the best arm's median final value)", {"type": _number}),
    Flag(
        "--margin",
        "VALUE",
        "differences of the final value within it are equivalent (0.01, one point of accuracy)",
        {"type": _size},
    ),
    Flag(
        "--sequential",
        "",
        "claims and intervals that hold however often you add seeds and look again",
        {"action": "store_true"},
    ),
    Flag("--all-pairs", "", "every arm against every other, not only against the best", {"action": "store_true"}),
    Flag("--html", "FILE", "the page: curves, differences, every number; works without a network"),
    Flag("--png", "DIR", "figures for a paper"),
    Flag("--csv", "DIR", "tables of arms, runs, contrasts and curves"),
    JSON,
    EXPECT,
    Flag(
        "--log",
        "",
        "keep page, figures, tables and JSON in MLflow, as a run of the experiment",
        {"action": "store_true"},
    ),
)
