"""The address of a run's page in MLflow."""

from __future__ import annotations

from lit_lossopt.tracking.addresses import is_server, tracking_uri
from lit_lossopt.tracking.next_steps import LOCAL_PAGE, TRAINING


def runs_address() -> str:
    """Return the address of a run's page, to be filled in.

    It has ``{experiment_id}`` and ``{run_id}`` in it. It is empty for a server that has no page, as ``databricks``.
    """
    uri = tracking_uri()
    if is_server(uri) and not uri.startswith("http"):
        return ""
    root = uri.rstrip("/") if is_server(uri) else LOCAL_PAGE
    return f"{root}/#/experiments/{{experiment_id}}/runs/{{run_id}}?{TRAINING}"
