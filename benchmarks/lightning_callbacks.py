"""Every callback that Lightning exports, tried as a person would type it: it works, or one line says why not.

A callback that works is given to a training of three epochs of the embedded digits, once undisturbed and once killed
(SIGKILL) in the first epoch and late in the second. Weights, states and every logged value must be the same in the end.

Run: ``python -m benchmarks.lightning_callbacks`` (some minutes on two cores).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, write_json
from benchmarks.killing.attempts import OFTEN, Attempts, assert_equal
from benchmarks.killing.zygote import Zygote

# What each needs to be told; the rest need nothing.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "BackboneFinetuning": (),
    "BaseFinetuning": (),
    "BasePredictionWriter": (),
    "BatchSizeFinder": (),
    "Callback": (),
    "Checkpoint": (),
    "DeviceStatsMonitor": (),
    "EMAWeightAveraging": ("decay=0.9",),
    "EarlyStopping": ("monitor=val/loss",),
    "GradientAccumulationScheduler": ("scheduling={0: 1, 1: 3}",),
    "LambdaCallback": ("on_train_epoch_end=benchmarks.killing.pause.nothing",),
    "LearningRateFinder": (),
    "LearningRateMonitor": (),
    "ModelCheckpoint": ("dirpath=mine", "monitor=val/loss"),
    "ModelPruning": ("pruning_fn=l1_unstructured",),
    "ModelSummary": (),
    "OnExceptionCheckpoint": ("dirpath=mine",),
    "ProgressBar": (),
    "RichModelSummary": (),
    "RichProgressBar": (),
    "SpikeDetection": (),
    "StochasticWeightAveraging": ("swa_lrs=0.01",),
    "TQDMProgressBar": (),
    "ThroughputMonitor": ("batch_size_fn=lit_lossopt.data.batches.batch_length",),
    "Timer": ("duration=00:01:00:00",),
    "WeightAveraging": (),
}


def words_of(name: str) -> list[str]:
    """Return what is typed for a callback."""
    return [f"--trainer.callbacks+={name}", *(f"--trainer.callbacks.{word}" for word in NEEDED[name])]


def try_callback(name: str, zygote: Zygote, folder: Path) -> dict[str, Any]:
    """Return what came of a callback: whether it works, what was said, and whether it resumes to the bit."""
    words = [*words_of(name), "--config=adam", OFTEN]
    whole = Attempts(zygote, folder / "whole", *words)
    status = whole.finish()
    said = whole.output.read_text().strip().splitlines()
    row = {"name": name, "words": " ".join(words_of(name)), "status": status}
    if status:
        return {**row, "said": said[-1], "lines": len(said), "a run was made": any(whole.folder.rglob("*.ckpt"))}
    killed = Attempts(zygote, folder / "killed", *words)
    kills = [killed.kill_at("batch", 6), killed.kill_at("batch", 9, "--ckpt_path=last")]
    ended = killed.finish("--ckpt_path=last")
    try:
        assert_equal(killed.folder, whole.folder)
    except AssertionError as error:
        return {**row, "kills": sum(kills), "ended": ended, "same": False, "said": str(error)[:200]}
    return {**row, "kills": sum(kills), "ended": ended, "same": all(kills) and ended == 0}


def main() -> None:
    """Try all of them, or those that are named, and write ``results/lightning_callbacks.json``."""
    from mlflow.tracking import MlflowClient

    folder, zygote = Path(tempfile.mkdtemp()), Zygote()
    Attempts.store = folder / "mlflow.db"
    MlflowClient(f"sqlite:///{Attempts.store}").search_experiments()
    rows = []
    try:
        for name in sys.argv[1:] or NEEDED:
            (folder / name).mkdir()
            rows.append(try_callback(name, zygote, folder / name))
            print(rows[-1], flush=True)
    finally:
        zygote.close()
        shutil.rmtree(folder)
    command = "python -m benchmarks.lightning_callbacks"
    if not sys.argv[1:]:
        print(write_json("lightning_callbacks", {"machine": machine(), "command": command, "rows": rows}))


if __name__ == "__main__":
    main()
