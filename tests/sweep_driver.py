"""The smallest sweep: so many trials, each a seed; those that the store lacks are run. To be killed by tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lit_lossopt import names
from lit_lossopt.errors import UserError
from lit_lossopt.sweep.interruption import Interrupted
from lit_lossopt.sweep.local import LocalEngine
from lit_lossopt.sweep.trial import Resources, Trial
from lit_lossopt.tracking.runs import Run, read_runs
from lit_lossopt.tracking.sync import sync

EXPERIMENT = "driven"


def trials(count: int, words: Sequence[str]) -> list[Trial]:
    """Return trials that differ by their seed alone."""
    place = (f"--tracking.experiment={EXPERIMENT}",)
    return [
        Trial(_key(seed), (*words, f"--seed_everything={seed}"), "arm", "grid", seed, {}, place)
        for seed in range(count)
    ]


def _key(seed: int) -> str:
    return hashlib.sha256(str(seed).encode()).hexdigest()


def finished() -> list[Run]:
    """Return the runs that came to their end."""
    try:
        runs = read_runs(EXPERIMENT)
    except UserError:
        return []
    ended = [run for run in runs if run.tags.get(names.TAG_VERDICT) in ("completed", "collapsed", "diverged")]
    return [run for run in ended if run.status in ("FINISHED", "FAILED")]


def done(trial: Trial) -> bool:
    """Return whether the store has a trial's end, after what dead processes left was delivered."""
    sync([])
    return str(trial.seed) in {run.tags[names.TAG_SEED] for run in finished()}


def drive(count: int, workers: int, words: list[str], seconds: float | None = None) -> int:
    """Run what is missing of so many trials; print a line for each."""
    sync([])
    there = {run.tags[names.TAG_SEED] for run in finished()}
    missing = [trial for trial in trials(count, words) if str(trial.seed) not in there]
    engine = LocalEngine(Resources(workers=workers), seconds)
    try:
        for outcome in engine.run(missing, lambda _: None, done):
            print(f"ended {outcome.trial.seed} {outcome.status} {outcome.attempts} {outcome.said}", flush=True)
    except Interrupted as stopped:
        print("stopped", flush=True)
        return stopped.status
    return 0
