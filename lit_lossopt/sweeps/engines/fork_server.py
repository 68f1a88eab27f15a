"""Calls functions, each in a process of its own.

The process is ready in milliseconds, because another one has imported everything.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_lossopt.core.errors import one_line

# Seconds within which the children of a server that was killed are dead, workers of their loaders too.
DEATH = 10.0
# What the server's own mathematics libraries may start when they are imported: no threads, which would not survive.
_SERVER_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
_SERVER = (
    "import sys; sys.path[:] = {path}; from lit_lossopt.sweeps.engines.forking import serve; "
    "serve({rehearsal!r}, {own!r})"
)


class ServerGoneError(Exception):
    """The server was killed or could not begin.

    None of its children lives any more.

    Attributes:
        killed: whether a signal ended it.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"killed by signal {-status}{said}" if status < 0 else f"exit status {status}{said}")
        self.killed = status < 0


@dataclass(frozen=True)
class Started:
    """A child has begun.

    ``process`` is its id.
    """

    number: int
    process: int


@dataclass(frozen=True)
class Ended:
    """A child has ended.

    Its status is an exit status, or minus the number of the signal that killed it.
    """

    number: int
    status: int


class ForkServer:
    """A process that forks others.

    They die with it. All of them die with this process, however it dies.

    Args:
        rehearsal: ``module:function`` that the server calls before it forks for the first time.
    """

    def __init__(self, rehearsal: str = "") -> None:
        # NVML's check stays: a child of a process that has asked CUDA itself could not use it.
        own = {name: os.environ.get(name) for name in _SERVER_ENVIRONMENT if name.startswith("OPENBLAS")}
        code = _SERVER.format(path=json.dumps(sys.path), rehearsal=rehearsal, own=own)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the server lives
        self._process = subprocess.Popen(  # noqa: S603  # this very package
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            env={**os.environ, **_SERVER_ENVIRONMENT},
            # Ctrl-C on a terminal goes to this process, which knows what to do.
            start_new_session=True,
        )
        self._count = 0
        self._received = b""
        self._died_at: float | None = None
        self.ready = False

    @property
    def process(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the server has ended."""
        return self._process.poll() is not None

    def start(
        self, call: str, arguments: Sequence[Any], folder: Path, output: Path, environment: Mapping[str, str]
    ) -> int:
        """Call ``module:function`` in a process of its own.

        Return the number by which replies name it.

        Args:
            call: what to call; it returns an exit status.
            arguments: of the call; JSON can hold them.
            folder: the process's working folder.
            output: file to which its standard output and error are appended.
            environment: variables beside this process's own.
        """
        self._count += 1
        request = {"start": self._count, "call": call, "arguments": list(arguments), "environment": dict(environment)}
        self._ask({**request, "folder": str(folder), "output": str(output)})
        return self._count

    def signal(self, number: int, which: int) -> None:
        """Send a signal to a child, if it lives.

        SIGKILL goes to all that the child has started.
        """
        self._ask({"of": number, "signal": which})

    def replies(self, timeout: float) -> list[Started | Ended]:
        """Return what has happened.

        The wait for something is at most ``timeout`` seconds.

        Raises:
            ServerGoneError: the server has died, and all its children with it.
        """
        pipe = self._process.stdout
        assert pipe is not None
        if select.select([pipe], [], [], timeout)[0]:
            received = os.read(pipe.fileno(), 65536)
            if not received:
                raise self._gone()
            self._received += received
        elif self._process.poll() is not None:
            # A child that still lives keeps the pipe open; none should for long.
            self._died_at = self._died_at or time.monotonic()
            if time.monotonic() - self._died_at > DEATH:
                raise self._gone()
        *lines, self._received = self._received.split(b"\n")
        return [reply for line in lines if (reply := self._read(json.loads(line)))]

    def close(self) -> None:
        """End the server and all that it has forked, at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if not self.ready:
            # It would import to the end before it notices, and has forked nobody.
            self._process.kill()
        try:
            self._process.wait(timeout=DEATH)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def _read(self, reply: dict[str, Any]) -> Started | Ended | None:
        if "ready" in reply:
            self.ready = True
            return None
        if "started" in reply:
            return Started(reply["started"], reply["process"])
        return Ended(reply["ended"], reply["status"])

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        # A server that is gone is told of by its replies, after those that it has still made.
        with suppress(OSError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def _gone(self) -> ServerGoneError:
        """Return how the server ended, and its last line."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return ServerGoneError(self._process.wait(), f": {one_line(lines[-1], 200)}" if lines else "")
