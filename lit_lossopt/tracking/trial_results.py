"""Results of trials in the store.

MLflow's runs come in. They go out with their accuracies, which are read for all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.core.names import LAST_STATE, kept_state
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.reading.runs import History, Run, with_histories
from lit_lossopt.tracking.trial_runs import TrialRun, seconds_between

_ACCURACY = names.metric(names.VAL, "accuracy")


def trial_runs_of(runs: Sequence[Any]) -> list[TrialRun]:
    """Return MLflow's runs with their accuracies.

    These are read for all runs at once, since one question a run takes most of the time of a sweep that has ended. A
    branch has those that it has logged itself.

    Raises:
        UserError: the store cannot be read.
    """
    # Without tags, because of these a branch would get the accuracies of its trunk.
    plain = [Run(str(run.info.run_id), "", str(run.info.status), {}, {}, run.data.metrics) for run in runs]
    read = with_histories(plain, {_ACCURACY}) if plain else []
    return [_trial_run(run, of_it.histories.get(_ACCURACY)) for run, of_it in zip(runs, read, strict=True)]


def _trial_run(run: Any, accuracies: History | None) -> TrialRun:
    values = tuple(accuracies.values.tolist()) if accuracies else ()
    seconds = seconds_between(run.info.start_time, run.info.end_time)
    verdict, artifacts = run.data.tags[names.TAG_VERDICT], str(run.info.artifact_uri)
    last = int(accuracies.steps[-1]) if accuracies and values else 0
    return TrialRun(str(run.info.run_id), verdict, values, seconds, run.data.tags, run.data.metrics, artifacts, last)


def has_state(run: TrialRun, step: int | None) -> bool:
    """Return whether a run has kept a state. Of runs whose files are on another machine it is believed.

    Args:
        run: that has ended.
        step: after which. None stands for its end.
    """
    artifacts = local_artifacts(run.artifacts, Path.cwd())
    name = LAST_STATE if step is None else kept_state(step)
    return artifacts is None or (artifacts / names.CHECKPOINT_FOLDER / name).is_file()
