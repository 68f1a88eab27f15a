"""What a Ray worker does with a trial.

It has a fork server of its own, as a sweep on one machine has.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lit_lossopt.sweeps.engines.fork_server import Ended, ForkServer, ServerGoneError, Started
from lit_lossopt.sweeps.engines.gpu_slots import VARIABLE
from lit_lossopt.sweeps.engines.local import last_line
from lit_lossopt.sweeps.engines.scheduling import LOOK, PATIENCE


class Done(NamedTuple):
    """What came of a trial.

    It is the exit status, the last line, the end of all that it printed, and whether it took too long.
    """

    status: int
    line: str
    text: str
    too_long: bool


# Ray keeps its workers: the next trial finds everything imported.
_servers: dict[str, ForkServer] = {}
_KEPT_CHARACTERS = 20_000


def run_trial(
    command: str,
    rehearsal: str,
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    gpus: float,
    seconds: float | None = None,
) -> Done:
    """Run a trial in its own process, and return the result.

    When this worker dies, so does the trial. KeyboardInterrupt, by which Ray cancels, lets it save first.

    Args:
        command: ``module:function`` that takes words and returns an exit status.
        rehearsal: ``module:function`` that prepares the fork server.
        words: of the trial.
        folder: where it works, if this machine has it; otherwise below the folder of temporary files.
        environment: variables for it.
        gpus: its share; 0: it sees none, otherwise those that Ray gave this worker.
        seconds: if it takes longer, it is told to save and end; None: no limit.
    """
    place = Path(folder) if Path(folder).is_dir() else Path(tempfile.gettempdir()) / "lossopt-sweep"
    place.mkdir(parents=True, exist_ok=True)
    given = {**environment, VARIABLE: os.environ.get(VARIABLE, "") if gpus else ""}
    with tempfile.TemporaryDirectory(prefix="lossopt-") as kept:
        output = Path(kept) / "output.txt"
        server = _servers.get(rehearsal) or _servers.setdefault(rehearsal, ForkServer(rehearsal))
        try:
            number = server.start(command, [list(words)], place, output, given)
            status, too_long = _wait(server, number, seconds)
        except ServerGoneError as error:
            del _servers[rehearsal]
            server.close()
            if not (server.ready or error.killed):
                raise RuntimeError(f"the process that starts trials cannot begin: {error}") from error
            status, too_long = -signal.SIGKILL, False
        said = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
        return Done(status, last_line(output), said[-_KEPT_CHARACTERS:], too_long)


def _wait(server: ForkServer, number: int, seconds: float | None) -> tuple[int, bool]:
    """Return a child's exit status.

    The second value says whether it took too long.

    It is told to save and end then, and when this worker is interrupted.
    """
    told, due, too_long = float("inf"), float("inf"), False
    while True:
        try:
            for reply in server.replies(LOOK):
                if reply.number == number and isinstance(reply, Ended):
                    return reply.status, too_long
                if reply.number == number and isinstance(reply, Started):
                    due = time.monotonic() + (float("inf") if seconds is None else seconds)
                    if told < float("inf"):
                        server.signal(number, signal.SIGTERM)
            if time.monotonic() > due:
                told, due, too_long = min(told, time.monotonic()), float("inf"), True
                server.signal(number, signal.SIGTERM)
            if time.monotonic() - told > PATIENCE:
                server.signal(number, signal.SIGKILL)
        except KeyboardInterrupt:
            told = min(told, time.monotonic())
            server.signal(number, signal.SIGTERM)
