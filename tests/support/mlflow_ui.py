"""MLflow's own server of a store, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.killing.waiting import wait_until


@contextmanager
def mlflow_ui(folder: Path, *words: str) -> Iterator[str]:
    """Have ``mlflow ui``, with further words, serve the store of a folder; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("mlflow")), "ui", *words]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--port", str(port), "--host", "127.0.0.1"]
    with subprocess.Popen([*command, *store], start_new_session=True) as ui:
        try:
            wait_until(lambda: _listens(port), lambda: "the server did not start", pause=0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(ui.pid, signal.SIGTERM)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
