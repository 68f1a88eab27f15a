"""``lossopt bench``: what is measured, what is recommended, and that nothing is left behind."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from benchmarks.bench_section import bench_section
from lit_lossopt.__main__ import COMMANDS, flags_of, main
from lit_lossopt.config.completion import candidates as completions
from lit_lossopt.config.words import prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import cores, has_bf16_units
from lit_lossopt.training.numerics import fp32_precision
from lit_lossopt.training.speed.blocks import Block, Repetition, repeated
from lit_lossopt.training.speed.candidates import Candidate, changing, fused, of_threads, together
from lit_lossopt.training.speed.measure import Measured, measured
from lit_lossopt.training.speed.processes import ONE, SEVERAL, CannotError, Together, measured_together
from lit_lossopt.training.speed.ratios import Speed, fastest, speeds
from lit_lossopt.training.speed.report import Findings, as_json, lines
from lit_lossopt.training.speed.request import FLAGS, read_request
from lit_lossopt.training.speed.steps import TrainingSteps
from lit_lossopt.training.speed.worker import serve, training_of

DIGITS = ["--config", "digits", "--data.batch_size=16"]
GIVEN = Candidate(threads=2)
ALONE = Candidate(1, ("--threads=1",))


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let this process use one core only.

    Threads that wait for each other take a hundred times longer on a busy machine.
    """
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say which cores a process uses")
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(before)})
    torch.set_num_threads(1)
    yield
    os.sched_setaffinity(0, before)
    torch.set_num_threads(threads)


def steps_of(*words: str) -> TrainingSteps:
    return training_of(prepare("fit", [*DIGITS, "--threads=1", *words]))


@pytest.mark.parametrize(
    ("ratios", "faster"),
    [
        ([1.2, 1.1, 1.3], True),
        ([1.2, 1.0, 1.3], False),  # once it was not faster
        ([1.01, 1.02, 1.5], False),  # the median is too small a gain
        ([1.2, 1.3], False),  # too few
        ([1.01, 1.03, 1.04], True),
        ([0.5, 0.5, 0.5], False),
    ],
)
def test_what_is_faster_beyond_doubt(ratios: list[float], *, faster: bool) -> None:
    found = speeds([{"given": Block(10, 2.0, 1.0), "other": Block(10, 2.0 / one, 3.0)} for one in ratios], "given")
    assert found["other"].is_faster is faster
    assert found["other"].low == pytest.approx(min(ratios))
    assert found["other"].high == pytest.approx(max(ratios))
    assert found["other"].processor == pytest.approx(0.3)
    assert found["given"].ratio == 1
    assert not found["given"].is_faster
    assert fastest(found) == ("other" if faster else None)


def test_the_fastest_of_several_is_the_one_with_the_highest_median() -> None:
    ratios = {"a": (1.2, 1.1), "b": (1.4, 1.05), "c": (3.0, 0.99)}
    assert fastest({name: Speed(1.0, 1.0, ratio, low, 9.0, 5) for name, (ratio, low) in ratios.items()}) == "b"


def test_ratios_are_taken_within_a_repetition() -> None:
    # The machine is ten times slower in the second repetition, for both.
    slower = [1.0, 10.0, 1.0]
    found = speeds([{"given": Block(8, 2 * one, 1), "other": Block(8, one, 1)} for one in slower], "given")["other"]
    assert (found.low, found.ratio, found.high) == (2, 2, 2)
    assert found.rate == 8


class Simulated:
    """Steps that take known seconds of a clock that is not that of the machine."""

    def __init__(self, seconds: Callable[[Candidate], float]) -> None:
        self.seconds, self.now = seconds, 0.0
        self.made: list[str] = []

    def clock(self) -> float:
        return self.now

    def block(self, candidate: Candidate, steps: int) -> Block:
        self.made.append(candidate.name)
        took = self.seconds(candidate)
        self.now += (steps + 1) * took
        return Block(steps, steps * took, steps * took)

    def block_of(self, candidate: Candidate, seconds: float, begin: Callable[[], None]) -> Block:
        begin()
        return self.block(candidate, max(1, round(seconds / self.seconds(candidate))))


