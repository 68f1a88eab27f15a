"""Keras runs on TensorFlow here, and quietly."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from lit_lossopt.keras_twin.framework import load_tensorflow, start_tensorflow

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The first to start it decides for the whole process.
    if importlib.util.find_spec("tensorflow"):
        load_tensorflow("tests")
        start_tensorflow(1)


@pytest.fixture
def double() -> Iterator[None]:
    """Let Keras make its own variables, such as a learning rate, in float64."""
    pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")
    from lit_lossopt.keras_twin.framework import precision

    with precision("float64"):
        yield
