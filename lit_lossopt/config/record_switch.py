"""Whether a run is recorded.

It always is, unless ``--tracking=false`` or ``--trainer.logger=false`` switches it off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lit_lossopt.config.merge import COMMAND_LINE, LOGGER, TRACKING, Settings
from lit_lossopt.config.strict_yaml import load_value
from lit_lossopt.core.errors import UserError

Flags = Sequence[tuple[str, str | None]]


def unrecorded(settings: Settings, flags: Flags) -> str:
    """Return what switches the record off.

    An example is ``tracking=false from the command line``. The result is empty if nothing does.

    Of several sources the last one decides. ``--tracking=true`` keeps the record whatever ``trainer.logger`` is.

    Args:
        settings: merged from configs and flags.
        flags: of the command line that are not part of ``settings``.

    Raises:
        UserError: the record is switched off, and the same or a later source sets something of it.
    """
    said = [*settings.recording, *((key, _value(key, text), COMMAND_LINE) for key, text in flags)]
    places = {key: place for place, (key, _, _) in enumerate(said)}
    switch = TRACKING if TRACKING in places else LOGGER
    if switch not in places or said[places[switch]][1] is not False:
        return ""
    source = said[places[switch]][2]
    others = [key for place, (key, _, origin) in enumerate(said) if origin == source or place > places[switch]]
    clash = next((key for key in others if key.startswith(f"{TRACKING}.")), "")
    if clash:
        raise UserError(
            f"{clash}: means nothing without a record, and {switch}=false from {source} switches it off; leave one of "
            "them out, or add --tracking=true"
        )
    return f"{switch}=false from {source}"


def without_switch(flags: Flags) -> list[tuple[str, str | None]]:
    """Return the flags that are left to the parser."""
    return [(key, text) for key, text in flags if key != TRACKING or not isinstance(_value(key, text), bool)]


def check_together(off: str, resume: str, checkpoint: object) -> None:
    """Refuse to look for a run where none is recorded.

    Raises:
        UserError: names what asks for one.
    """
    for words, asks in ((f"--resume {resume}", resume), (f"--ckpt_path {checkpoint}", checkpoint == "last")):
        if off and asks:
            raise UserError(
                f"{words}: goes on with a recorded run, and {off} switches the record off; leave one of them out, or "
                "name the file with --ckpt_path FILE"
            )


def _value(key: str, text: str | None) -> Any:
    return load_value(text, f"--{key}") if text is not None and key in (TRACKING, LOGGER) else text
