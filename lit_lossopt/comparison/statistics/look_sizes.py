"""With how many seeds a race is looked at.

Nothing heavy is imported, because plans are checked by these numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

FIRST_LOOKS = (3, 4, 6, 8, 12, 16, 24, 32)


def look_sizes() -> Iterator[int]:
    """Give the numbers of seeds at which one looks, without end.

    Behind the first ones they go on in the same way, by a half and by a third more in turn.

    >>> list(itertools.islice(look_sizes(), 11))
    [3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96]
    """
    yield from FIRST_LOOKS
    size = FIRST_LOOKS[-1]
    for part in itertools.cycle((2, 3)):
        size += size // part
        yield size


def looks_up_to(most: int) -> tuple[int, ...]:
    """Return the looks of at most so many seeds.

    >>> looks_up_to(8)
    (3, 4, 6, 8)
    """
    return tuple(itertools.takewhile(lambda size: size <= most, look_sizes()))
