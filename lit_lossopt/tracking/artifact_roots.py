"""Places of artifacts, checked before a run exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from urllib.parse import urlparse

from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.addresses import is_server, local_path
from lit_lossopt.tracking.places import here
from lit_lossopt.tracking.probe import probe_places

# What MLflow imports for each kind of address, and the package that has it.
_NEEDED = {
    **dict.fromkeys(("s3", "r2", "b2"), ("boto3", "boto3")),
    "gs": ("google.cloud.storage", "google-cloud-storage"),
    "wasbs": ("azure.storage.blob", "azure-storage-blob"),
    "abfss": ("azure.storage.filedatalake", "azure-storage-file-datalake"),
    "hdfs": ("pyarrow", "pyarrow"),
    "viewfs": ("pyarrow", "pyarrow"),
}


def check_artifact_root(address: str, store: str, experiment: str, home: Path) -> None:
    """Refuse an address where artifacts cannot be written.

    Args:
        address: where an experiment, or a run, keeps its artifacts.
        store: address of the store that says so.
        experiment: its name.
        home: the folder that holds ``mlruns`` now. A folder that was moved is looked at where it is.

    Raises:
        UserError: why not, and what to do.
    """
    folder = local_path(address)
    if folder is not None and folder.is_absolute():
        probe_places([(here(folder, home), f"artifacts of tracking.experiment={experiment}")])
        return
    problem = _problem(address, store)
    if problem:
        raise UserError(f"tracking.experiment={experiment}: artifacts go to {address}, {problem}; or take another name")


def _problem(address: str, store: str) -> str:
    scheme = urlparse(address).scheme.lower()
    if scheme == "mlflow-artifacts":
        return "" if is_server(store) else "which needs a server; set MLFLOW_TRACKING_URI to its http address"
    if len(scheme) == 1:
        return "a folder of Windows; use it there"
    if scheme in ("", "file"):
        return f"a relative folder, another one from each working folder ({Path.cwd()} now)"
    # Half a second of imports, which a training with a local store has no use for.
    from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories

    if scheme not in get_registered_artifact_repositories():
        return f"and MLflow knows no {scheme}:"
    module, package = _NEEDED.get(scheme, ("", ""))
    return f"which needs: pip install {package}" if module and not _is_there(module) else ""


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
