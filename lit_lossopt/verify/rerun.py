"""Trials, run again from their recorded command lines in a scratch store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.sweeps.engines.gpu_slots import usable_gpus
from lit_lossopt.sweeps.engines.table import Wishes, build_engine
from lit_lossopt.sweeps.trial import ENDED, Outcome, Resources, Trial
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.provenance import code_state
from lit_lossopt.verify.mirror import mirrored_folder
from lit_lossopt.verify.recorded import Recorded, command_of, read_recorded

# In the scratch store: which run it repeats.
_TAG_REPEATS = "lossopt.repeats"
_NO_GPU = ("cpu", "mps")


@dataclass(frozen=True)
class Repeated:
    """A run that was made again.

    Attributes:
        run: with all its histories. None where it has failed.
        recorded: how it was made.
        seconds: from start to end.
        said: why it failed.
    """

    run: Run | None
    recorded: Recorded
    seconds: float
    said: str = ""


def run_again(
    runs: Mapping[str, tuple[Run, Recorded, str]], workers: int, main: Callable[[list[str]], int]
) -> dict[str, Repeated]:
    """Run trials again, and return id of the run → what came of it.

    Nothing is left in the working folder or its store.

    Args:
        runs: id → the run, how it was made, and the name of its experiment. Each has a command.
        workers: how many at once; 0: as many as there are cores.
        main: runs the words of a command in this process.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    trials = [_trial(run, experiment) for run, _, experiment in runs.values()]
    on_gpu = any(_used_gpu(recorded) for _, recorded, _ in runs.values()) and bool(usable_gpus())
    code = code_state(Path.cwd()) or code_state(Path(__file__).parent)
    written = [folder for _, recorded, _ in runs.values() for folder in recorded.written()]
    with mirrored_folder(written):
        engine = build_engine("local", Wishes(Resources(workers, 1, float(on_gpu)), None, "", main))
        outcomes = {outcome.trial.key: outcome for outcome in engine.run(trials, lambda _: None, lambda _: False)}
        return {run_id: _repeated(outcomes[run_id], experiment, code) for run_id, (_, _, experiment) in runs.items()}


def _trial(run: Run, experiment: str) -> Trial:
    words = tuple(command_of(run))
    place = (f"--tracking.experiment={experiment}", f"--tracking.tags={json.dumps({_TAG_REPEATS: run.run_id})}")
    return Trial(run.run_id, words, run.tags.get(names.TAG_ARM, run.name), "verify", 0, {}, place)


def _used_gpu(recorded: Recorded) -> bool:
    devices = recorded.provenance.get("machine", {}).get("accelerators", [])
    return any(not device.startswith(_NO_GPU) for device in devices)


def _repeated(outcome: Outcome, experiment: str, code: Mapping[str, Any]) -> Repeated:
    if outcome.status not in ENDED:
        return Repeated(None, Recorded(), outcome.seconds, outcome.said or f"exit status {outcome.status}")
    found = read_runs(experiment, f"tags.`{_TAG_REPEATS}` = '{outcome.trial.key}'", metrics=None)
    if not found:
        return Repeated(None, Recorded(), outcome.seconds, "it ended, but it recorded nothing")
    recorded = read_recorded(found[-1].run_id)
    # The mirror has links in place of files, which git takes for changes.
    return Repeated(found[-1], replace(recorded, provenance={**recorded.provenance, "code": code}), outcome.seconds)
