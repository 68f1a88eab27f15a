"""Classes and sizes of splits, as runs record them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lit_lossopt.core.errors import one_line

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_OF_STAGE = {"fit": ("train", "val", "test"), "validate": ("val",), "test": ("test",)}
_SHOWN, _KEPT, _NAME = 10, 100, 24


def data_line(class_names: Sequence[str], sizes: Mapping[str, int], stage: str) -> str:
    """Return the data that a command works with, in one line.

    >>> data_line(["cat", "dog"], {"train": 90, "val": 10}, "fit")
    'data: 2 classes (cat, dog); 90 training, 10 validation images'

    Args:
        class_names: names of the classes in use.
        sizes: split -> number of images, for the splits that are known.
        stage: fit, validate, test or predict.
    """
    classes = f"data: {len(class_names)} classes ({listed(class_names, _SHOWN)})"
    if stage == "predict":
        return f"{classes}; {sizes['predict']} images to predict"
    counts = [f"{sizes[split]} {_SPLITS[split]}" for split in _OF_STAGE[stage] if split in sizes]
    return f"{classes}; {', '.join(counts)} images"


def data_parameters(class_names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, int | str]:
    """Return the same as parameters of a run.

    >>> data_parameters(["cat", "dog"], {"train": 90})
    {'class_names': 'cat, dog', 'train_images': 90}
    """
    counts = {f"{split}_images": sizes[split] for split in _SPLITS if split in sizes}
    return {"class_names": listed(class_names, _KEPT), **counts}


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return the first names, and the number of others.

    Each is cut to a readable length.

    >>> listed(["cat", "dog", "frog"], 2)
    'cat, dog and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name, _NAME) for name in names[:most]) + more
