"""Whether the recorded configs are those with which runs were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lit_lossopt.config.description import flat_parameters
from lit_lossopt.core import names
from lit_lossopt.core.checksum import checksum
from lit_lossopt.core.redaction import HIDDEN
from lit_lossopt.tracking.reading.runs import Run
from lit_lossopt.verify.differences import Difference
from lit_lossopt.verify.recorded import Recorded


def changed_config(run: Run, recorded: Recorded) -> Iterator[Difference]:
    """Yield what was changed in a run's config after it was logged.

    A run has the checksum of its config among its tags. Its parameters tell which setting has changed.

    Args:
        run: with its tags and parameters.
        recorded: the config that lies among its artifacts now.
    """
    then = run.tags.get(names.TAG_CONFIG_SHA256)
    if then is None or not can_be_checked(run, recorded):
        return
    if checksum(recorded.config.encode()) != then:
        settings = list(_changed_settings(run, recorded.config))
        yield from settings or [
            Difference((names.CONFIG_ARTIFACT, "checksum"), then, checksum(recorded.config.encode()))
        ]


def can_be_checked(run: Run, recorded: Recorded) -> bool:
    """Return whether there is a config, and a checksum that was made of it."""
    then = run.tags.get(names.TAG_CONFIG_SHA256)
    # The checksums of former versions were made before passwords were taken out.
    held_password = HIDDEN in recorded.config and checksum(recorded.config.encode()) != then
    return bool(then and recorded.config) and not (held_password and not list(_changed_settings(run, recorded.config)))


def _changed_settings(run: Run, config: str) -> Iterator[Difference]:
    for name, now in sorted(_parameters(config).items()):
        then = run.params.get(name)
        if then is not None and then != now:
            yield Difference((names.CONFIG_ARTIFACT, name), then, now)


def _parameters(config: str) -> Mapping[str, str]:
    """Return the parameters that a config would be logged with, or none where it is no config any more."""
    try:
        read: Any = yaml.safe_load(config)
        return flat_parameters(read, {})
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}
