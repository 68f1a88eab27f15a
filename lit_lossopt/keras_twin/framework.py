"""TensorFlow and Keras, imported only where they are asked for."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.imports import uncollected
from lit_lossopt.core.quiet import set_default_variables

EXTRA = "pip install 'lit_lossopt[tensorflow]'"


def need_tensorflow(command: str) -> None:
    """Refuse to go on where TensorFlow is not there. It is not imported for this.

    Args:
        command: that asks, for the message.

    Raises:
        UserError: it is not installed, or Keras is told to use another framework.
    """
    missing = [name for name in ("tensorflow", "keras") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{command}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; {EXTRA}"
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND={backend}: {command} is about TensorFlow; take KERAS_BACKEND=tensorflow, or unset it"
        )


def load_tensorflow(command: str) -> None:
    """Import TensorFlow, which writes to the terminal while it is loaded, out of sight.

    It comes before everything that imports it by itself.

    Args:
        command: that asks, for the message.

    Raises:
        UserError: Keras uses another framework.
    """
    set_default_variables(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    with _native_errors_hidden(), uncollected():
        import keras
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"{command}: Keras runs on {keras.backend.backend()}, as the file ~/.keras/keras.json says; take "
            "KERAS_BACKEND=tensorflow"
        )


def start_tensorflow(threads: int, *, double: bool = False) -> None:
    """Let TensorFlow compute the same twice.

    It keeps the threads of the first call in a process, and says so.

    Args:
        threads: for one operation; operations run one after another.
        double: whether it is going to compute in double precision.
    """
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, enable=True)
    except RuntimeError:
        # It has computed something already: a second training in one process.
        print(f"lossopt: TensorFlow keeps its threads in this process; {threads} were asked for", file=sys.stderr)
    tf.config.experimental.enable_op_determinism()
    # It fuses operations of 32 bits, and complains of each of 64 bits on the standard error.
    tf.config.optimizer.set_experimental_options({"remapping": not double})
    with _native_errors_hidden():
        # The first operation tells what the processor could do besides.
        tf.zeros(1)


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Let Keras make variables and layers of a type within a block, such as an optimizer's learning rate."""
    import keras

    # The policy of layers does not follow the other once there is a layer.
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


@contextmanager
def _native_errors_hidden() -> Iterator[None]:
    """Hide what native code writes while it is loaded. It does not ask Python where to."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        # A process without a standard error shows nothing.
        yield
        return
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
