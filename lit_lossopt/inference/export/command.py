"""``lossopt export RUN --to FILE``."""

from __future__ import annotations

from lit_lossopt.inference.export.request import parse_request


def export(words: list[str]) -> int:
    """Export what the words ask for, and return the exit status.

    Raises:
        UserError: they do not make sense, or it cannot be done.
    """
    request = parse_request(words)
    # Seconds of imports, so only after everything that can be checked without them.
    from lit_lossopt.inference.export.writing import fulfil

    return fulfil(request)
