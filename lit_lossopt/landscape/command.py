"""The command ``lossopt landscape``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lit_lossopt.landscape.request import Request, parse

Main = Callable[[list[str]], int]


def landscape(words: Sequence[str], main: Main) -> int:
    """Draw what the words ask for, and return the exit status.

    Args:
        words: behind ``landscape``.
        main: runs the words of a command and returns its exit status.

    Raises:
        UserError: the words do not make sense, there are no such runs, or nothing can be drawn of them.
    """
    request = parse(words)
    if request.plan:
        request, status = _trained(request, main)
        if status:
            return status
    # It takes seconds to import, so everything that can be checked without it has been checked before.
    from lit_lossopt.landscape.drawing import draw

    return draw(request)


def _trained(request: Request, main: Main) -> tuple[Request, int]:
    """Train what is missing of a plan. Return the request for its runs, and the exit status."""
    from lit_lossopt.sweeps.options import read_options, the_plan

    plan = the_plan(read_options(request.plan))
    status = main(["sweep", *request.plan])
    return replace(request, experiment=request.experiment or plan.experiment), status
