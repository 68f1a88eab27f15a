"""What a person does next.

That is to compare runs, or to look at them in MLflow.
"""

from __future__ import annotations

import os
import shlex
from urllib.parse import quote

from lit_lossopt.core import names
from lit_lossopt.core.program import typed
from lit_lossopt.tracking.addresses import BARE_UI, is_server, where_to_look

# Where `mlflow ui` answers.
LOCAL_PAGE = "http://127.0.0.1:5000"
# MLflow 3 shows an experiment as one of language models unless its address says that it is of trainings.
TRAINING = "workflowType=machine_learning"


def next_steps(experiment: str, experiment_id: str, uri: str) -> list[str]:
    """Return lines that name the next commands.

    Args:
        experiment: its name.
        experiment_id: its number in the store, or empty if the store has not told it.
        uri: the store's address.
    """
    return [f"compare its runs: {compare_command(experiment)}", *places_to_look(experiment_id, uri)]


def compare_command(experiment: str) -> str:
    """Return the command that compares an experiment's runs.

    It names the store, unless a bare ``mlflow ui`` shows that too.
    """
    store = os.environ.get("MLFLOW_TRACKING_URI", "")
    elsewhere = store and where_to_look(store) != BARE_UI
    before = f"MLFLOW_TRACKING_URI={shlex.quote(store)} " if elsewhere else ""
    option = [] if experiment == names.EXPERIMENT else ["--experiment", experiment]
    return f"{before}{typed(['compare', *option])}"


def places_to_look(experiment_id: str, uri: str) -> list[str]:
    """Return lines that say what shows the runs.

    That is a server's address, or ``mlflow ui`` and the address to open then.
    """
    page, how = runs_page(experiment_id), where_to_look(uri)
    if not is_server(uri):
        return [f"look at them: {how}, then open", f"  {LOCAL_PAGE}{page}"]
    return [f"look at them: {how}"] if not how.startswith("http") else ["look at them:", f"  {how.rstrip('/')}{page}"]


def runs_page(experiment_id: str) -> str:
    """Return the address of MLflow's table of runs.

    It follows the address of the server.

    >>> runs_page("")
    '/#/experiments'
    """
    return f"/#/experiments/{quote(experiment_id)}/runs?{TRAINING}" if experiment_id else "/#/experiments"