def gain(candidate: Candidate) -> float:
    """Return the seconds of a step: one thread makes it in half of the time, a fused optimizer saves a tenth."""
    return 0.01 * (0.5 if candidate.threads == 1 else 1) * (0.9 if candidate.fused else 1)


def measured_in(seconds: float, cost: Callable[[Candidate], float]) -> tuple[Simulated, Measured]:
    training = Simulated(cost)
    chosen = [GIVEN, *of_threads(GIVEN, 4), fused(GIVEN), *changing(GIVEN, precision=True, products=True)]
    return training, measured(training, chosen, seconds, seconds, training.clock)


def test_what_gains_alone_is_measured_together() -> None:
    training, found = measured_in(60, gain)
    assert 50 < training.now <= 60
    pair = "--threads=1 --model.optimizer.fused=true"
    assert [one.name for one in found.candidates] == [
        "as given (2 threads)", "--threads=1", "--threads=4", "--model.optimizer.fused=true", pair,
        "--trainer.precision=bf16-mixed", "--fp32_precision=bf16",
    ]  # fmt: skip
    ratios = {name: one.ratio for name, one in found.found.items()}
    assert ratios[pair] == pytest.approx(1 / 0.45)
    assert ratios["--threads=1"] == pytest.approx(2)
    assert ratios["--threads=4"] == pytest.approx(1)
    assert fastest(found.found) == pair
    assert found.found[pair].repetitions >= 8
    assert found.found["--threads=1"].repetitions >= 16
    assert found.steps > 1


def test_what_gains_nothing_is_not_measured_together() -> None:
    training, found = measured_in(60, lambda one: 0.01 * (1.1 if one.fused else 1 if one.threads == 2 else 0.5))
    assert not any(" --" in name for name in found.found)
    assert 50 < training.now <= 60
    assert {one.repetitions for one in found.found.values()} == {len(found.repetitions)}


def test_repetitions_rotate_and_leave_out_what_is_hopeless() -> None:
    training = Simulated(lambda one: {1: 5.0, 4: 1.9}.get(one.threads, 1.0))
    arms = {one.name: one for one in (GIVEN, *of_threads(GIVEN, 4), fused(GIVEN))}
    found = list(repeated(list(arms), lambda name: training.block(arms[name], 1), 99, training.clock))
    names = list(arms)
    of = [training.made[4 * number : 4 * number + 4] for number in range(3)]
    assert of == [names, names[1:] + names[:1], names[2:] + names[:2]]
    assert training.made[12:15] == [names[0], names[2], names[3]]
    assert [len(one) for one in found[:5]] == [4, 4, 4, 3, 3]
    assert all("--threads=1" not in one for one in found[3:])
    assert training.now <= 99


def test_one_bad_repetition_makes_no_arm_hopeless() -> None:
    costs = itertools.chain([10.0], itertools.repeat(1.0))
    training = Simulated(lambda one: next(costs) if one is ALONE else 1.0)
    arms = {one.name: one for one in (GIVEN, ALONE)}
    found = list(repeated(list(arms), lambda name: training.block(arms[name], 1), 60, training.clock))
    assert len(found) >= 3
    assert all(set(one) == set(arms) for one in found)


@pytest.mark.parametrize("seconds", [1.0, 0.02])
def test_too_little_time_is_said_with_the_time_that_is_needed(seconds: float) -> None:
    with pytest.raises(UserError, match=r"a step takes 3 seconds, and not even one block of each of 6") as said:
        measured_in(seconds, lambda _: 3.0)
    enough = float(str(said.value).split("--seconds ")[-1])
    _, found = measured_in(enough, lambda _: 3.0)
    assert len(found.repetitions) >= 3


