"""What a run says of its data.

It names the classes, and how many images each split has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lit_lossopt.core.errors import one_line

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_OF_STAGE = {"fit": ("train", "val", "test"), "validate": ("val",), "test": ("test",)}
_SHOWN, _KEPT, _NAME = 10, 100, 24


def data_line(class_names: Sequence[str], sizes: Mapping[str, int], stage: str) -> str:
    """Return what a command works with, in one line.

    Args:
        class_names: names of the classes in use.
        sizes: split -> number of images, of splits that are known.
        stage: fit, validate, test or predict.
    """
    classes = f"data: {len(class_names)} classes ({listed(class_names, _SHOWN)})"
    if stage == "predict":
        return f"{classes}; {sizes['predict']} images to predict"
    counts = [f"{sizes[split]} {_SPLITS[split]}" for split in _OF_STAGE[stage] if split in sizes]
    return f"{classes}; {', '.join(counts)} images"


def data_parameters(class_names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, int | str]:
    """Return the summary as parameters of a run.

    They are class_names, train_images, val_images and test_images.
    """
    counts = {f"{split}_images": sizes[split] for split in _SPLITS if split in sizes}
    return {"class_names": listed(class_names, _KEPT), **counts}


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return the first names and how many more there are.

    Each name is cut to a readable length.

    >>> listed(["cat", "dog", "frog"], 2)
    'cat, dog and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name, _NAME) for name in names[:most]) + more
