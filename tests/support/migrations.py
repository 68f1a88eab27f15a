"""MLflow's migrations are read once a process, not for each of the many stores that tests open."""

from __future__ import annotations

from functools import cache

from mlflow.store.db import utils

_latest = cache(utils._get_latest_schema_revision)


def read_migrations_once() -> None:
    """Let this process, and its forks, look only once for the newest migration of the installed MLflow.

    A store's own version is still read from each store. To read the migrations takes longer than to open it.
    """
    utils._get_latest_schema_revision = _latest
    _latest()
