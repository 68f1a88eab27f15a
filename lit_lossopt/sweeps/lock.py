"""One sweep of an experiment at a time.

This holds on one machine.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_lossopt.core.errors import UserError

FOLDER = "mlruns/sweeps"


@contextmanager
def alone(experiment: str) -> Iterator[None]:
    """Hold the experiment's lock.

    It goes with the process, however that ends.

    Raises:
        UserError: another sweep holds it, or the folder cannot be written.
    """
    path = Path(FOLDER) / f"{experiment}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise UserError(f"{path.absolute()}: the sweep's lock cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(
                f"a sweep of experiment {experiment!r} is running in this folder (process {file.read() or 'unknown'}); "
                "wait for it, end it, or take another --tracking.experiment"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
