"""What a person types next.

It is the comparison of runs, and where MLflow shows them.
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

    With them comes the address of the experiment's runs.

    Args:
        experiment: its name.
        experiment_id: its number in the store; empty where the store has not told it.
        uri: the store's address.
    """
    return [f"compare its runs: {compare_command(experiment)}", *places_to_look(experiment_id, uri)]


def compare_command(experiment: str) -> str:
    """Return the command that compares an experiment's runs.

    It names the store where that is not the default.
    """
    store = os.environ.get("MLFLOW_TRACKING_URI", "")
    elsewhere = store and where_to_look(store) != BARE_UI
    before = f"MLFLOW_TRACKING_URI={shlex.quote(store)} " if elsewhere else ""
    which = [] if experiment == names.EXPERIMENT else ["--experiment", experiment]
    return f"{before}{typed(['compare', *which])}"


def places_to_look(experiment_id: str, uri: str) -> list[str]:
    """Return what shows the runs.

    It is the server's address, or ``mlflow ui`` and the address to open then.
    """
    page, how = runs_page(experiment_id), where_to_look(uri)
    if not is_server(uri):
        return [f"look at them: {how}, then open", f"  {LOCAL_PAGE}{page}"]
    return [f"look at them: {how}"] if not how.startswith("http") else ["look at them:", f"  {how.rstrip('/')}{page}"]


def runs_page(experiment_id: str) -> str:
    """Return the address of MLflow's table of an experiment's runs.

    It stands behind the server's own address.
    """
    return f"/#/experiments/{quote(experiment_id)}/runs?{TRAINING}" if experiment_id else "/#/experiments"
