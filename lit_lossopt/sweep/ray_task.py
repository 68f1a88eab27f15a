"""What a Ray worker does with a trial: it has a fork server of its own, as a sweep on one machine has."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lit_lossopt.sweep.fork_server import Ended, ForkServer, ServerGoneError, Started
from lit_lossopt.sweep.gpu_slots import VARIABLE
from lit_lossopt.sweep.local import last_line
from lit_lossopt.sweep.scheduling import LOOK, PATIENCE

# Ray keeps its workers: the next trial finds everything imported.
_servers: dict[str, ForkServer] = {}
_KEPT_CHARACTERS = 20_000


def run_trial(
    command: str, rehearsal: str, words: Sequence[str], folder: str, environment: Mapping[str, str], gpus: float
) -> tuple[int, str, str]:
    """Run a trial in a process of its own; return its exit status, its last line, and the end of all that it printed.

    When this worker dies, so does the trial. KeyboardInterrupt, by which Ray cancels, lets it save first.

    Args:
        command: ``module:function`` that takes words and returns an exit status.
        rehearsal: ``module:function`` that prepares the fork server.
        words: of the trial.
        folder: where it works, if this machine has it; otherwise below the folder of temporary files.
        environment: variables for it.
        gpus: its share; 0: it sees none, otherwise those that Ray gave this worker.
    """
    place = Path(folder) if Path(folder).is_dir() else Path(tempfile.gettempdir()) / "lossopt-sweep"
    place.mkdir(parents=True, exist_ok=True)
    given = {**environment, VARIABLE: os.environ.get(VARIABLE, "") if gpus else ""}
    with tempfile.TemporaryDirectory(prefix="lossopt-") as kept:
        output = Path(kept) / "output.txt"
        server = _servers.get(rehearsal) or _servers.setdefault(rehearsal, ForkServer(rehearsal))
        try:
            number = server.start(command, [list(words)], place, output, given)
            status = _wait(server, number)
        except ServerGoneError as error:
            del _servers[rehearsal]
            server.close()
            if not (server.ready or error.killed):
                raise RuntimeError(f"the process that starts trials cannot begin: {error}") from error
            status = -signal.SIGKILL
        said = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
        return status, last_line(output), said[-_KEPT_CHARACTERS:]


def _wait(server: ForkServer, number: int) -> int:
    """Return a child's exit status; tell it to save and end when this worker is interrupted."""
    told = float("inf")
    while True:
        try:
            for reply in server.replies(LOOK):
                if reply.number == number and isinstance(reply, Ended):
                    return reply.status
                if reply.number == number and isinstance(reply, Started) and told < float("inf"):
                    server.signal(number, signal.SIGTERM)
            if time.monotonic() - told > PATIENCE:
                server.signal(number, signal.SIGKILL)
        except KeyboardInterrupt:
            told = min(told, time.monotonic())
            server.signal(number, signal.SIGTERM)
