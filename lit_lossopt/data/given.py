"""Images that a Python program has handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import given as handed_over
from lit_lossopt.data.arrays import ArrayDataModule
from lit_lossopt.data.image_data import ImageDataModule


class GivenData(ImageDataModule):
    """Stands in a config for images that were handed over from Python.

    Args:
        given: the key of the object: images and labels, or a data module.
        **options: those of ``ImageDataModule``. A data module has its own already.

    Raises:
        UserError: nothing was handed over under the key in this process, or a data module has another seed.
    """

    def __new__(cls, given: str, **options: Any) -> ImageDataModule:  # type: ignore[misc]  # it is the object itself
        """Return the data module itself."""
        value = handed_over(given).value
        if not isinstance(value, ImageDataModule):
            return _of_arrays(value, options)
        seed = options.get("seed", value.seed)
        if value.seed != seed:
            raise UserError(
                f"data: the data module was built with seed {value.seed}, and the run has seed {seed}; build it with "
                f"seed={seed}, or give images and labels"
            )
        return value

    def __init__(self, given: str, **options: Any) -> None:
        # Never called where the object is of another class. Parsers read its arguments.
        del given
        super().__init__(**options)


def _of_arrays(arrays: Sequence[Any], options: Mapping[str, Any]) -> ArrayDataModule:
    # Apart, because a parser that reads the class above would ask for the arrays.
    return ArrayDataModule(*arrays, **options)
