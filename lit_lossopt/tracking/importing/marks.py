"""Which runs of the store foreign runs are.

A run is told by its content. Files of one content may be of two runs, as where two trainings gave nothing but NaN. Then
what a person says of them tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan

from lit_lossopt.core import names
from lit_lossopt.tracking.importing.prepared import PreparedRun, digest
from lit_lossopt.tracking.importing.records import Series
from lit_lossopt.tracking.reading.records import Run


def told_apart(runs: Sequence[PreparedRun], known: Mapping[str, Run]) -> list[PreparedRun]:
    """Return runs of which two have one mark only if they are the same.

    The result does not depend on which of them was imported first.

    Args:
        runs: in the order of their files.
        known: mark → run that the store has.
    """
    params = {mark: dict(run.params) for mark, run in known.items()}
    marked: dict[int, PreparedRun] = {}
    # A run that the store has by this very name keeps its mark.
    for place in sorted(range(len(runs)), key=lambda place: not _is_named(runs[place], known)):
        run = runs[place]
        first = params.setdefault(run.sha256, dict(run.params))
        differs = any(first.get(name, text) != text for name, text in run.params.items())
        if differs and not _is_named(run, known):
            run = replace(run, sha256=digest(run.sha256, run.params, {}))
        else:
            first.update(run.params)
        marked[place] = run
    return [marked[place] for place in range(len(runs))]


def _is_named(run: PreparedRun, known: Mapping[str, Run]) -> bool:
    return run.sha256 in known and known[run.sha256].name == run.name


def same_training(run: PreparedRun, known: Sequence[Run]) -> str:
    """Return what to do about a run that was imported before and is, by all signs, of the same training as a new one.

    The text is empty if there is none.

    Args:
        run: the new one.
        known: what was imported before.
    """
    for there in known:
        if there.name != run.name or there.tags.get(names.TAG_IMPORTED_FORMAT) != run.program:
            continue
        delete = f"mlflow runs delete --run-id {there.run_id}"
        stays = f"as run {there.run_id}, which stays. If it is the same training, delete that: {delete}"
        if there.tags.get(names.TAG_IMPORTED_FROM) == run.source.typed:
            return f"{run.source.typed} was imported before with other content, {stays}"
        if there.metrics and all(_has(run.metrics.get(name), value) for name, value in there.metrics.items()):
            return f"its beginning was imported before, {stays}"
        # Only exports of charts have no name of their own: they are read together.
        if not run.source.label and not there.metrics.keys() & run.metrics.keys():
            return f"other metrics of it are in run {there.run_id}. To join them, delete both and import all in one go"
    return ""


def _has(series: Series | None, value: float) -> bool:
    return series is not None and (value in series.values or (isnan(value) and any(map(isnan, series.values))))
