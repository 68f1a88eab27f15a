"""Which runs a landscape shows, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Status
from lit_lossopt.landscape.request import Request
from lit_lossopt.tracking.reading.runs import Run, find_experiment, read_runs

_METRICS = (names.PROBE_LOSS, names.TRAIN_LOSS)


def chosen_runs(request: Request) -> list[tuple[str, Run]]:
    """Return the runs that are asked for, each with the name of its arm.

    Raises:
        UserError: there is no such run or experiment.
    """
    if request.runs:
        return named_runs(read_runs(run_ids=request.runs, metrics=_METRICS))
    experiment = find_experiment(request.experiment or None).name
    runs = read_runs(experiment, metrics=_METRICS)
    trainings = [run for run in runs if not any(tag in run.tags for tag in names.TAGS_OF_NO_RESULT)]
    trainings = [run for run in trainings if run.tags.get(names.TAG_PHASE) != names.ASIDE]
    return named_runs(_of_one_seed(trainings, request.seed, experiment))


def named_runs(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """Return each run with the name of its arm.

    Where several are of one arm, the beginning of the run's id stands behind it.
    """
    names_of = {run.run_id: arm.name for arm in group(runs).arms for run in arm.runs} if runs else {}
    given = [(names_of.get(run.run_id) or run.name or run.run_id[:8], run) for run in runs]
    often = Counter(name for name, _ in given)
    return [(f"{name} {run.run_id[:6]}" if often[name] > 1 else name, run) for name, run in given]


def _of_one_seed(runs: Sequence[Run], seed: int | None, experiment: str) -> list[Run]:
    """Return the runs of one seed: the one asked for, or that of the most runs."""
    seeds = Counter(run.tags.get(names.TAG_SEED, "") for run in runs)
    if not seeds or (seed is not None and str(seed) not in seeds):
        known = ", ".join(sorted(seeds)) or "none"
        asked = f" with seed {seed}" if seed is not None else ""
        raise UserError(f"landscape: there is no training{asked} in {experiment}. Seeds there: {known}")
    most = max(seeds.values())
    wanted = str(seed) if seed is not None else min((key for key in seeds if seeds[key] == most), key=_as_number)
    return [run for run in runs if run.tags.get(names.TAG_SEED, "") == wanted and run.status != Status.SCHEDULED]


def _as_number(seed: str) -> tuple[int, str]:
    return (int(seed), "") if seed.isdigit() else (1 << 62, seed)
