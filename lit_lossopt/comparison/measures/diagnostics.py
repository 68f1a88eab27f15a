"""What a run's diagnostics have left in the store, by layer and by arm."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run

Floats = NDArray[np.float64]

# What figures and tables are made from.
_SHOWN = (
    names.FLOW, names.ALPHA, names.LOSS_CHANGE, names.COSINE, names.NEEDLE, names.SHARPNESS, names.SHARPNESS_RESIDUAL,
    names.NOISE_TRACE, names.GRADIENT_SQUARE,
)  # fmt: skip


@dataclass(frozen=True)
class ArmFinding:
    """What the diagnostics of an arm's runs found.

    Attributes:
        kind: which rule.
        runs: how many runs have it.
        of: how many runs of the arm have concluded something from their diagnostics.
        sentence: of the first of them.
    """

    kind: str
    runs: int
    of: int
    sentence: str


@dataclass(frozen=True)
class ByLayer:
    """A quantity of each layer at the measured steps.

    Attributes:
        layers: from the images to the outputs.
        steps: ``[n]``, rising.
        values: ``[layers, n]``: the median over the runs that measured it, or NaN.
    """

    layers: tuple[str, ...]
    steps: Floats
    values: Floats


def is_shown(name: str) -> bool:
    """Return whether a metric is of diagnostics that are shown.

    >>> is_shown("flow/grad_norm/conv1"), is_shown("train/grad_norm")
    (True, False)
    """
    return any(name == shown or name.startswith(f"{shown}/") for shown in _SHOWN)


def findings_of(run: Run) -> list[tuple[str, str]]:
    """Return kind and sentence of each finding of a run.

    A tag that some other program has written says nothing.
    """
    try:
        found = json.loads(run.tags.get(names.TAG_FINDINGS) or "[]")
        return [(str(kind), str(sentence)) for kind, sentence in found]
    except (ValueError, TypeError):
        return []


def has_concluded(run: Run) -> bool:
    """Return whether a run's diagnostics were judged at its end.

    A run that goes on has taken that back: its tag is empty.
    """
    return bool(run.tags.get(names.TAG_FINDINGS))


def findings_of_arm(runs: Sequence[Run]) -> list[ArmFinding]:
    """Return what was found in an arm's runs, the most frequent first."""
    sentences: dict[str, list[str]] = {}
    for run in runs:
        # Of several layers the first one speaks for all.
        for kind, sentence in dict(reversed(findings_of(run))).items():
            sentences.setdefault(kind, []).append(sentence)
    concluded = sum(map(has_concluded, runs))
    of_arm = [ArmFinding(kind, len(said), concluded, said[0]) for kind, said in sentences.items()]
    order = {kind: place for place, kind in enumerate(dict.fromkeys(k for run in runs for k, _ in findings_of(run)))}
    return sorted(of_arm, key=lambda finding: (-finding.runs, order[finding.kind]))


def by_layer(runs: Iterable[Run], quantity: str) -> ByLayer:
    """Return a quantity of each layer, the median over runs.

    Args:
        runs: of one arm.
        quantity: as ``flow/grad_norm``.
    """
    given = list(runs)
    prefix = f"{quantity}/"
    known = {name.removeprefix(prefix) for run in given for name in run.histories if name.startswith(prefix)}
    layers = tuple(sorted(known, key=_order(given, known)))
    steps = np.unique(
        np.concatenate([[], *(run.histories[f"{prefix}{layer}"].steps for run in given for layer in layers
                              if f"{prefix}{layer}" in run.histories)])
    )  # fmt: skip
    values = np.full((len(layers), len(steps)), np.nan)
    for place, layer in enumerate(layers):
        values[place] = median_at(given, f"{prefix}{layer}", steps)
    return ByLayer(layers, steps, values)


def median_at(runs: Iterable[Run], name: str, steps: Floats) -> Floats:
    """Return the median of a metric over runs at ``steps [n]``, NaN where no run has it."""
    rows = [np.full(len(steps), np.nan)]
    for run in runs:
        if name in run.histories:
            history = run.histories[name]
            row = np.full(len(steps), np.nan)
            row[np.searchsorted(steps, history.steps)] = history.values
            rows.append(row)
    table = np.where(np.isfinite(rows), rows, np.nan)
    empty = np.isnan(table).all(axis=0)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0.0, table), axis=0))


def steps_of(runs: Iterable[Run], name: str) -> Floats:
    """Return the steps ``[n]`` at which any run has a metric."""
    return np.unique(np.concatenate([[], *(run.histories[name].steps for run in runs if name in run.histories)]))


def _order(runs: Sequence[Run], known: Collection[str]) -> Callable[[str], tuple[int, str]]:
    """Return the key that sorts layers as their network has them, and without that by name."""
    try:
        listed: list[str] = next(
            (json.loads(run.tags[names.TAG_LAYERS]) for run in runs if names.TAG_LAYERS in run.tags), []
        )
    except ValueError:
        listed = []
    places = {layer: place for place, layer in enumerate(listed) if layer in known}
    return lambda layer: (places.get(layer, len(places)), layer)
