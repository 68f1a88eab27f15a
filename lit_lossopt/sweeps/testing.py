"""The one look of a sweep at the test split."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.plan.trials import TEST
from lit_lossopt.sweeps.trial import Trial
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.trial_runs import TrialRun


def tests(plan: Plan, again: Sequence[Trial], results: Mapping[str, TrialRun], waiting: Collection[str]) -> list[Trial]:
    """Return a test for each repeat that needs one.

    Such a repeat came to a sound end and was not tested yet. Its checkpoint is tested.

    Args:
        plan: says which checkpoint.
        again: the repeats.
        results: key → run of those that have ended.
        waiting: keys of those that are still to be tested.
    """
    wanted = []
    for trial in again:
        run = results.get(trial.key)
        if run is None or trial.key not in waiting:
            continue
        path = f"{local_artifacts(run.artifacts, Path.cwd())}/{names.CHECKPOINT_FOLDER}/{plan.test}.ckpt"
        words = ("test", *trial.words[1:], "--ckpt_path", path)
        wanted.append(dataclasses.replace(trial, key=f"{trial.key} {TEST}", words=words, phase=TEST, trunk=None))
    return wanted
