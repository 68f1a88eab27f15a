"""A signal at any moment: the state is saved, and training goes on from it as if nothing had come between."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from benchmarks.killing.attempts import EVERYTHING, RUN, assert_equal
from benchmarks.killing.pause import MARK, MOMENT, SIGNAL
from lit_lossopt.__main__ import main

# A validation of two batches at the end of each epoch of eight steps, and the last one behind the end of training.
KINDS = {
    "epochs": [*RUN, *EVERYTHING, "--trainer.val_check_interval=8"],
    "within": [*RUN, *EVERYTHING],
    "steps": [*RUN, *EVERYTHING, "--trainer.max_epochs=-1", "--trainer.max_steps=21"],
}
MOMENTS = [
    *[("epochs", "batch", count) for count in (1, 7, 8, 9, 16, 24)],
    *[("epochs", "validation", count) for count in (3, 5, 7)],
    *[("within", "batch", count) for count in range(1, 25)],
    *[("within", "validation", count) for count in range(3, 14, 2)],
    *[("steps", "batch", count) for count in (19, 20, 21)],
    *[("steps", "validation", count) for count in (11, 13)],
]
FEW = [("epochs", "batch", 8), ("steps", "validation", 13)]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Callable[[str], Path]:
    """Return what returns, for each kind, the folder of a run that nothing disturbs."""

    @cache
    def folder_of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(MOMENT, raising=False)
            assert run_in(folder, kind, empty_store, patch) == 0
        return folder

    return folder_of


def run_in(folder: Path, kind: str, empty_store: Path, patch: pytest.MonkeyPatch, *more: str) -> int:
    if not (folder / "mlflow.db").exists():
        shutil.copy(empty_store, folder / "mlflow.db")
    patch.chdir(folder)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    words = [
        *KINDS[kind],
        "--trainer.enable_progress_bar=false",
        "--trainer.callbacks+=benchmarks.killing.pause.PauseAt",
    ]
    return main([*words, *more])


@pytest.mark.parametrize(
    ("kind", "moment", "count"), [pytest.param(*one, marks=() if one in FEW else pytest.mark.slow) for one in MOMENTS]
)
def test_a_signal_at_any_moment_saves_and_training_goes_on_from_there(
    kind: str,
    moment: str,
    count: int,
    undisturbed: Callable[[str], Path],
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv(MOMENT, f"{moment}:{count}")
    monkeypatch.setenv(SIGNAL, str(int(signal.SIGTERM)))
    assert run_in(folder, kind, empty_store, monkeypatch) == 143
    assert (folder / MARK).exists()
    monkeypatch.delenv(MOMENT)
    assert run_in(folder, kind, empty_store, monkeypatch, "--resume=auto") == 0
    assert "attempt 2" in capsys.readouterr().out
    assert_equal(folder, undisturbed(kind))
