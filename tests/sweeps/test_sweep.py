"""The protocol of a sweep over real runs in a real store: what is run, what is not run again, and what is said."""

from __future__ import annotations

import fcntl
import math
import os
import re
import shlex
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.command import sweep
from lit_lossopt.sweeps.engines.in_process import InProcessEngine
from lit_lossopt.sweeps.engines.interruption import Interrupted, raised_sigterm
from lit_lossopt.sweeps.lock import alone
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.plan.points import LEARNING_RATE
from lit_lossopt.sweeps.protocol import Sweep, begin
from lit_lossopt.sweeps.summary import summary
from lit_lossopt.sweeps.trial import Engine, Outcome, Trial, Watch
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs
from lit_lossopt.tracking.sweeps import SweepRuns
from tests.support.plans import CurveEngine, kill_with_its_family, log_curve, plan, wait_to_be_killed, write_plan

pytestmark = pytest.mark.usefixtures("store")
# A trial that gets Ctrl-C in its first step.
OUTPUT = Path("output.txt")
INTERRUPTING = ["--trainer.callbacks+=tests.sweeps.test_sweep.Interrupts", "--threads=1"]


class Interrupts(pl.Callback):
    def on_train_batch_start(self, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def hill(top: float, height: float = 0.9) -> Callable[[Trial], float]:
    """Return an accuracy that is highest at a learning rate, and a little different for each seed."""
    return lambda trial: height - 0.1 * abs(math.log10(trial.point[LEARNING_RATE] / top)) + trial.seed / 1000


def run(read: Plan, engine: Engine) -> tuple[int, Sweep, list[str]]:
    """Run a sweep; return its status, itself, and what it said."""
    said: list[str] = []
    runs = SweepRuns(read.experiment, read.name)
    begin(read, runs, said.append)
    sweep = Sweep(read, runs, engine, lambda _: None, said.append)
    status = sweep.run()
    runs.end("FINISHED", {})
    return status, sweep, [*said, *summary(sweep)]


def in_a_process(zygote: Zygote, function: str, *arguments: Any) -> int:
    """Return the process in which a function is called, in this test's folder and store."""
    environment = {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}
    return zygote.call(function, arguments, Path.cwd(), OUTPUT.absolute(), environment)


def train_apart(zygote: Zygote, trial: Trial, *, whole: bool = False, patience: float = 30.0) -> int:
    """Return the process that logs a trial's run, and its end if it is whole, and waits to be killed."""
    words = [trial.arm, trial.seed, trial.point[LEARNING_RATE], list(trial.tracking), whole, patience]
    return in_a_process(zygote, "tests.support.plans:leave_curve", *words)


def trials_of(experiment: str = "plan") -> list[Run]:
    return [run for run in read_runs(experiment) if names.TAG_PHASE in run.tags]


def test_the_best_of_each_arm_is_repeated_with_fresh_seeds() -> None:
    engine = CurveEngine(lambda trial: hill(0.01 if trial.arm == "sgd" else 0.0101)(trial))
    status, sweep, said = run(plan(seeds=3), engine)
    assert status == 0
    assert Counter(trial.phase for trial in engine.ran) == {"tuning": 6, "repeat": 6}
    again = [trial for trial in engine.ran if trial.phase == "repeat"]
    assert {(trial.arm, trial.point[LEARNING_RATE], trial.seed) for trial in again} == {
        (arm, 0.01, seed) for arm in ("sgd", "adam") for seed in (1, 2, 3)
    }
    assert "12 of 12 trials have results" in said
    parent = MlflowClient().get_run(sweep.runs.parent)
    assert parent.info.status == "FINISHED"
    for one in trials_of():
        assert one.tags[names.TAG_PARENT] == one.tags[names.TAG_SWEEP] == sweep.runs.parent
        assert one.tags[names.TAG_SWEEP_KEY] in sweep.trials


def test_each_run_keeps_the_number_of_seeds_that_was_planned_when_it_began() -> None:
    """A comparison tells by it whether seeds were added, or whether a sweep was only interrupted."""
    run(plan(seeds=2), CurveEngine(hill(0.01)))
    run(plan(seeds=4), CurveEngine(hill(0.01)))
    planned = Counter((one.tags[names.TAG_PHASE], one.tags[names.TAG_PLANNED_SEEDS]) for one in trials_of())
    assert planned == {("tuning", "1"): 6, ("repeat", "2"): 4, ("repeat", "4"): 4}


# Where each arm is best; the points that each arm gets, how often, and whether a best one is still at the edge then.
EXTENSIONS = [
    (0.01, 1, [0.001, 0.01, 0.1, 1, 10], 2, False),
    (0.01, 1e4, [0.001, 0.01, 0.1, 1, 10], 2, True),
    (0.001, 0.01, [1e-4, 0.001, 0.01, 0.1], 1, False),
    (0.001, 0.1, [1e-4, 0.001, 0.01, 0.1, 1], 1, False),
]


@pytest.mark.parametrize(("sgd", "adam", "rates", "times", "still"), EXTENSIONS)
def test_a_best_one_at_an_edge_extends_every_arm_alike(
    sgd: float, adam: float, rates: list[float], times: int, still: bool
) -> None:
    engine = CurveEngine(lambda trial: hill(sgd if trial.arm == "sgd" else adam)(trial))
    _, _, said = run(plan(seeds=1), engine)
    for arm in ("sgd", "adam"):
        tried = {trial.point[LEARNING_RATE] for trial in engine.ran if (trial.arm, trial.phase) == (arm, "tuning")}
        assert sorted(tried) == rates
    assert sum("every arm gets one more point there" in line for line in said) == times
    assert any("still lies at the edge" in line for line in said) == still


def test_without_extension_it_is_only_said() -> None:
    engine = CurveEngine(hill(10))
    _, _, said = run(plan(seeds=1, extend=0), engine)
    assert len(engine.ran) == 8
    assert any("still lies at the edge" in line for line in said)


@pytest.mark.parametrize("stops", [1, 7])
def test_an_interrupted_sweep_runs_exactly_what_is_missing(stops: int) -> None:
    first, second, third = CurveEngine(hill(0.01), stop_after=stops), CurveEngine(hill(0.01)), CurveEngine(hill(0.01))
    with pytest.raises(KeyboardInterrupt):
        run(plan(seeds=3), first)
    assert run(plan(seeds=3), second)[0] == 0
    keys = [trial.key for trial in (*first.ran, *second.ran)]
    assert len(first.ran) == stops
    assert len(keys) == len(set(keys)) == 12
    assert run(plan(seeds=3), third)[0] == 0
    assert third.ran == []
    assert len(read_runs("plan")) == 13


def test_a_diverged_trial_is_a_result_and_never_wins() -> None:
    engine = CurveEngine(lambda trial: None if trial.point[LEARNING_RATE] > 0.05 else hill(1)(trial))
    status, _, said = run(plan(seeds=1), engine)
    assert status == 0
    assert {trial.point[LEARNING_RATE] for trial in engine.ran if trial.phase == "repeat"} == {0.01}
    assert any(line.startswith("diverged, which is a result: 2: tuning sgd lr=0.1 seed=0") for line in said)
    again = CurveEngine(hill(1))
    run(plan(seeds=1), again)
    assert again.ran == []


def test_a_trial_that_crashes_is_recorded_the_rest_goes_on_and_the_same_command_tries_it_again() -> None:
    def accuracy(trial: Trial) -> float:
        if (trial.arm, trial.point[LEARNING_RATE]) == ("sgd", 0.001):
            raise RuntimeError("out of memory")
        return hill(0.01)(trial)

    status, _, said = run(plan(seeds=2), CurveEngine(accuracy))
    assert status == 1
    assert "9 of 10 trials have results" in said
    failed = "failed: tuning sgd lr=0.001 seed=0: exit 1: out of memory; by hand: lossopt fit --data=DigitsDataModule"
    assert any(line.startswith(failed) for line in said)
    assert said[-1] == "the same command runs what is missing"
    mended = CurveEngine(hill(0.01))
    assert run(plan(seeds=2), mended)[0] == 0
    assert [(trial.arm, trial.point[LEARNING_RATE]) for trial in mended.ran] == [("sgd", 0.001)]


class SilentEngine:
    """Ends every trial well, and logs nothing."""

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome."""
        for trial in trials:
            yield Outcome(trial, 0, 1, 0.1)


class StoppedEngine(CurveEngine):
    """Ends the first trial as ``fit`` ends when it is told to save: it took too long, or was stopped from outside."""

    def _status(self, trial: Trial) -> tuple[int, int, float, str]:
        return (143, 1, 60.0, "stopped after 60 seconds") if len(self.ran) == 1 else super()._status(trial)


def test_a_trial_that_was_stopped_has_failed_and_the_rest_goes_on() -> None:
    engine = StoppedEngine(hill(0.01))
    status, sweep, said = run(plan(seeds=1), engine)
    assert status == 1
    assert len(engine.ran) == 8
    (failed,) = sweep.failed
    assert failed == engine.ran[0].key
    assert any("(exit 143): stopped after 60 seconds" in line for line in said)


def stopped_in_its_first_trial() -> int:
    """Run the plan of ``test_what_a_person_stopped_was_not_killed``; called through the zygote."""
    read = plan(seeds=1)
    runs = SweepRuns("plan", "plan")
    begin(read, runs, print)

    def stopped(trial: Trial) -> float:
        log_curve(trial, 0.9, whole=False)
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        Sweep(read, runs, CurveEngine(stopped), lambda _: None, print).run()
    # Its journal stays open, as that of a trial that was killed when it did not end in time.
    return wait_to_be_killed()


def test_what_a_person_stopped_was_not_killed(zygote: Zygote) -> None:
    read = plan(seeds=1)
    for _ in range(3):
        runs = SweepRuns("plan", "plan")
        begin(read, runs, print)
        kill_with_its_family(zygote, in_a_process(zygote, f"{__name__}:stopped_in_its_first_trial"), OUTPUT)
        runs.settle(stopped=True)
    engine = CurveEngine(hill(0.01))
    status, _, said = run(read, engine)
    assert status == 0
    assert said[0] == "6 tuning trials to run"
    assert len(engine.ran) == 8
    assert not any("set aside" in line for line in said)


def test_a_trial_that_ends_well_without_a_run_has_failed() -> None:
    status, sweep, said = run(plan(seeds=1), SilentEngine())
    assert status == 1
    assert len(sweep.failed) == 6
    assert any("it ended, but the store has no run of it" in line for line in said)


def test_an_arm_that_was_chosen_without_a_point_is_told_last() -> None:
    def crashing(trial: Trial) -> float:
        if trial.phase == "tuning" and trial.arm == "adam" and trial.point[LEARNING_RATE] == 0.1:
            raise RuntimeError("no memory")
        return hill(0.01)(trial)

    status, sweep, _ = run(plan(seeds=1), CurveEngine(crashing))
    assert status == 1
    assert [line for line in summary(sweep) if "without" in line] == ["adam was chosen without lr=0.1, which failed"]


def test_an_arm_of_which_all_diverges_is_extended_downwards_and_not_repeated() -> None:
    engine = CurveEngine(lambda trial: None if trial.arm == "sgd" else hill(0.01)(trial))
    status, _, said = run(plan(seeds=2), engine)
    assert status == 0
    assert {trial.arm for trial in engine.ran if trial.phase == "repeat"} == {"adam"}
    assert min(trial.point[LEARNING_RATE] for trial in engine.ran) == 1e-05
    assert "sgd: no point of the search came to a sound end; it is not repeated" in said


def test_a_changed_plan_keeps_what_is_still_in_it_and_sets_the_rest_aside() -> None:
    run(plan(seeds=2), CurveEngine(hill(0.01)))
    before = {one.run_id for one in trials_of()}
    engine = CurveEngine(hill(0.01))
    _, sweep, said = run(plan(seeds=3, factors={"optimizer": {"sgd": {"model.optimizer": "SGD"}}}), engine)
    assert [(trial.arm, trial.seed) for trial in engine.ran] == [("sgd", 3)]
    assert any(line.startswith("the plan has changed") for line in said)
    tags = {one.run_id: one.tags for one in trials_of()}
    assert before < set(tags)
    phases = Counter((tag[names.TAG_SWEEP_ARM], tag[names.TAG_PHASE]) for tag in tags.values())
    assert phases == {("sgd", "tuning"): 3, ("sgd", "repeat"): 3, ("adam", "aside"): 5}
    assert {tag[names.TAG_SWEEP] for tag in tags.values()} == {sweep.runs.parent}
    back = CurveEngine(hill(0.01))
    run(plan(seeds=2), back)
    assert back.ran == []
    assert Counter(one.tags[names.TAG_PHASE] for one in trials_of()) == {"tuning": 6, "repeat": 4, "aside": 1}


def test_a_grid_repeats_nothing() -> None:
    engine = CurveEngine(hill(0.01))
    assert run(plan(protocol="grid", seeds=2), engine)[0] == 0
    assert Counter(trial.phase for trial in engine.ran) == {"grid": 12}


def test_what_a_killed_trial_left_is_delivered_and_counted_before_it_is_tried_again(zygote: Zygote) -> None:
    """A trial whose process is found killed three times is given up, and the rest goes on."""
    read = plan(seeds=1)
    for _ in range(3):
        runs = SweepRuns("plan", "plan")
        begin(read, runs, print)
        engine = CurveEngine(hill(0.01), stop_after=0)
        sweep = Sweep(read, runs, engine, lambda _: None, print)
        with pytest.raises(KeyboardInterrupt):
            sweep.run()
        trial = next(iter(sweep.trials.values()))
        kill_with_its_family(zygote, train_apart(zygote, sweep._placed(trial)), OUTPUT)
    engine = CurveEngine(hill(0.01))
    status, _, said = run(read, engine)
    assert status == 1
    assert trial.key not in {one.key for one in engine.ran}
    assert len(engine.ran) == 7
    assert any("its process was killed 3 times" in line for line in said)
    assert "6 tuning trials: 5 to run" in said
    assert "the same command runs what is missing" not in said
    killed = [one for one in trials_of() if one.status == "KILLED"]
    assert len(killed) == 3


def test_a_trial_that_an_orphan_still_trains_is_not_started_again(zygote: Zygote) -> None:
    read = plan(seeds=1)
    runs = SweepRuns("plan", "plan")
    begin(read, runs, print)
    first = Sweep(read, runs, CurveEngine(hill(0.01), stop_after=0), lambda _: None, print)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    trial = next(iter(first.trials.values()))
    orphan = train_apart(zygote, first._placed(trial))
    wait_until(Path(MARK).exists, OUTPUT.read_text)
    engine = CurveEngine(hill(0.01))
    status, _, said = run(read, engine)
    kill_with_its_family(zygote, orphan, OUTPUT)
    assert status == 1
    assert trial.key not in {one.key for one in engine.ran}
    assert "1 trials are still trained by other processes, and are not started again" in said
    engine = CurveEngine(hill(0.01))
    assert run(read, engine)[0] == 0
    assert trial.key in {one.key for one in engine.ran}


def test_a_repeat_that_was_killed_goes_on_from_its_checkpoint(zygote: Zygote) -> None:
    read = plan(seeds=2)
    runs = SweepRuns("plan", "plan")
    begin(read, runs, print)
    sweep = Sweep(read, runs, CurveEngine(hill(0.01), stop_after=6), lambda _: None, print)
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    trial = next(trial for trial in sweep.trials.values() if trial.phase == "repeat")
    kill_with_its_family(zygote, train_apart(zygote, sweep._placed(trial)), OUTPUT)
    engine = CurveEngine(hill(0.01))
    assert run(read, engine)[0] == 0
    assert {one.key for one in engine.ran if "--resume=auto" in one.tracking} == {trial.key}


def test_a_trial_whose_store_was_locked_is_finished_all_the_same(zygote: Zygote) -> None:
    """Its end is in its journal alone: it is delivered, and not repeated."""
    read = plan(seeds=1)
    runs = SweepRuns("plan", "plan")
    begin(read, runs, print)
    sweep = Sweep(read, runs, CurveEngine(hill(0.01), stop_after=0), lambda _: None, print)
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    trial = sweep._placed(next(iter(sweep.trials.values())))
    lock = sqlite3.connect("mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    kill_with_its_family(zygote, train_apart(zygote, trial, whole=True, patience=0.2), OUTPUT)
    lock.close()
    assert trials_of() == []
    engine = CurveEngine(hill(0.01))
    assert run(read, engine)[0] == 0
    assert trial.key not in {one.key for one in engine.ran}
    assert len(engine.ran) == 7


def test_time_that_is_up_leaves_trials_for_the_same_command() -> None:
    read = plan(seeds=1, limits={"minutes": 0.001})

    def slow(trial: Trial) -> float:
        time.sleep(0.07)
        return hill(0.01)(trial)

    status, _, said = run(read, CurveEngine(slow))
    assert status == 1
    assert any("minutes are over; 5 trials are left" in line for line in said)
    assert not any("every arm gets one more point" in line for line in said)


def test_time_that_is_up_leaves_repeats_what_they_are() -> None:
    one = {"optimizer": {"sgd": {"model.optimizer": "SGD"}}}
    assert run(plan(seeds=1, factors=one), CurveEngine(hill(0.01)))[0] == 0

    def slow(trial: Trial) -> float:
        time.sleep(0.07)
        return hill(0.01)(trial)

    assert run(plan(seeds=1, limits={"minutes": 0.001}), CurveEngine(slow))[0] == 1
    assert Counter(one.tags[names.TAG_PHASE] for one in trials_of()) == {"tuning": 4, "repeat": 1}


def test_two_plans_of_one_experiment_have_a_page_each(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(seeds=1, protocol="grid", experiment="both").rename("one.yaml")

    def logs(words: list[str]) -> int:
        tracking = tuple(word for word in words if word.startswith("--tracking."))
        log_curve(Trial("", (), "arm", "grid", 0, {}, tracking), 0.9)
        return 0

    assert sweep(["--config", "one.yaml", "--engine", "here"], logs) == 0
    assert Path("mlruns/sweeps/both-one.html").is_file()
    assert "html: mlruns/sweeps/both-one.html" in capsys.readouterr().out


def test_two_sweeps_of_an_experiment_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(seeds=1)
    Path("mlruns/sweeps").mkdir(parents=True)
    with Path("mlruns/sweeps/plan.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 2
    shown = capsys.readouterr().err
    assert "a sweep of experiment 'plan' is running in this folder (process 4711)" in shown
    assert shown.count("\n") == 1
    with alone("plan"), alone("other"):
        pass


def test_the_parent_keeps_the_answer_and_is_no_arm(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(seeds=2, protocol="grid", extend=0, learning_rates={"from": 0.1, "to": 1.0, "points": 2})

    def curve(words: list[str]) -> int:
        tracking = tuple(word for word in words if word.startswith("--tracking."))
        is_adam = any(word.endswith("optimizer=Adam") for word in words)
        log_curve(Trial("", (), "arm", "grid", 0, {}, tracking), 0.9 if is_adam else 0.6)
        return 0

    command = ["--config", "plan.yaml", "--engine", "here"]
    assert sweep(command, curve) == 0
    shown = capsys.readouterr().out
    (parent,) = (one for one in read_runs("plan") if names.TAG_PLAN in one.tags)
    assert parent.metrics["val/accuracy"] == pytest.approx(0.9)
    assert parent.metrics["answer/runs"] == 4
    assert parent.metrics["answer/arms"] == 2
    finals = {name: value for name, value in parent.metrics.items() if name.startswith("final/")}
    assert finals == pytest.approx({"final/adam": 0.9, "final/sgd": 0.6})
    assert all(math.isfinite(value) for value in parent.metrics.values())
    first = next(line for line in shown.split("\n\n")[1].splitlines() if line)
    assert parent.tags[names.TAG_DESCRIPTION].startswith(first)
    page = f"http://127.0.0.1:5000/#/experiments/{parent.experiment_id}/runs?workflowType=machine_learning"
    assert shown.splitlines()[-2:] == ["look at them: mlflow ui, then open", f"  {page}"]

    # Run again, its metrics are there once a run, and it is neither an arm nor left out.
    assert sweep(command, curve) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    shown = capsys.readouterr().out
    assert "sweep plan" not in shown
    assert "eft out" not in shown
    assert re.search(r"^ *adam +4 ", shown, re.MULTILINE)


def test_an_interrupted_sweep_names_the_command_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(seeds=1, protocol="grid")
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here", "--allow-import=tests", *INTERRUPTING]) == 130
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("interrupted; what has ended is kept, and the same command goes on:")
    assert lines[place - 1] == "0 of 6 trials have results"
    words = ["sweep", "--config", "plan.yaml", "--engine", "here", "--allow-import=tests", *INTERRUPTING]
    assert shlex.split(lines[place + 1]) == ["lossopt", *words]


def test_a_comparison_that_fails_is_said_and_is_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(seeds=1, protocol="grid")

    def curve(words: list[str]) -> int:
        tracking = tuple(word for word in words if word.startswith("--tracking."))
        log_curve(Trial("", (), "arm", "grid", 0, {}, tracking), 0.9)
        return 0

    assert sweep(["--config", "plan.yaml", "--engine", "here", "--html=plan.yaml/page.html"], curve) == 1
    shown = capsys.readouterr()
    assert "compare --html plan.yaml/page.html: cannot be written" in shown.err
    assert "6 of 6 trials have results" in shown.out
    assert "the comparison failed" in shown.out


def test_sigterm_between_two_phases_is_an_interruption() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def told() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    with raised_sigterm(), pytest.raises(Interrupted) as stopped:
        told()
    assert stopped.value.status == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_test_of_checkpoints_that_a_server_keeps_is_refused_before_anything_runs() -> None:
    read = plan(test="best")
    client = MlflowClient()
    experiment = client.create_experiment("plan", artifact_location="mlflow-artifacts:/7")
    with pytest.raises(UserError, match=r"sweep\.test=best: the server keeps the checkpoints"):
        begin(read, SweepRuns(read.experiment, read.name), print)
    assert not client.search_runs([experiment])


def test_a_store_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the sweep needs its store: http://127\.0\.0\.1:9"):
        run(plan(), CurveEngine(hill(0.01)))


def test_the_small_engine_goes_on_after_a_crash(capsys: pytest.CaptureFixture[str]) -> None:
    def crash(words: list[str]) -> int:
        if "crash" in words:
            raise ValueError("no such thing")
        if "leave" in words:
            raise SystemExit(4)
        return 0

    trials = [Trial(word, ("fit", word), "a", "tuning", 0, {}) for word in ("crash", "leave", "go")]
    outcomes: list[Outcome] = list(InProcessEngine(crash).run(trials, lambda _: None, lambda _: False))
    assert [(one.status, one.said) for one in outcomes] == [(1, "ValueError: no such thing"), (4, ""), (0, "")]
    assert "Traceback" in capsys.readouterr().err


SMALL: dict[str, Any] = {
    "base": {"data": "DigitsDataModule", "trainer.max_epochs": 1, "trainer.limit_train_batches": 6},
    "factors": {
        "optimizer": {"sgd": {"model.optimizer": "SGD"}, "wild": {"model.optimizer": "SGD", "data.batch_size": 1500}}
    },
    "learning_rates": {"from": 0.1, "to": 1e18, "points": 2},
    "extend": 0,
    "seeds": 2,
    "test": "best",
}


def test_real_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    """One that trains, one that diverges, one that cannot be trained; by hand the same to the bit, and no trial."""
    write_plan(SMALL)
    command = ["sweep", "--config", "plan.yaml", "--engine", "here"]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "sgd: lr=0.1 wins" in shown
    assert re.search(r"\] tuning sgd lr=1e\+18 seed=0: diverged", shown)
    assert re.search(r"failed: tuning wild lr=0.1 seed=0: exit 2", shown)
    assert "4 of 6 trials have results" in shown
    runs = {
        (one.tags[names.TAG_PHASE], one.tags[names.TAG_SEED], one.params["optimizer.lr"]): one for one in trials_of()
    }
    assert set(runs) == {
        ("tuning", "0", "0.1"),
        ("tuning", "0", "1e+18"),
        ("repeat", "1", "0.1"),
        ("repeat", "2", "0.1"),
    }
    kept = {path.parts[2] for path in Path("mlruns/plan").rglob("*.ckpt")}
    assert kept == {one.run_id for (phase, *_), one in runs.items() if phase == "repeat"}
    tested = {one.run_id for one in runs.values() if "test/accuracy" in one.metrics}
    assert tested == kept
    one = runs["repeat", "1", "0.1"]
    typed = one.tags[names.TAG_DESCRIPTION].split("`")[1]
    assert "tracking.tags" not in typed
    config = yaml.safe_load(next(Path("mlruns/plan", one.run_id).rglob("config.yaml")).read_text())
    assert config["tracking"]["tags"] is config["tracking"]["parent"] is None

    assert main(typed.removeprefix("python -m lit_lossopt ").split()) == 0
    by_hand = read_runs("plan")[-1]
    assert names.TAG_SWEEP not in by_hand.tags
    for metric in ("train/loss", "val/accuracy"):
        assert np.array_equal(read_history(one.run_id, metric).values, read_history(by_hand.run_id, metric).values)

    capsys.readouterr()
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "4 tuning trials: 2 are done, 2 to run" in shown
    assert "2 repeat trials: 2 are done, 0 to run" in shown
    assert "test trials" not in shown


def test_a_killed_parent_is_taken_up_where_it_was(zygote: Zygote, tmp_path: Path) -> None:
    pause = {"trainer.callbacks": [{"class_path": "benchmarks.killing.pause.PauseAt"}]}
    level = {"model.optimizer": "SGD", "model.optimizer.momentum": 0.5, **pause}
    factors = {"optimizer": {"adam": {"model.optimizer": "Adam"}, "paused": level}}
    changes = {
        "factors": factors,
        "learning_rates": {"from": 0.001, "to": 0.002, "points": 2},
        "seeds": 1,
        "test": None,
    }
    write_plan(SMALL, **changes)
    words = ["sweep", "--config", "plan.yaml", "--engine", "here", "--allow-import", "benchmarks"]
    environment = {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"], MOMENT: "batch:3"}
    process = zygote.start(words, tmp_path, tmp_path / "output", environment)
    wait_until(Path(MARK).exists, (tmp_path / "output").read_text)
    os.kill(process, signal.SIGKILL)
    assert zygote.wait(process) == -signal.SIGKILL
    before = Counter(one.status for one in trials_of())
    assert before == {"FINISHED": 1, "RUNNING": 1}
    read = plan("--allow-import", "tests", **{**SMALL, **changes})
    engine = CurveEngine(lambda _: 0.5)
    assert run(read, engine)[0] == 0
    assert len(engine.ran) == 3 + 2
    assert Counter(one.status for one in trials_of()) == {"FINISHED": 6, "KILLED": 1}
