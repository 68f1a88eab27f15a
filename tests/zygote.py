"""A process that has imported everything, and forks one that runs a command: to be killed, in a second instead of ten.

The commands run as in a process of their own: working folder, environment, standard streams and signals are theirs.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Zygote:
    """Starts commands of the program, each in a process that can be killed."""

    def __init__(self) -> None:
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parent.parent,
        )

    def start(self, words: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str]) -> int:
        """Return the process id of ``lossopt WORDS`` run in ``folder``, its output going to a file."""
        request = {"words": list(words), "folder": str(folder), "output": str(output), "environment": dict(environment)}
        return int(self._ask(request))

    def call(self, function: str, arguments: Sequence[Any], folder: Path, output: Path) -> int:
        """Return the process id of ``module:function`` called in ``folder``; it returns an exit status."""
        request = {"call": function, "arguments": list(arguments), "folder": str(folder), "output": str(output)}
        return int(self._ask({**request, "environment": {}}))

    def wait(self, process: int) -> int:
        """Return the exit status; minus the signal's number for a process that was killed."""
        return int(self._ask({"wait": process}))

    def close(self) -> None:
        """End the zygote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _serve() -> None:
    # So that children need not.
    import matplotlib.backends.backend_agg  # noqa: F401
    import matplotlib.font_manager  # noqa: F401
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    import lit_lossopt.cli  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if child == 0:
            _run(request)
        print(child, flush=True)


def _run(request: dict[str, Any]) -> None:
    from lit_lossopt.__main__ import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # TMPDIR may be another
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 1
    try:
        status = _called(request) if "call" in request else main(request["words"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _called(request: dict[str, Any]) -> int:
    module, _, name = request["call"].partition(":")
    return int(getattr(importlib.import_module(module), name)(*request["arguments"]))


if __name__ == "__main__":
    _serve()
