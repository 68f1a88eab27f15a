"""The files of a run, found by its id.

The beginning of an id will do. Files on other machines are downloaded.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.quiet import set_default_variables
from lit_lossopt.tracking.addresses import sqlite_path, tracking_uri
from lit_lossopt.tracking.places import local_artifacts
from lit_lossopt.tracking.store import STORE_ERRORS, Store

LOOKED_AT = 1000
# Of 32 random digits about half agree with any others: only what is nearly the same is meant.
NEAR = 0.75
# By what a word is looked for: the keys of settings, and the name.
_KEYS = (f"tags.`{names.TAG_SWEEP_KEY}`", f"tags.`{names.TAG_TRIAL_KEY}`")
_NAME = "attributes.run_name"
_BEGINNING = re.compile("[0-9a-f]{1,32}")


@contextmanager
def checkpoint_folder(run: str, wanted: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield a run's id and a folder with the wanted checkpoints; see ``artifact_folder``."""
    with artifact_folder(run, names.CHECKPOINT_FOLDER, wanted) as found:
        yield found


@contextmanager
def artifact_folder(run: str, folder: str, wanted: Sequence[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Yield a run's id and a folder with the wanted files.

    Those that the run does not have are left out. If the artifacts are remote, they are downloaded to a temporary
    folder, which is removed at the end.

    Args:
        run: its id, or the beginning of one, in the tracking store.
        folder: among its artifacts. Empty: the topmost.
        wanted: names of files. None: all that are there.

    Raises:
        UserError: there is no such run, several begin so, or the store does not answer.
    """
    uri = tracking_uri()
    database = sqlite_path(uri)
    # Asking would make the database.
    if database and not database.is_file():
        raise UserError(
            f"{run}: neither a file nor a folder, and there is no tracking store {database.absolute()} to look for a "
            "run in; work in the folder where it ran, or set MLFLOW_TRACKING_URI"
        )
    with tempfile.TemporaryDirectory() as temporary:
        try:
            client = Store(uri).client
            known_run = _find(client, run)
            place = _with_files(client, known_run, folder, wanted, Path(temporary))
        except STORE_ERRORS as error:
            reason = one_line(str(error), 200)
            raise UserError(f"{run}: {uri} cannot be asked for it ({reason}); name a checkpoint file") from error
        yield str(known_run.info.run_id), place


def runs_called(word: str, experiment: str) -> list[str]:
    """Return the ids of the runs that a word may mean.

    It is the id of a run or its beginning, which is taken as it is, the key of a run's settings, or a run's name. Runs
    of one key have trained the same. All of them are returned, the first to begin first.

    Args:
        word: as typed.
        experiment: in which names are looked for, and keys at first.

    Raises:
        UserError: several runs have that name, or the store does not answer.
    """
    uri = tracking_uri()
    database = sqlite_path(uri)
    if database and not database.is_file():
        return [word]
    try:
        client = Store(uri).client
        found = client.get_experiment_by_name(experiment) if experiment else None
        own = [found.experiment_id] if found else []
        every = [one.experiment_id for one in client.search_experiments()]
        for name, ids in (*((name, ids) for name in _KEYS for ids in (own, every)), (_NAME, own)):
            question = f"{name} = '{word}'"
            order = ["attributes.start_time ASC"]
            runs = list(client.search_runs(ids, question, order_by=order)) if ids and "'" not in word else []
            if len(runs) > 1 and name == _NAME:
                shown = ", ".join(str(run.info.run_id) for run in runs[:3])
                raise UserError(
                    f"{word}: {len(runs)} runs of {experiment} are called so; name one by its id, as {shown}"
                )
            if runs:
                return [str(run.info.run_id) for run in runs]
    except STORE_ERRORS as error:
        reason = one_line(str(error), 200)
        raise UserError(f"{word}: {uri} cannot be asked for it ({reason}); name a checkpoint file") from error
    return [word]


def _find(client: MlflowClient, run: str) -> Run:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    if _BEGINNING.fullmatch(run) and experiments:
        # By its id, or by what it was called before its store had answered.
        for name in ("attributes.run_id", f"tags.`{names.TAG_JOURNAL}`"):
            matching = list(client.search_runs(experiments, f"{name} LIKE '{run}%'", max_results=3))
            if matching:
                break
        if len(matching) == 1:
            return matching[0]
        if matching:
            shown = ", ".join(f"{near.info.run_id} ({near.info.run_name})" for near in matching[:2])
            raise UserError(f"{run}: several runs begin so, such as {shown}; write more of the id")
    raise UserError(
        f"{run}: no file, no folder, and no run of {client.tracking_uri}{_nearest(client, experiments, run)}"
    )


def _nearest(client: MlflowClient, experiments: list[str], run: str) -> str:
    """Return words that name the run that was perhaps meant."""
    runs = list(client.search_runs(experiments, max_results=LOOKED_AT)) if experiments else []
    if not runs:
        return ", which holds none"
    by_word = {word: one for one in reversed(runs) for word in (str(one.info.run_name), one.info.run_id[: len(run)])}
    near = difflib.get_close_matches(run, list(by_word), n=1, cutoff=NEAR)
    meant = by_word[near[0]] if near else runs[0]
    shown = f"{meant.info.run_id} ({meant.info.run_name})"
    return f" (did you mean {shown}?)" if near else f"; the newest is {shown}"


def _local(client: MlflowClient, uri: str) -> Path | None:
    """Return the folder of a run's artifacts, if it is here.

    It may be in the working folder, or beside the database.
    """
    database = sqlite_path(str(client.tracking_uri))
    homes = [Path.cwd(), *([database.absolute().parent] if database else [])]
    places = [place for home in homes if (place := local_artifacts(uri, home))]
    return next((place for place in places if place.is_dir()), places[0] if places else None)


def _with_files(client: MlflowClient, run: Run, folder: str, wanted: Sequence[str] | None, temporary: Path) -> Path:
    """Return a folder with the wanted files.

    It is the temporary one if they come from another machine.
    """
    local = _local(client, str(run.info.artifact_uri))
    if local:
        return local / folder
    set_default_variables(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
    for item in client.list_artifacts(run.info.run_id, folder or None):
        name = item.path.rpartition("/")[2]
        if not item.is_dir and (wanted is None or name in wanted):
            downloaded = Path(client.download_artifacts(run.info.run_id, item.path, str(temporary)))
            downloaded.replace(temporary / name)
    return temporary
