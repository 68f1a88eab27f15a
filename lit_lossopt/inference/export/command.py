"""The command ``lossopt export RUN --to FILE``."""

from __future__ import annotations

from lit_lossopt.inference.export.request import parse_request


def export(words: list[str]) -> int:
    """Export what the words ask for, and return the exit status.

    >>> export(["RUN_ID"])
    Traceback (most recent call last):
    lit_lossopt.core.errors.UserError: export: name the file with --to FILE (.safetensors, .onnx, .pt2), or log the ...

    Raises:
        UserError: the words do not make sense, or the export is impossible.
    """
    request = parse_request(words)
    # It takes seconds to import, so everything that can be checked without it has been checked before.
    from lit_lossopt.inference.export.writing import fulfil

    return fulfil(request)
