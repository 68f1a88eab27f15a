"""The comparison as CSV tables.

They hold arms, runs, contrasts and curves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Decision, Estimate, Trial
from lit_lossopt.comparison.race import pair_of
from lit_lossopt.comparison.report.tables import FACTORS
from lit_lossopt.comparison.statistics.paired_tests import bca_interval, sign_flip_p
from lit_lossopt.core.names import RESULTS

Row = dict[str, Any]
_ESTIMATES = (
    "final", "best", "area", "steps_to_target", "seconds_to_target", "examples_to_target", "ripple", "roughness",
    "climb_back",
)  # fmt: skip
_OF_TRIAL = (
    "verdict", "final", "best", "best_step", "area", "steps_to_target", "seconds_to_target", "examples_to_target",
    "ripple", "roughness", "climb_back",
)  # fmt: skip


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the four CSV tables and return their paths.

    They are ``arms.csv``, ``runs.csv``, ``contrasts.csv`` and ``curves.csv``.

    Infinite means never, an empty cell: not known. ``steps_to_target`` and ``end`` are in the unit of the column
    ``axis``.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = [trial for arm in comparison.arms for trial in arm.trials]
    tables: dict[str, list[Row]] = {
        "arms": [_arm_row(arm, comparison) for arm in comparison.arms],
        "runs": [_trial_row(trial, comparison) for trial in trials],
        "contrasts": [
            _contrast_row(contrast, comparison)
            for contrast in (*comparison.finals, *comparison.speeds, *comparison.oscillations)
        ],
        "curves": [row for trial in trials for row in _curve_rows(trial, comparison.axis)],
    }
    return [write_rows(folder / f"{name}.csv", rows) for name, rows in tables.items()]


def _arm_row(arm: Arm, comparison: Comparison) -> Row:
    estimates = {name: getattr(arm, name) for name in _ESTIMATES} | dict(arm.scores)
    return {
        "arm": arm.name,
        "family": arm.family,
        "learning_rate": arm.learning_rate,
        "runs": len(arm.trials),
        "reached_target": arm.reached,
        "axis": "" if comparison.no_speed else comparison.axis,
        **{verdict: arm.verdicts.get(verdict, 0) for verdict in RESULTS},
        "alike_best": _alike(arm, comparison.alike, comparison.finals),
        "alike_fastest": _alike(arm, comparison.alike_speed, comparison.speeds),
        **{key: value for name, estimate in estimates.items() for key, value in _spread(name, estimate).items()},
        **_oscillation(arm),
    }


def _alike(arm: Arm, alike: Sequence[str], contrasts: Sequence[Contrast]) -> bool:
    """Return True if nothing is claimed against an arm.

    It is the named arm itself, or was tested against it.
    """
    if arm.name not in alike:
        return False
    pairs = [contrast for contrast in contrasts if {contrast.first, contrast.second} == {arm.name, alike[0]}]
    return arm.name == alike[0] or any(contrast.decision is not Decision.UNTESTED for contrast in pairs)


def _trial_row(trial: Trial, comparison: Comparison) -> Row:
    return {
        "arm": trial.arm,
        "run_id": trial.run.run_id,
        "run": trial.run.name,
        "seed": trial.seed,
        "learning_rate": trial.learning_rate,
        "axis": "" if comparison.no_speed else comparison.axis,
        "end": trial.end,
        **{name: getattr(trial, name) for name in _OF_TRIAL},
        **_oscillation(trial),
        **trial.scores,
    }


def _contrast_row(contrast: Contrast, comparison: Comparison) -> Row:
    found: Row = {}
    race = comparison.race if comparison.race and contrast.quantity == comparison.race.rules.question else None
    for item in fields(contrast):
        value = getattr(contrast, item.name)
        if isinstance(value, Estimate):
            found |= _spread(item.name, value)
        elif not isinstance(value, tuple):
            found[item.name] = value
    (missed_first, missed_second), (low, high) = contrast.missed, _bootstrap(contrast)
    return {
        **found,
        "decision": str(contrast.decision),
        # The look of a race that decided it.
        "decided_at": race.decided.get(pair_of(contrast)) if race else None,
        "missed_first": missed_first,
        "missed_second": missed_second,
        # By themselves: neither is adjusted for the other comparisons.
        "p_sign_flip": sign_flip_p(contrast.leads) if len(contrast.leads) else np.nan,
        "bootstrap_low": low,
        "bootstrap_high": high,
    }


def _bootstrap(contrast: Contrast) -> tuple[float, float]:
    """Return the bootstrap interval in the terms of ``Contrast.difference``."""
    low, high = bca_interval(contrast.leads)
    if contrast.quantity in FACTORS:
        return float(np.exp(low)), float(np.exp(high))
    return (-high, -low) if contrast.difference.value < 0 else (low, high)


def _curve_rows(trial: Trial, noun: str) -> Iterator[Row]:
    """Return a row for each evaluation.

    It has the step as it was logged, and its place on the axis that all runs share.
    """
    count = len(trial.curve.steps)
    places = trial.axis if len(trial.axis) == count else np.full(count, np.nan)
    columns = (trial.curve.steps, places, trial.seconds, trial.examples, trial.curve.values)
    for step, place, seconds, examples, value in zip(*columns, strict=True):
        yield {
            "arm": trial.arm,
            "seed": trial.seed,
            "run_id": trial.run.run_id,
            "step": step,
            "axis": noun if np.isfinite(place) else "",
            "place": place,
            "seconds": seconds,
            "examples": examples,
            "value": value,
        }


def _oscillation(item: Arm | Trial) -> Row:
    oscillation = item.oscillation
    names = ("deviation", "mean_change", "best_minus_final", "drops")
    return {name: getattr(oscillation, name) if oscillation is not None else "" for name in names}


def _spread(name: str, estimate: Estimate) -> Row:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_n": estimate.n}


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows under one line of heads, which are all that any row has. Return the file.

    A number that is not known is an empty cell.

    Raises:
        OSError: it cannot be written.
    """
    heads = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, heads, restval="")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return path


def _cell(value: Any) -> Any:
    """Return a number in full, or nothing if it is unknown."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return "" if value is None else value
