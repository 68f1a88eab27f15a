"""Images that a Python program has handed over."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import given as handed_over
from lit_lossopt.core.given import name_of
from lit_lossopt.data.arrays import ArrayDataModule
from lit_lossopt.data.image_data import ImageDataModule

_ARRAYS = (2, 4)


class _ItsData(ImageDataModule):
    """Is the data module that was handed over, and not one of its own class.

    It is the base of the class below, because a parser reads the arguments of ``__new__`` where a class has its own.
    """

    def __new__(cls, given: str, **options: Any) -> ImageDataModule:  # type: ignore[misc]  # it is the object itself
        value = handed_over(given).value
        if isinstance(value, tuple | list) and len(value) in _ARRAYS:
            return ArrayDataModule(*value, **options)
        if callable(value):
            value = _made_by(value, options)
        if not isinstance(value, ImageDataModule):
            raise UserError(
                f"data: {name_of(value)} is no data of this package; give (images, labels), a data module such as "
                "lit_lossopt.data.ArrayDataModule, or a class or function that makes one"
            )
        _check_seed(value, options.get("seed", value.seed))
        return value


class GivenData(_ItsData):
    """Stands in a config for images that were handed over from Python.

    Args:
        given: the key of the object: images and labels, a data module, or a class or function that makes one.
        **options: those of ``ImageDataModule``. A data module has its own already. A function gets those that it takes.

    Raises:
        UserError: nothing was handed over under the key in this process, it is none of these, or a data module has
            another seed.
    """

    def __init__(self, given: str, **options: Any) -> None:
        # Never called where the object is of another class. Parsers read its arguments.
        del given
        super().__init__(**options)


def _check_seed(data: ImageDataModule, seed: int) -> None:
    """Refuse a data module that has another seed than the run.

    Raises:
        UserError: it has.
    """
    if data.seed != seed:
        raise UserError(
            f"data: the data module was built with seed {data.seed}, and the run has seed {seed}; build it with "
            f"seed={seed}, or give images and labels, or a function from seed to a data module"
        )


def _made_by(function: Any, options: Mapping[str, Any]) -> Any:
    accepted = inspect.signature(function).parameters
    everything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values())
    return function(**{name: value for name, value in options.items() if everything or name in accepted})
