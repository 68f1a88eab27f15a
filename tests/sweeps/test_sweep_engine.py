"""Trials on this machine: killed, failing, stopped; what an engine makes of each, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.killing.waiting import LONGEST, wait_until
from benchmarks.killing.zygote import Zygote, alive, wait_until_dead
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.engines import scheduling
from lit_lossopt.sweeps.engines.gpu_slots import worker_environments
from lit_lossopt.sweeps.engines.interruption import Interrupted
from lit_lossopt.sweeps.engines.local import LocalEngine
from lit_lossopt.sweeps.trial import Outcome, Progress, Resources, Trial
from tests.support.forked import THIS


class Told:
    """An engine whose trials do what they are told, and all that was seen of it."""

    def __init__(self, *words: str, done: Sequence[str] = (), seconds: float | None = None, workers: int = 2) -> None:
        self.trials = [Trial(f"{n}", tuple(text.split()), "arm", "grid", n, {}) for n, text in enumerate(words)]
        self.engine = LocalEngine(Resources(workers=workers), seconds, command=f"{THIS}:as_told", rehearsal="")
        self.done = done
        self.asked: list[str] = []
        self.seen: list[Progress] = []

    def outcomes(self) -> Iterator[Outcome]:
        yield from self.engine.run(self.trials, self.seen.append, self._is_done)

    def by_words(self) -> dict[str, Outcome]:
        found = list(self.outcomes())
        assert len(found) == len(self.trials)
        return {" ".join(outcome.trial.words): outcome for outcome in found}

    def _is_done(self, trial: Trial) -> bool:
        self.asked.append(" ".join(trial.words))
        return self.asked[-1] in self.done

    def wait_for(self, *logs: str) -> list[int]:
        """Wait until trials have begun; return their processes."""
        wait_until(lambda: all(Path(log).is_file() and Path(log).read_text() for log in logs))
        return [int(Path(log).read_text().splitlines()[-1].split()[0]) for log in logs]


def test_a_trial_that_fails_is_recorded_and_the_rest_goes_on() -> None:
    told = Told("exit 0", "exit 3", "exit 2", "crash 0", "exit 0 again")
    found = told.by_words()
    assert {words: (o.status, o.attempts) for words, o in found.items()} == {
        "exit 0": (0, 1), "exit 3": (3, 1), "exit 2": (2, 1), "crash 0": (1, 1), "exit 0 again": (0, 1),
    }  # fmt: skip
    assert not told.asked
    assert found["exit 0"].said == "exit 0"
    # Of a failed one all that it said is kept, and where.
    kept = {path.name for path in Path(names.OUTPUT_FOLDER).iterdir()}
    assert kept == {"2.txt", "3.txt"}
    assert found["crash 0"].said == "RuntimeError: on purpose (all that it said: mlruns/output/3.txt)"
    assert "in crash" in Path("mlruns/output/3.txt").read_text()


def test_a_killed_trial_is_tried_again_at_most_twice_and_goes_on_from_its_checkpoint() -> None:
    told = Told("killed 1", "killed 2", "killed 3", "exit 0")
    found = told.by_words()
    assert {words: (o.status, o.attempts) for words, o in found.items()} == {
        "killed 1": (0, 2), "killed 2": (0, 3), "killed 3": (-9, 3), "exit 0": (0, 1),
    }  # fmt: skip
    attempts = [line.split()[2:] for line in Path("killed2.log").read_text().splitlines()]
    assert attempts == [[], ["--resume=auto"], ["--resume=auto"]]


def test_kills_under_earlier_sweeps_count() -> None:
    told = Told("killed 3")
    told.trials = [dataclasses.replace(trial, kills=2) for trial in told.trials]
    found = told.by_words()["killed 3"]
    assert (found.status, found.attempts) == (-9, 3)
    assert len(Path("killed3.log").read_text().splitlines()) == 1


def test_a_trial_that_the_store_has_is_not_tried_again() -> None:
    told = Told("killed 3", "killed 1", done=["killed 3"])
    found = told.by_words()
    assert (found["killed 3"].status, found["killed 3"].attempts) == (0, 1)
    assert (found["killed 1"].status, found["killed 1"].attempts) == (0, 2)
    assert sorted(told.asked) == ["killed 1", "killed 3"]


def test_trials_of_a_killed_server_are_tried_again_by_another() -> None:
    told = Told("waits 1", "waits 2", "exit 0")
    outcomes = threading.Thread(target=lambda: found.extend(told.outcomes()))
    found: list[Outcome] = []
    outcomes.start()
    first = told.wait_for("waits1.log", "waits2.log")
    (server,) = {parent_of(process) for process in first}
    os.kill(server, signal.SIGKILL)
    outcomes.join(LONGEST)
    assert not wait_until_dead([server, *first])
    attempts = {" ".join(outcome.trial.words): outcome.attempts for outcome in found}
    assert attempts == {"waits 1": 2, "waits 2": 2, "exit 0": 1}


def test_one_server_serves_every_call_and_ends_with_its_engine() -> None:
    told = Told("exit 0", "exit 0 again")
    for _ in range(2):
        told.by_words()
    lines = Path("exit0.log").read_text().splitlines()
    (server,) = {int(line.split()[1]) for line in lines}
    assert len(lines) == 4
    assert alive(server)
    del told
    gc.collect()
    assert not wait_until_dead([server])


def test_a_server_that_dies_with_nothing_to_do_costs_no_attempt() -> None:
    told = Told("exit 0", "exit 0 again")
    told.by_words()
    server = int(Path("exit0.log").read_text().splitlines()[0].split()[1])
    os.kill(server, signal.SIGKILL)
    assert not wait_until_dead([server])
    told.trials = [dataclasses.replace(trial, kills=2) for trial in told.trials]
    assert {(outcome.status, outcome.attempts) for outcome in told.by_words().values()} == {(0, 3)}


def test_configs_of_the_working_folder_are_no_matter_of_the_server(zygote: Zygote, tmp_path: Path) -> None:
    for name in ("digits.yaml", "sgd.yaml"):
        Path(name).write_text("sweep: {}\n")
    output = tmp_path / "output.txt"
    # As the server does when it begins, in a process that has imported everything already.
    assert zygote.wait(zygote.call("tests.support.writers:rehearse_again", [], tmp_path, output)) == 0, (
        output.read_text()
    )


def test_a_server_that_cannot_begin_is_one_line() -> None:
    engine = LocalEngine(Resources(workers=1), rehearsal="nowhere:nothing")
    with pytest.raises(UserError, match=r"cannot begin: exit status 1: ModuleNotFoundError"):
        list(engine.run(Told("exit 0").trials, lambda _: None, lambda _: False))


def test_a_trial_that_takes_too_long_is_stopped_and_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "PATIENCE", 0.3)
    found = Told("sleep 0", "deaf 0", "exit 0", seconds=4).by_words()
    assert {words: (o.status, o.attempts) for words, o in found.items()} == {
        "sleep 0": (-15, 1), "deaf 0": (-9, 1), "exit 0": (0, 1),
    }  # fmt: skip
    assert "stopped after 4 seconds, more than a trial may take; it said: sleep 0" in found["sleep 0"].said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_running_trials_and_starts_no_other(number: int, status: int) -> None:
    told = Told("sleep 1", "saves 2", "exit 0")
    before = signal.getsignal(number)
    processes: list[int] = []

    def interrupt() -> None:
        processes.extend(told.wait_for("sleep1.log", "saves2.log"))
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted) as stopped:
        list(told.outcomes())
    assert stopped.value.status == status
    assert not wait_until_dead(processes)
    assert Path("saved").exists()
    assert not Path("exit0.log").exists()
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_ends_deaf_trials_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # What would end them otherwise comes when this test is over.
    monkeypatch.setattr(scheduling, "PATIENCE", 2 * LONGEST)
    told = Told("deaf 1")
    processes: list[int] = []

    def interrupt() -> None:
        processes.extend(told.wait_for("deaf1.log"))
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(told.outcomes())
    assert not wait_until_dead(processes)


def test_a_consumer_that_leaves_ends_what_runs() -> None:
    told = Told("exit 0", "saves 1", "sleep 2")
    for _ in told.outcomes():
        processes = told.wait_for("saves1.log")
        break
    assert not wait_until_dead(processes)
    assert Path("saved").exists()


def test_as_many_trials_run_at_once_as_there_are_workers_and_each_is_watched() -> None:
    told = Told(*[f"exit 0 {n}" for n in range(9)], workers=3)
    told.by_words()
    running: dict[int, Trial | None] = {}
    most = 0
    for progress in told.seen:
        running[progress.worker] = progress.trial
        most = max(most, sum(trial is not None for trial in running.values()))
    assert most == 3
    assert running == {0: None, 1: None, 2: None}
    assert {p.trial.words for p in told.seen if p.trial} == {trial.words for trial in told.trials}


def test_each_worker_sees_its_share_of_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")

    def seen(workers: int, gpus: float) -> list[str]:
        return [given["CUDA_VISIBLE_DEVICES"] for given in worker_environments(Resources(workers, 1, gpus))]

    assert seen(0, 1) == ["4", "7"]
    assert seen(0, 0.5) == ["4", "4", "7", "7"]
    assert seen(3, 1 / 3) == ["4", "4", "4"]
    assert seen(0, 2) == ["4,7"]
    assert seen(3, 0) == ["", "", ""]
    with pytest.raises(UserError, match="2 GPUs have room for 2; take fewer workers or a smaller share"):
        seen(3, 1)
    with pytest.raises(UserError, match="more than the 2 GPUs that are visible here"):
        seen(1, 3)
    with pytest.raises(UserError, match=r"a share of one GPU, as 0\.5, or whole ones"):
        seen(1, 1.5)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
