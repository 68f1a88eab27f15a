"""Addresses of stores and artifacts.

What they mean is told here without MLflow.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import pathname2url, url2pathname

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.paths import with_home
from lit_lossopt.core.quiet import default_variables, set_default_variables
from lit_lossopt.core.redaction import has_secret_query

# A page of 25,000 points takes a busy server half a minute; retries are our own.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "120"}
# Shows the store in the working folder.
BARE_UI = "mlflow ui"


def tracking_uri() -> str:
    """Return the address of the store, as MLflow chooses it.

    It is what was set, or else the database in the working folder.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if "mlflow" in sys.modules or (not given and any(Path(names.RUNS_FOLDER).glob("[0-9]*/meta.yaml"))):
        import mlflow

        return with_home(str(mlflow.get_tracking_uri()))
    return with_home(given) if given else f"sqlite:///{pathname2url(str(Path('mlflow.db').absolute()))}"


def tame_client() -> None:
    """Have MLflow answer soon, and print no addresses.

    MLflow's own variables may say otherwise. The caller knows how long to wait, and tries again itself. The retries of
    MLflow take minutes, and repeat the creation of a run whose answer was lost.
    """
    set_default_variables(
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
        MLFLOW_HTTP_REQUEST_TIMEOUT="15",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    )


@contextmanager
def reading_patience() -> Iterator[None]:
    """Let answers of a server take long within a block.

    Nothing but a person waits for them. MLflow's own variables may say otherwise.
    """
    with default_variables(**_PATIENCE):
        yield


def check_uri(uri: str) -> str:
    """Return the address of a store, if it can be used.

    Raises:
        UserError: it holds a password, or names a database that is gone when the program ends.
    """
    parsed = urlparse(uri)
    if parsed.username or parsed.password or has_secret_query(uri):
        raise UserError(
            "MLFLOW_TRACKING_URI holds a name or password, which would show up in logs; use MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD with a server"
        )
    if uri in ("sqlite://", "sqlite:///") or (uri.startswith("sqlite:") and uri.endswith(":memory:")):
        raise UserError(f"MLFLOW_TRACKING_URI={uri}: a database in memory is gone when the program ends; name a file")
    return uri


def check_file_store(uri: str, chosen: str = "") -> None:
    """Refuse MLflow's former store of files, which it no longer opens.

    Args:
        uri: the address of a store.
        chosen: why it is looked at. By default, why MLflow takes it.

    Raises:
        UserError: the address is one. The message says what to do, also if it has been migrated already.
    """
    folder = local_path(uri) or (Path(uri) if uri and ":" not in uri and not is_server(uri) else None)
    if folder is None or os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
        return
    database = folder.absolute().parent / "mlflow.db"
    is_named, former = os.environ.get("MLFLOW_TRACKING_URI"), database.with_name(f"{folder.name}.db")
    why = chosen or ("MLFLOW_TRACKING_URI names it" if is_named else "its meta.yaml are still there")
    if not database.exists():
        what = f" ({why}); {_migrating(folder, database)}{_export(database)}"
    elif not chosen:
        what = f" ({database} is there, but MLflow takes the old one, as {why}); {_export(database)}"
    else:
        # To migrate into a database that is there would overwrite it.
        what = (
            f". If {database} holds its runs: {_export(database)}. If not: {_migrating(folder, former)}"
            f"{_export(former)}"
        )
    raise UserError(f"{folder.absolute()}: a file store of old, which MLflow no longer opens{what}")


def _migrating(folder: Path, database: Path) -> str:
    """Return the command that migrates a store of files, to be followed by another.

    It looks for the folder of its target without decoding the address.
    """
    target = shlex.quote(f"sqlite:///{database}")
    return f"mlflow migrate-filestore --source {shlex.quote(str(folder))} --target {target}; "


def _export(database: Path) -> str:
    return f"export MLFLOW_TRACKING_URI=sqlite:///{pathname2url(str(database))}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a sqlite store.

    The address is read as SQLAlchemy reads it.
    """
    if not uri.startswith("sqlite:///"):
        return None
    plain = uri.removeprefix("sqlite:///")
    if not set("%?") & set(plain):
        # As nearly always. A tenth of a second of imports is for the others.
        return Path(plain)
    from sqlalchemy import make_url

    return Path(make_url(uri).database or "")


def local_path(uri: str) -> Path | None:
    """Return the folder on this machine that an address means.

    >>> local_path("file:///data/runs").as_posix()
    '/data/runs'
    >>> local_path("s3://bucket/runs") is None
    True
    """
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(url2pathname(parsed.path))
    return Path(uri) if parsed.scheme == "" and Path(uri).is_absolute() else None


def absolute_uri(uri: str) -> str:
    """Return a sqlite address that holds in any working folder.

    Other addresses stay as they are.

    >>> absolute_uri("http://localhost:5000")
    'http://localhost:5000'
    """
    path = uri.removeprefix("sqlite:///")
    return uri if path == uri or path.startswith("/") else f"sqlite:///{Path(path).absolute()}"


def where_to_look(uri: str) -> str:
    """Return what shows the runs of a store.

    That is a server's address, or ``mlflow ui`` with what it must be told.
    """
    if is_server(uri):
        return uri
    place = sqlite_path(uri) or local_path(uri) or (None if "://" in uri else Path(uri))
    if place is not None and place.absolute() in (Path("mlflow.db").absolute(), Path(names.RUNS_FOLDER).absolute()):
        return BARE_UI
    return f"{BARE_UI} --backend-store-uri {shlex.quote(uri)}"


def is_server(uri: str) -> bool:
    """Return True if a store answers over HTTP."""
    return uri.startswith(("http:", "https:", "databricks"))
