"""A comparison as a run in MLflow.

It stands in the experiment whose runs it compares.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.tracking import MlflowClient

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.addresses import check_uri, tame_client, tracking_uri
from lit_lossopt.tracking.store import STORE_ERRORS


def log_comparison(experiment_id: str, folder: Path, description: str) -> str:
    """Keep the files of a folder as artifacts of a new run.

    The run is tagged, so that it is never taken for one to be compared.

    Args:
        experiment_id: of the runs that were compared.
        folder: pages, tables and figures.
        description: what was found, in Markdown.

    Returns:
        The run's id.

    Raises:
        UserError: the store does not take it.
    """
    tame_client()
    tags = {names.TAG_COMPARISON: "true", names.TAG_DESCRIPTION: redact(description)}
    uri = check_uri(tracking_uri())
    try:
        client = MlflowClient(uri)
        run_id = str(client.create_run(experiment_id, tags=tags, run_name="comparison").info.run_id)
        client.log_artifacts(run_id, str(folder))
        client.set_terminated(run_id)
    except STORE_ERRORS as error:
        raise UserError(f"the comparison cannot be kept in {uri}: {one_line(redact(str(error)), 300)}") from error
    return run_id
