"""A real MLflow server on a real PostgreSQL of its own, on loopback ports, gone when the test is."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.killing.waiting import LONGEST, wait_until


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, also where Debian hides them, or None."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    hidden = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return hidden[-1].parent if hidden else None


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """Yield the address of a fresh database, as SQLAlchemy writes it."""
    # PostgreSQL refuses to be run by root.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    folder, port = Path(tempfile.mkdtemp(prefix="lossopt-pg-", dir="/tmp")), free_port()  # short enough for a socket
    os.chown(folder, user, -1)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "mlflow", "-E", "UTF8", "--no-sync"],
        user=user, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    options = [word for setting in settings for word in ("-c", setting)]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen([programs / "postgres", "-D", data, *options], user=user, cwd=folder, stderr=log)
    try:
        wait_for_port(port)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(LONGEST)
        shutil.rmtree(folder)


@contextmanager
def mlflow_server(database: str, folder: Path) -> Iterator[str]:
    """Yield the address of a server on that database, its artifacts below ``folder``."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    place = ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    own = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            [*command, *place], env={**own, **quiet}, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    try:
        wait_for_health(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(LONGEST)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of this machine."""

    def listens() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, lambda: f"nobody listens on port {port}", pause=0.1)


def wait_for_health(address: str) -> None:
    """Wait until a server says that it is well."""

    def answers() -> bool:
        try:
            with urlopen(f"{address}/health", timeout=5):  # noqa: S310  # http, just built
                return True
        except (URLError, OSError):
            return False

    wait_until(answers, lambda: f"{address} does not answer", pause=0.3)
