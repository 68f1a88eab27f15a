"""What libraries say on their own, kept from the person's terminal.

The names of loggers, messages and variables are given by whoever knows the library.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from lit_lossopt.core.errors import Notice, printable
from lit_lossopt.core.terminal_text import fitted, width_of

# MLflow, and what it keeps its database with.
_STORE_LOGGERS = ("mlflow", "alembic", "sqlalchemy")


def quiet_loggers(names: Iterable[str], level: int = logging.WARNING) -> None:
    """Let loggers say only what is at least this serious."""
    for name in names:
        logging.getLogger(name).setLevel(level)


def quiet_stores(level: int = logging.CRITICAL) -> None:
    """Let MLflow and its database say only what is critical.

    The troubles of a store are tried again, and said once in one line.
    """
    quiet_loggers(_STORE_LOGGERS, level)


def ignore_warnings(*messages: str) -> None:
    """Ignore warnings whose text begins with one of these patterns."""
    for message in messages:
        warnings.filterwarnings("ignore", message=message)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore all warnings within a block."""
    with warnings.catch_warnings(action="ignore"):
        yield


@contextmanager
def silence() -> Iterator[None]:
    """Let no log, warning or print come out of a block."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with without_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)


def silence_process() -> None:
    """Let this process say nothing any more, and read nothing."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    # Python's own streams stay unflushed: what a fork has inherited and its parent not written yet is the parent's to
    # write.
    for number in range(3):
        os.dup2(nowhere, number)


def set_default_variables(**values: str) -> None:
    """Set variables of the environment that nobody has set."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


@contextmanager
def default_variables(**values: str) -> Iterator[None]:
    """Set variables that nobody has set, and remove them after the block."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def show_notices_plainly() -> None:
    """Show a ``Notice`` as one line, without the place in the code."""
    plain = warnings.formatwarning

    def one_line_notice(message: Warning | str, category: type[Warning], *place: Any, **line: Any) -> str:
        if issubclass(category, Notice):
            text = f"lossopt: {printable(str(message))}\n"
            return fitted(text, width_of(sys.stderr)) if sys.stderr and sys.stderr.isatty() else text
        return plain(message, category, *place, **line)

    warnings.formatwarning = one_line_notice
