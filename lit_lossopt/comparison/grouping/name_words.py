"""The words of a parameter's or metric's name.

Programs spell them in different ways.
"""

from __future__ import annotations

import re


def words_of(name: str) -> list[str]:
    """Return the words of a name.

    ``randomSeed``, ``Random Seed`` and ``random-seed`` have the same two.

    >>> words_of("hydra.job.num"), words_of("RNGSeed_2")
    (['hydra', 'job', 'num'], ['rng', 'seed', '2'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", spaced.lower())


def last_part(name: str) -> str:
    """Return what stands behind the last dot, slash or double underscore.

    >>> last_part("clf__seed")
    'seed'
    """
    return re.split(r"[./]|__", name)[-1]


def spelled(name: str) -> str:
    """Return the last part of a name in one spelling.

    >>> spelled("optimizer.learningRate")
    'learning_rate'
    """
    return "_".join(words_of(last_part(name)))


def is_number(text: str) -> bool:
    """Return True if a text spells a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
