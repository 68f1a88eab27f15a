"""MLflow's own server of a store, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(ui.pid, signal.SIGTERM)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the server did not start")