def test_threads_to_try_are_few_and_not_those_as_given() -> None:
    assert [one.threads for one in of_threads(GIVEN, 2)] == [1]
    assert [one.threads for one in of_threads(Candidate(24), 24)] == [1, 2, 4, 8, 16]
    assert [one.threads for one in of_threads(GIVEN, 200)] == [1, 4, 8, 16, 32]
    assert of_threads(Candidate(1), 1) == []


def test_a_candidate_changes_what_it_says_and_puts_it_back() -> None:
    training = steps_of("--model.optimizer=Adam")
    torch.set_num_threads(1)
    before, numbers = fp32_precision(), torch.get_rng_state()
    with training.ready(Candidate(2, fp32_precision="bf16")):
        assert torch.get_num_threads() == 2
        assert fp32_precision() != before
    with pytest.raises(KeyError), training.ready(Candidate(2, precision="bf16-mixed")):
        raise KeyError
    assert torch.get_num_threads() == 1
    assert fp32_precision() == before
    assert torch.equal(torch.get_rng_state(), numbers)


FUSED = ["SGD", "Adam", "AdamW", "Adagrad"]


@contextmanager
def after_steps(words: list[str], candidate: Candidate) -> Iterator[list[torch.Tensor]]:
    training = steps_of(*words)
    with training.ready(candidate) as step:
        for _ in range(5):
            step()
        yield [one.detach() for one in training._trial.network.parameters()]


@pytest.mark.parametrize("name", FUSED)
def test_a_fused_optimizer_makes_the_same_steps(name: str) -> None:
    words = [f"--model.optimizer={name}", "--model.optimizer.lr=0.01"]
    training = steps_of(*words)
    assert training.may_be_fused()
    assert training._fresh(Candidate(1, fused=True)).defaults["fused"] is True
    assert not training._fresh(Candidate(1)).defaults["fused"]
    with after_steps(words, Candidate(1)) as plain, after_steps(words, Candidate(1, fused=True)) as other:
        assert all(torch.allclose(one, two, rtol=1e-3, atol=1e-5) for one, two in zip(plain, other, strict=True))


