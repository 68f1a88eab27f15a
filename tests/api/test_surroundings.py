"""What a training leaves of its process: everything as it was, whatever came of it."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_lossopt import Comparison, Run, UserError, fit
from tests.api.test_api import IMAGES, LABELS, SHORT, Net
from tests.conftest import FinishedRun

LONGER: Any = {"trainer.max_epochs": 1, "threads": 1, "data.batch_size": 4, "probe.images": 0}


class Troubled(Net):
    """A network that meets something in the middle of its training, when it is called for the twentieth time."""

    calls = 0
    trouble: Callable[[], None]

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs."""
        Troubled.calls += 1
        if Troubled.calls == 20:
            self.trouble()
        return super().forward(images)


def surroundings() -> dict[str, Any]:
    """Return what belongs to the process and to nobody in it."""
    numpy_state = np.random.get_state()  # noqa: NPY002  # what a person may still use
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.get_rng_state().tolist(),
        "numpy": [str(part) for part in numpy_state],
        "random": random.getstate(),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "streams": (sys.stdout, sys.stderr),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "path": list(sys.path),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def boom() -> None:
    raise LookupError("in the middle")


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


ENDINGS: dict[str, tuple[dict[str, Any], type[BaseException] | None]] = {
    "done": ({"network": Net}, None),
    "a mistake": ({"network": Net, "trainer.max_epochs": "many"}, UserError),
    "an error": ({"network": type("Boom", (Troubled,), {"trouble": staticmethod(boom)})}, LookupError),
    "Ctrl-C": ({"network": type("Stopped", (Troubled,), {"trouble": staticmethod(ctrl_c)})}, KeyboardInterrupt),
}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_process_is_left_as_it_was(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings, raised = ENDINGS[ending]
    torch.set_num_threads(2)
    fit(data=(IMAGES, LABELS), network=Net, **SHORT)
    before = surroundings()
    for quiet in (True, False):
        Troubled.calls = 0
        if raised is None:
            fit(data=(IMAGES, LABELS), quiet=quiet, **{**LONGER, **settings})
        else:
            with pytest.raises(raised):
                fit(data=(IMAGES, LABELS), quiet=quiet, **{**LONGER, **settings})
    after = surroundings()
    assert [name for name in before if before[name] != after[name]] == []
    if ending == "Ctrl-C":
        said = capsys.readouterr().err
        assert "go on with the same call, and also\n  ckpt_path='mlruns/" in said
        assert "lossopt fit" not in said


@pytest.mark.usefixtures("store")
def test_trainings_of_several_threads_and_of_a_loop_are_those_of_one() -> None:
    alone = fit(data=(IMAGES, LABELS), network=Net, seed=5, **SHORT).losses
    found: dict[int, Any] = {}

    def train(number: int) -> None:
        found[number] = fit(data=(IMAGES, LABELS), network=Net, seed=number, quiet=True, **SHORT).losses

    threads = [threading.Thread(target=train, args=(seed,)) for seed in (4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def in_a_loop() -> None:
        train(5)

    np.testing.assert_array_equal(found[5], alone)
    asyncio.run(in_a_loop())
    np.testing.assert_array_equal(found[5], alone)
    assert len(found) == 2
    assert not np.array_equal(found[4], alone)


def test_a_run_can_be_kept_and_copied_and_stays_as_it_is(in_its_store: FinishedRun) -> None:
    run = Run.read(in_its_store.run_id)
    for twin in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):  # noqa: S301  # our own
        assert (twin.run_id, twin.params, twin.tags) == (run.run_id, run.params, run.tags)
        np.testing.assert_array_equal(twin.losses, run.losses)
    assert len({run, run}) == 1
    for held in (run.params, run.tags, run.metrics, run.histories):
        with pytest.raises(TypeError):
            held["other"] = "x"  # type: ignore[index]


ODD: dict[str, str] = {"a folder": "folder", "nothing": "", "below a file": "file/page.html", "too long": "x" * 300}


@pytest.mark.parametrize("place", ODD)
def test_a_page_that_cannot_be_written_is_one_line(place: str, in_its_store: FinishedRun) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    run = Run.read(in_its_store.run_id)
    with pytest.raises(UserError, match=r"^save '.*': cannot be written: ") as error:
        run.save(ODD[place])
    assert ".part" not in str(error.value)
    run.save("new/folder/page.html")
    assert "<title>" in Path("new/folder/page.html").read_text(encoding="utf-8")


def test_a_comparison_gives_nothing_away_that_changes_it(compared: tuple[Path, Comparison]) -> None:
    _, found = compared
    run = found.arms[0].trials[0].run
    for held in (run.params, run.tags, run.histories):
        with pytest.raises(TypeError):
            held["other"] = "x"  # type: ignore[index]
    assert not hasattr(found, "shown")
    assert pickle.loads(pickle.dumps(found)).words == found.words  # noqa: S301  # our own
