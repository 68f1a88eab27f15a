"""What is said of one run: how it ended, what was found, and its steps in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from lit_lossopt.comparison.measures.diagnostics import by_layer, findings_of, has_concluded, is_shown
from lit_lossopt.core import names
from lit_lossopt.core.names import Status, Verdict
from lit_lossopt.core.numbers import per_cent, significant
from lit_lossopt.diagnostics.findings import ROUNDING, Facts, findings
from lit_lossopt.tracking.reading.runs import Run

# Precisions whose weights have 16 bits.
_HALF = ("16-true", "bf16-true")
# Measurements that a mean of the noise scale's parts needs.
_ENOUGH = 8


@dataclass(frozen=True)
class LayerRow:
    """One layer in numbers, medians over the measured steps. NaN: it was not measured.

    Attributes:
        name: of the layer.
        gradient: norm of its gradient.
        weights: norm of its weights.
        update: ‖Δw‖ / ‖w‖ of a step.
        dead: share of dead ReLUs behind it.
        saturated: share of saturated activations behind it.
    """

    name: str
    gradient: float
    weights: float
    update: float
    dead: float
    saturated: float


def layer_rows(run: Run) -> list[LayerRow]:
    """Return a row for each layer, from the images to the outputs."""
    quantities = (names.FLOW_GRADIENT, names.FLOW_WEIGHT, names.FLOW_UPDATE, names.FLOW_DEAD, names.FLOW_SATURATED)
    grids = [by_layer([run], quantity) for quantity in quantities]
    columns = [{layer: _median(row) for layer, row in zip(grid.layers, grid.values, strict=True)} for grid in grids]
    return [LayerRow(layer, *(column.get(layer, nan) for column in columns)) for layer in grids[0].layers]


def sentences(run: Run) -> list[str]:
    """Return what is said of a run, the most important first."""
    return [_ending(run), *_found(run), *_steps(run), *_noise(run), *_sharpness(run)]


def _ending(run: Run) -> str:
    verdict, evidence = run.tags.get(names.TAG_VERDICT, ""), run.tags.get(names.TAG_EVIDENCE, "")
    name = run.name or run.run_id
    if run.status == Status.RUNNING:
        return f"{name} is still running, or its process was killed."
    if not verdict:
        return f"{name} ended as {run.status}."
    return f"{name} {verdict}{f': {evidence}' if evidence else ''}."


def _found(run: Run) -> Iterator[str]:
    if not any(map(is_shown, run.metrics)):
        yield "No diagnostics were measured. Train with --diagnostics=default, or full."
        return
    concluded = has_concluded(run)
    sentences = [sentence for _, sentence in findings_of(run)] if concluded else _found_so_far(run)
    yield from (f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences)
    if not sentences:
        yield f"Its diagnostics {'found' if concluded else 'show'} nothing unusual{'' if concluded else ' so far'}."


def _found_so_far(run: Run) -> list[str]:
    """Return what a run that has concluded nothing shows, such as one that trains or was killed."""
    histories = {name: (one.steps.tolist(), one.values.tolist()) for name, one in run.histories.items()}
    verdict = run.tags.get(names.TAG_VERDICT, "")
    facts = Facts(
        criterion=run.params.get("criterion", ""),
        layers=by_layer([run], names.FLOW_GRADIENT).layers,
        verdict=Verdict(verdict) if verdict in tuple(Verdict) else Verdict.COMPLETED,
        half=run.params.get("trainer.precision", "") in _HALF,
    )
    return [finding.sentence for finding in findings(histories, facts)]


def _steps(run: Run) -> Iterator[str]:
    alphas, changes = _values(run, names.ALPHA), _values(run, names.LOSS_CHANGE)
    if len(alphas):
        middle = float(np.median(alphas))
        where = "before" if middle < 0 else "behind"
        yield f"In the median a step ends {where} the minimum along it (α = {significant(middle, 2)})."
    if len(changes):
        raised = int(np.count_nonzero(changes > ROUNDING))
        yield f"{raised or 'None'} of {len(changes)} measured steps raised the loss of their own batch."


def _noise(run: Run) -> Iterator[str]:
    traces, squares = _values(run, names.NOISE_TRACE), _values(run, names.GRADIENT_SQUARE)
    if len(traces) and len(squares):
        trace, square = float(np.mean(traces)), float(np.mean(squares))
        if len(traces) < _ENOUGH or square <= 0:
            yield "The gradient noise scale is not known from so few steps."
        else:
            size = significant(trace / square, 2)
            yield f"The gradient noise scale is about {size} images: much larger batches would gain little."


def _sharpness(run: Run) -> Iterator[str]:
    sharpness, needles = _values(run, names.SHARPNESS), _values(run, names.NEEDLE)
    if len(sharpness):
        yield f"The sharpness is {significant(sharpness[0])} at first and {significant(sharpness[-1])} at the end."
    if len(needles):
        yield f"At the end the stability needle is at {significant(needles[-1], 2)}, where 1 is the edge."


def _values(run: Run, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the finite values of a metric ``[n]``."""
    history = run.histories.get(name)
    values = np.asarray([] if history is None else history.values, np.float64)
    return values[np.isfinite(values)]


def _median(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    known = [value for value in values if isfinite(value)]
    return float(np.median(known)) if known else nan


def shown_share(value: float) -> str:
    """Return a share in per cent, or nothing where it is not known."""
    return per_cent(value) if isfinite(value) else ""
