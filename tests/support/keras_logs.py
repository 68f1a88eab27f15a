"""A training by real Keras that keeps all of its logs: ``python -m tests.support.keras_logs FOLDER``.

It is a process of its own, because TensorFlow takes the threads of the process that it is loaded into.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np


def train(folder: Path, optimizer: str, seed: int) -> None:
    """Train for four epochs, with CSVLogger, TensorBoard's callback and the history as JSON."""
    import keras

    keras.utils.set_random_seed(seed)
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(64, 4)).astype(np.float32)
    targets = (inputs.sum(1) > 0).astype(np.int64)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    name = f"{optimizer}_{seed}"
    (folder / "csv").mkdir(exist_ok=True)
    callbacks = [
        keras.callbacks.CSVLogger(str(folder / "csv" / f"{name}.csv")),
        keras.callbacks.TensorBoard(str(folder / "tensorboard" / name), write_graph=False),
    ]
    fitted = model.fit(inputs, targets, 8, 4, verbose=0, callbacks=callbacks, validation_data=(inputs, targets))
    (folder / "json" / name).mkdir(parents=True)
    with (folder / "json" / name / "history.json").open("w", encoding="utf-8") as file:
        json.dump(fitted.history, file)


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    for one in ("sgd", "adam"):
        for number in range(3):
            train(Path(sys.argv[1]), one, number)
