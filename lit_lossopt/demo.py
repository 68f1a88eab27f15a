"""The first minutes: the shipped plan that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

PLAN = "sweep_quick"


def demo(words: Sequence[str], main: Callable[[list[str]], int]) -> int:
    """Run the quick sweep, with what was typed behind it; return the exit status."""
    return main(["sweep", "--config", PLAN, *words])
