"""How long a sweep may take, or a part of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLimit:
    """When time is up.

    Attributes:
        end: on the monotonic clock.
        words: what the limit is, as ``the plan's 30 minutes``.
    """

    end: float = math.inf
    words: str = ""

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() > self.end


def limit_of(minutes: float | None, whose: str) -> TimeLimit:
    """Return a limit that begins now.

    Args:
        minutes: None is no limit.
        whose: as ``the plan's``.
    """
    return TimeLimit(time.monotonic() + 60 * minutes, f"{whose} {minutes:g} minutes") if minutes else TimeLimit()