def test_each_block_begins_with_the_same_weights_and_a_fresh_optimizer() -> None:
    training = steps_of("--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.9")
    begin = [one.detach().clone() for one in training._trial.module.network.parameters()]
    training.block(Candidate(1), 20)
    optimizer = training._fresh(Candidate(1))
    assert not optimizer.state
    assert all(torch.equal(one, two) for one, two in zip(begin, training._trial.network.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:trainer.precision=bf16-mixed")
@pytest.mark.parametrize(
    ("words", "may", "works"),
    [
        (["--model.optimizer=RMSprop"], False, False),
        (["--model.optimizer=LBFGS"], False, False),
        (["--model.optimizer=Muon"], False, False),
        (["--model.optimizer=Adam", "--model.optimizer.fused=true"], False, True),
        (["--model.optimizer=Adam", "--model.optimizer.foreach=true"], True, False),
        (["--model.optimizer=Adam", "--trainer.gradient_clip_val=1"], True, True),
        (["--model.optimizer=Adam", "--trainer.gradient_clip_val=1", "--trainer.precision=bf16-mixed"], True, False),
        (["--model.optimizer=Adam", "--trainer.accumulate_grad_batches=2"], True, True),
    ],
)
def test_what_cannot_be_fused_is_found_by_trying(words: list[str], *, may: bool, works: bool) -> None:
    training = steps_of(*words)
    assert training.may_be_fused() is may
    assert training.works(Candidate(1, fused=True)) is works


def test_a_step_clips_and_accumulates_as_the_training_does() -> None:
    training = steps_of("--model.optimizer=SGD", "--model.optimizer.lr=1", "--trainer.gradient_clip_val=1e-3")
    begin = torch.cat([one.detach().flatten() for one in training._trial.network.parameters()])
    with training.ready(Candidate(1)):
        moved = torch.cat([one.detach().flatten() for one in training._trial.network.parameters()]) - begin
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)
    double = steps_of("--trainer.accumulate_grad_batches=3")
    with double.ready(Candidate(1)) as step:
        place = double._batches
        double._batches = iter([next(place) for _ in range(3)])
        step()
        with pytest.raises(StopIteration):
            step()


STATE = (random.getstate, np.random.get_state, torch.get_num_threads, fp32_precision, lambda: dict(os.environ))


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("optimizer", ["Adam", "LBFGS"])
def test_the_command_measures_and_leaves_nothing(optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    before, kept = sorted(Path().rglob("*")), [str(look()) for look in STATE]
    numbers = torch.get_rng_state()
    words = [*DIGITS, f"--model.optimizer={optimizer}"]
    assert main(["bench", *words, "--seconds", "4"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "one core" in shown[0]
    assert f"torch {torch.__version__.partition('+')[0]}" in shown[0]
    assert shown[1].startswith(f"MiniCNN, CrossEntropyLoss, {optimizer}, 16 images a step, precision 32-true")
    names = [line.split("  ")[0] for line in shown[4 : shown.index("", 4)]]
    expected = ["as given (1 thread)", *(["--model.optimizer.fused=true"] if optimizer == "Adam" else [])]
    assert [name for name in names if "bf16" not in name] == expected
    assert any("bf16" in line for line in shown)
    assert any(name.endswith("*") for name in names) == has_bf16_units()
    assert "For sweeps: not measured, because one core" in " ".join(shown)
    assert sorted(Path().rglob("*")) == before
    assert [str(look()) for look in STATE] == kept
    assert torch.equal(torch.get_rng_state(), numbers)


@pytest.mark.usefixtures("one_core")
def test_the_json_holds_every_block() -> None:
    assert main(["bench", *DIGITS, "--model.optimizer=SGD", "--seconds=4", "--json", "out/bench.json"]) == 0
    assert [str(path) for path in sorted(Path().rglob("*"))] == ["out", "out/bench.json"]
    content = json.loads(Path("out/bench.json").read_text())
    assert content["machine"]["cores"] == 1
    given, other, *_ = content["candidates"]
    assert (given["words"], other["words"]) == ([], ["--model.optimizer.fused=true"])
    ratios = [
        (ours["steps"] / ours["wall"]) / (theirs["steps"] / theirs["wall"])
        for ours, theirs in zip(other["blocks"], given["blocks"], strict=True)
    ]
    assert other["ratio"] == pytest.approx(np.median(ratios))
    assert (other["low"], other["high"]) == pytest.approx((min(ratios), max(ratios)))
    assert other["repetitions"] == len(ratios)
    assert content["recommended"] == (other["words"] if other["is_faster"] else [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seconds=0"], "bench --seconds 0: must be a number above 0"),
        (["--seconds=nan"], "must be a number above 0"),
        (["--seconds=soon"], "invalid float value: 'soon'"),
        (["--modle.optimizer=SGD"], "no such key"),
        (["--model.optimizer=Adm"], "did you mean 'Adam'"),
        (["--model.optimizer.lrr=1"], "lrr"),
        (["--model.optimizer=SGD", "--model.optimizer.lr=-1"], "Invalid learning rate"),
        (["--ckpt_path=last"], "from the initial weights on; leave out --ckpt_path"),
        (["--trainer.devices=2", "--trainer.accelerator=cpu"], "one device is measured"),
        (["--compile=default"], "only steps that are not compiled are measured"),
        (["--trainer.accumulate_grad_batches=0"], "must be at least 1"),
    ],
)
def test_what_was_typed_wrong_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *DIGITS, *words]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not list(Path().iterdir())


def test_settings_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *DIGITS, "--print_config"])
    assert not ended.value.code
    assert yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["batch_size"] == 16


def test_flags_are_taken_completed_and_helped(capsys: pytest.CaptureFixture[str]) -> None:
    request = read_request(["--seconds", "5", "--config=adam", "--json=x.json", "--threads", "1"])
    assert (request.seconds, request.numbers) == (5, Path("x.json"))
    assert request.words == ("--config=adam", "--threads", "1")
    own = {flag.name for flag in FLAGS}
    assert own <= set(completions(["bench", "--"], COMMANDS, flags_of))
    assert main(["bench", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(flag in shown for flag in (*own, "--model.criterion"))
    assert "faster in each of at least 3 repetitions, and by at least 3 % in the median" in shown


def findings(words: tuple[str, ...], ratio: float, several: float, count: int = 5) -> Findings:
    pair = together([ALONE, fused(GIVEN)])
    assert pair is not None
    chosen = (GIVEN, ALONE, pair, *changing(GIVEN, precision=True, products=False))
    rates = {GIVEN.name: 100.0, ALONE.name: 98.0, pair.name: 100 * ratio, chosen[-1].name: 250.0}
    blocks: Repetition = {name: Block(10, 10 / rate, 0.1) for name, rate in rates.items()}
    many = {ONE: Block(10, 1.0, 2.0), SEVERAL: Block(round(1000 * several), 100.0, 2.0)}
    return Findings(
        words, "MiniCNN", Measured(chosen, 10, (blocks,) * count), True, Together(2, (many,) * count), "", 1.7
    )


def test_what_is_recommended_can_be_typed() -> None:
    one = findings(("--config", "adam", "--threads", "2", "--model.optimizer.fused=false"), 1.25, 1.5)
    shown = list(lines(one))
    assert "Recommended: --threads=1 --model.optimizer.fused=true" in shown
    assert "lossopt fit --config adam --threads=1 --model.optimizer.fused=true" in shown
    assert "Recommended for sweeps: --workers 2 --threads 1" in shown
    assert "make together 1.50 [1.50 to 1.50] times the steps" in " ".join(" ".join(shown).split())
    assert "* changes the arithmetic; compare accuracy with paired seeds first" in shown
    assert "Other programs kept 1.7 cores busy before this. Measure again when they have" in "\n".join(shown)
    content = json.loads(as_json(one))
    assert content["recommended"] == ["--threads=1", "--model.optimizer.fused=true"]
    assert content["several_at_once"]["words"] == ["--workers", "2", "--threads", "1"]
    assert [entry["changes_arithmetic"] for entry in content["candidates"]] == [False, False, False, True]


def test_the_page_shows_what_was_found() -> None:
    shown = bench_section(json.loads(as_json(findings(("--config", "adam"), 1.25, 1.5))))
    assert "`lossopt bench --config adam` on " in shown
    assert "Recommended was `--threads=1 --model.optimizer.fused=true`." in shown
    assert "**Other programs kept 1.7 cores busy.**" in shown
    assert "| `--threads=1` | 98.0 | 0.98 [0.98 to 0.98] | 0.0100 | 5 |" in shown
    assert "| 2 trainings at once | 15.0 | 1.50 [1.50 to 1.50] | " in shown


def test_what_is_not_faster_is_not_recommended() -> None:
    # bf16 is 2.5 times as fast, and never recommended by itself.
    one = findings(("--config", "adam"), 1.02, 1.0)
    shown = list(lines(one))
    assert not any("Recommended" in line for line in shown)
    assert "No safe setting is faster beyond doubt. The settings as given are the fastest." in shown
    assert "That is not faster beyond doubt." in shown
    assert json.loads(as_json(one))["recommended"] == []
    few = list(lines(findings((), 2.0, 2.0, count=2)))
    assert few.count("Two repetitions cannot tell which is faster. Give more --seconds.") == 2


@pytest.mark.parametrize("threads", [2, 16])
def test_the_words_fit_a_usual_terminal(threads: int) -> None:
    pair = together([Candidate(threads, (f"--threads={threads}",)), fused(GIVEN)])
    assert pair is not None
    blocks: Repetition = {GIVEN.name: Block(10, 1.0, 0.123456), pair.name: Block(10, 0.09, 0.0123456)}
    one = Findings((), "MiniCNN", Measured((GIVEN, pair), 10, (blocks,) * 4), False, None, "because it is so.", 0.2)
    shown = [line for text in lines(one) for line in text.split("\n")]
    assert max(len(line) for line in shown) <= 80
    assert any(line.startswith(f"--threads={threads} --model.optimizer.fused=true") for line in shown)
    assert any("11.11 [11.11 to 11.11]" in line for line in shown)
    assert "For sweeps: not measured, because it is so." in shown
    assert not any("Other programs" in line for line in shown)


def test_a_worker_begins_at_the_moment_that_it_is_told() -> None:
    ours, theirs = Pipe()
    training = Simulated(lambda _: 0.5)
    worker = threading.Thread(target=_served, args=(theirs, training), daemon=True)
    worker.start()
    ours.send(2.0)
    assert ours.recv() is None
    assert not training.made
    moment = time.monotonic() + 0.2
    ours.send(moment)
    assert ours.recv() == Block(4, 2.0, 2.0)
    assert time.monotonic() >= moment
    ours.close()
    worker.join()


def _served(connection: object, training: object) -> None:
    with pytest.raises(EOFError):
        serve(connection, training)  # type: ignore[arg-type]  # it asks for one method


NOTED = """
import os
from pathlib import Path

import torch
from torch import nn


class Network(nn.Sequential):
    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        Path(f"{os.getpid()}.threads").write_text(str(torch.get_num_threads()))
        return super().forward(images)
"""


def test_trainings_at_once_are_measured_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("noted.py").write_text(NOTED)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    words = [*DIGITS, "--threads=2", "--model.network=noted.Network", "--allow-import=noted"]
    found = measured_together(words, steps_of("--model.optimizer=SGD"), 2, 1.0)
    assert found.count == 2
    assert found.repetitions
    assert all(set(one) == {ONE, SEVERAL} for one in found.repetitions)
    assert all(one[SEVERAL].steps >= 2 and one[ONE].steps >= 1 for one in found.repetitions)
    # Each has trained with one thread, in a process that has ended.
    assert [path.read_text() for path in Path().glob("*.threads")] == ["1", "1"]
    for path in Path().glob("*.threads"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.stem), 0)


DYING = "import os\nos._exit(9)\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(
            ["--model.optimizer=SGD", "--model.optimizer.lr=-1"], "Invalid learning rate", marks=pytest.mark.slow
        ),
        (["--model.network=dying.Network", "--allow-import=dying"], "has died"),
    ],
)
def test_a_training_that_fails_beside_this_one_is_said(
    words: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("dying.py").write_text(DYING)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    with pytest.raises(CannotError, match=why):
        measured_together([*DIGITS, *words], steps_of(), 1, 1.0)


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="one core has no room for two trainings")
def test_the_whole_command_on_all_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *DIGITS, "--model.optimizer=Adam", "--seconds=60", "--json=x.json"]) == 0
    shown = capsys.readouterr().out
    assert "--threads=1" in shown or "as given (1 thread)" in shown
    content = json.loads(Path("x.json").read_text())
    assert content["several_at_once"]["count"] == min(cores(), 8)
    assert content["several_at_once"]["repetitions"] >= 1
    threads = [one["threads"] for one in content["candidates"]]
    assert {1, torch.get_num_threads()} <= set(threads)
    # Matplotlib keeps its list of fonts for the person, and the processes import it first.
    assert {str(path) for path in Path().rglob("*.*") if "matplotlib" not in str(path)} == {"x.json"}
