"""Names of folders that hold a split, such as train, Training, test_set, val2017."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

SplitName = Literal["train", "val", "test"]

_WORDS: dict[SplitName, str] = {
    "train": "train|training|trn",
    "val": "val|valid|validate|validating|validation|dev|devel|development",
    "test": "test|testing|tests|tst",
}
# Words beside a split's name that add nothing, as in "dataset_train", "Test Images", "val2017".
_BESIDE = r"(?:the|my|data|dataset|image|images|img|imgs|picture|pictures|photo|photos|set|sets|split|folder|\d+)*"
_SPLITS = {split: re.compile(f"{_BESIDE}(?:{words}){_BESIDE}") for split, words in _WORDS.items()}
_MENTIONS = {split: re.compile(f"(?:{words})(?:set|data)?") for split, words in _WORDS.items()}


def split_of(name: str) -> SplitName | None:
    """Return the split that a folder of this name holds.

    The result is None if it holds none.

    >>> [split_of(name) for name in ("Train", "testing", "Validation_set", "val2017", "tram")]
    ['train', 'test', 'val', 'val', None]
    """
    letters = re.sub(r"[\W_]+", "", name).lower()
    return next((split for split, pattern in _SPLITS.items() if pattern.fullmatch(letters)), None)


def mentioned_split(name: str) -> SplitName | None:
    """Return the split that one of a name's words names.

    The result is None if none does.

    >>> [mentioned_split(name) for name in ("trainA", "test-cats", "cats_val", "contest")]
    ['train', 'test', 'val', None]
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    splits = (split for word in words for split, pattern in _MENTIONS.items() if pattern.fullmatch(word.lower()))
    return next(splits, None)


def splits_among(names: Iterable[str]) -> dict[SplitName, list[str]]:
    """Return split -> the names of folders that hold it, sorted.

    Splits without a folder are left out.

    >>> splits_among(["testing", "train", "images"])
    {'test': ['testing'], 'train': ['train']}
    """
    folders: dict[SplitName, list[str]] = {}
    for name in sorted(names):
        split = split_of(name)
        if split:
            folders.setdefault(split, []).append(name)
    return folders
