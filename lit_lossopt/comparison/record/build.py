"""From a comparison to its record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

import numpy as np

from lit_lossopt.comparison.comparison import Arm, ArmRuns, Comparison, Race, Trial
from lit_lossopt.comparison.expectations import Expectation
from lit_lossopt.comparison.listing import listing
from lit_lossopt.comparison.measures.trial import seed_of, verdict_of
from lit_lossopt.comparison.record.race import DecidedPair, RaceLook, RecordedRace
from lit_lossopt.comparison.record.records import FORMAT, VERSION, MadeWith, Question, Record, RecordedArm, Request
from lit_lossopt.comparison.record.runs import ComparedRun, Digest, Evaluations, RecordedRun
from lit_lossopt.comparison.report.figures import figures
from lit_lossopt.core import names
from lit_lossopt.core.machine import processor, source_digest, versions
from lit_lossopt.tracking.reading.runs import History, Run

# Those that can change a number, or what the page says of it.
_PACKAGES = ("lit_lossopt", "numpy", "scipy", "plotly", "jinja2")
# Of a run: how it was made, and how it ended.
_TAGS = (
    names.TAG_ARM, names.TAG_SEED, names.TAG_FRAMEWORK, names.TAG_VERDICT, names.TAG_EVIDENCE, names.TAG_CONTINUES,
    names.TAG_COMMAND, names.TAG_GIVEN, names.TAG_CONFIG_SHA256, names.TAG_TRIAL_KEY, names.TAG_SWEEP,
    names.TAG_SWEEP_ARM, names.TAG_PHASE, names.TAG_PLANNED_SEEDS, names.TAG_RACE,
)  # fmt: skip
Made = TypeVar("Made")


def record_of(
    comparison: Comparison, answer: Sequence[str], expectations: Sequence[Expectation], request: Request
) -> Record:
    """Return the record of a comparison.

    Args:
        comparison: what was found.
        answer: the verdict, a sentence each.
        expectations: what was expected, and what was found.
        request: what was asked for.
    """
    return _like(
        Record,
        comparison,
        format=FORMAT,
        version=VERSION,
        made_with=made_with(),
        request=request,
        answer=tuple(answer),
        captions={figure.key: figure.conclusion for figure in figures(comparison)},
        expectations=tuple(expectations),
        question=_like(Question, comparison),
        arms=tuple(map(_arm, comparison.arms)),
        runs=tuple(_compared(trial) for arm in comparison.arms for trial in arm.trials),
        race=_race(comparison.race) if comparison.race else None,
        contrasts=listing(comparison).contrasts,
        tuning=tuple(_tuning(run, arm) for arm in comparison.tuning for run in arm.runs),
    )


@cache
def made_with() -> MadeWith:
    """Return what computes numbers here."""
    return MadeWith(processor(), source_digest(), versions(_PACKAGES))


def digest(history: History) -> Digest:
    """Return a history, as short as it can be."""
    values = np.where(np.isnan(history.values), np.nan, history.values)
    parts = history.steps.astype("<i8").tobytes() + values.astype("<f8").tobytes()
    last = float(values[-1]) if len(values) else np.nan
    return Digest(len(values), last, hashlib.sha256(parts).hexdigest())


def _like(kind: type[Made], source: Any, **others: Any) -> Made:
    """Return a record of this kind.

    What is not among the others has the same name in the source.
    """
    known: Mapping[str, Any] = {
        item.name: getattr(source, item.name)
        for item in fields(kind)  # type: ignore[arg-type]  # each kind is a dataclass
        if item.name not in others
    }
    return kind(**known, **others)


def _arm(arm: Arm) -> RecordedArm:
    return _like(RecordedArm, arm, runs=tuple(trial.run.run_id for trial in arm.trials))


def _compared(trial: Trial) -> ComparedRun:
    evaluations = Evaluations(
        tuple(trial.curve.steps.tolist()),
        tuple(trial.axis.tolist()),
        tuple(trial.curve.values.tolist()),
        tuple(trial.seconds.tolist()),
        tuple(trial.examples.tolist()),
    )
    return _like(ComparedRun, trial, **_of_run(trial.run), evaluations=evaluations, best_step=int(trial.best_step))


def _tuning(run: Run, arm: ArmRuns) -> RecordedRun:
    return RecordedRun(**_of_run(run), arm=arm.name, seed=seed_of(run), verdict=verdict_of(run))


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment_id": run.experiment_id,
        "start": run.start,
        "params": dict(sorted(run.params.items())),
        "tags": {name: run.tags[name] for name in _TAGS if name in run.tags},
        "histories": {name: digest(run.histories[name]) for name in sorted(run.histories)},
    }


def _race(found: Race) -> RecordedRace:
    return _like(
        RecordedRace,
        found,
        looks=tuple(RaceLook(size, found.looks[size]) for size in sorted(found.looks)),
        decided=tuple(_pair(pair, seeds) for pair, seeds in found.decided.items()),
        left=tuple(sorted(found.left)),
    )


def _pair(arms: frozenset[str], seeds: int) -> DecidedPair:
    first, second = sorted(arms)
    return DecidedPair((first, second), seeds)
