"""The check as a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.terminal_text import is_bare_terminal, tell
from lit_lossopt.keras_twin.checking.gap import Gap
from lit_lossopt.keras_twin.checking.measure import gaps
from lit_lossopt.keras_twin.checking.report import agrees, as_json, markdown, page, show, write
from lit_lossopt.keras_twin.checking.request import Request
from lit_lossopt.keras_twin.framework import start_tensorflow


def check(request: Request) -> int:
    """Compare both frameworks, show the tables and write them. Return the exit status.

    Raises:
        UserError: a file cannot be written.
    """
    # More threads than one are slower for images as small as these.
    torch.set_num_threads(1)
    start_tensorflow(1, double=True)
    found = list(gaps(request, _tell))
    show(found)
    _write(request, found)
    return Exit.DONE if agrees(found) else Exit.FAILED


def _write(request: Request, found: Sequence[Gap]) -> None:
    wanted = ((request.page, page), (request.markdown, markdown), (request.numbers, as_json))
    for path, make in wanted:
        if path is None:
            continue
        try:
            write(make(found), path)
        except OSError as error:
            raise UserError(f"twin: {path}: cannot be written ({error.strerror})") from error
        print(path)


def _tell(what: str) -> None:
    if is_bare_terminal(sys.stderr):
        tell(f"comparing {what}", sys.stderr)
