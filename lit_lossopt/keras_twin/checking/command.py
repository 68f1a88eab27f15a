"""The check as a command."""

from __future__ import annotations

import sys
from functools import partial

import torch

from lit_lossopt.config.twin import TWIN
from lit_lossopt.core.names import Exit
from lit_lossopt.core.output import write_all
from lit_lossopt.core.terminal_text import is_bare_terminal, tell
from lit_lossopt.keras_twin.checking.measure import gaps
from lit_lossopt.keras_twin.checking.report import agrees, as_json, markdown, page, show
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
    texts = ((request.page, page), (request.markdown, markdown), (request.numbers, as_json))
    write_all(TWIN, ((path, partial(make, found)) for path, make in texts))
    return Exit.DONE if agrees(found) else Exit.FAILED


def _tell(what: str) -> None:
    if is_bare_terminal(sys.stderr):
        tell(f"comparing {what}", sys.stderr)
