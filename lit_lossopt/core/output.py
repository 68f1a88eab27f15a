"""Files that a command writes at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.files import whole_file


def write_all(command: str, wanted: Iterable[tuple[Path | None, Callable[[], str]]]) -> None:
    """Write files, each whole or not at all, and print their names.

    Args:
        command: that writes them, for messages.
        wanted: where each goes, and what makes its text. None: nowhere.

    Raises:
        UserError: one cannot be written.
    """
    for path, make in wanted:
        if path is None:
            continue
        text = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{command}: {path}: cannot be written ({error.strerror})") from error
        print(path)
