"""What a person sees of a sweep: moving lines on a terminal, plain ones elsewhere."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from rich.console import Console

from lit_lossopt.sweeps.progress import ShownEngine, SweepDisplay, clock, described, said
from lit_lossopt.sweeps.trial import Outcome, Progress, Trial, Watch

TRIALS = [Trial(f"{n}", ("fit",), arm, "tuning", n, {"model.optimizer.lr": 0.01}) for n, arm in enumerate("aabb")]


class Scripted:
    """An engine of one worker: each trial says a line and takes ten seconds."""

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        for number, trial in enumerate(trials):
            watch(Progress(0, trial))
            watch(Progress(0, trial, "epoch 3/20  step    240  train loss 0.1  val loss 0.2  val accuracy 0.9131"))
            yield Outcome(trial, 1 if number == 1 else 0, 1, 10.0)
            watch(Progress(0, None))


def terminal(width: int = 90) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def shown(display: SweepDisplay) -> str:
    console = terminal()
    console.print(display.picture())
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the buffer of above
    return "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines())


def test_a_worker_what_is_left_and_the_best_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    display = SweepDisplay(lambda: {"a": 0.91, "b": 0.95}, terminal())
    assert "0 of 0 done; 00:00 so far" in shown(display)
    outcomes = ShownEngine(Scripted(), display).run(TRIALS, lambda _: None, lambda _: False)
    next(outcomes)
    next(outcomes)
    now = 1004.0
    text = shown(display)
    assert re.search(r"^0 +tuning a lr=0.01 seed=1 +epoch 3/20  step 240  accuracy 0.9131 +00:04$", text, re.MULTILINE)
    # Two wait, ten seconds each, and one has six to go.
    assert "2 of 4 done, 1 failed; about 00:16 left, 00:04 so far" in text
    assert "best val accuracy so far: b 0.9500   a 0.9100" in text
    assert len(list(outcomes)) == 2
    assert "4 of 4 done, 1 failed; about 00:00 left" in shown(display)
    assert re.search(r"^0 +idle", shown(display), re.MULTILINE)


def test_lines_are_cut_to_a_narrow_terminal() -> None:
    display = SweepDisplay(console=terminal(40))
    display.watch(Progress(0, TRIALS[0], "word " * 60))
    console = terminal(40)
    console.print(display.picture())
    assert max(map(len, console.file.getvalue().splitlines())) <= 40  # type: ignore[attr-defined]


def test_a_long_line_leaves_room_for_name_and_time() -> None:
    console = terminal(80)
    display = SweepDisplay(console=console)
    display.watch(Progress(0, TRIALS[0], "word " * 60))
    display.stand("race at 4 seeds: " + "word " * 60)
    console.print(display.picture())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # the buffer of above
    assert re.search(r"^0 +tuning a lr=0.01 seed=0 +(word )+.*… +00:00$", lines[0])
    assert re.search(r"^race at 4 seeds: (word )+.*…$", lines[-1])
    assert len(lines) == 3


def test_where_there_is_no_terminal_only_plain_lines_are_printed() -> None:
    file = io.StringIO()
    with SweepDisplay(console=Console(file=file)) as display:
        for outcome in ShownEngine(Scripted(), display).run(TRIALS, lambda _: None, lambda _: False):
            display.say(f"[{outcome.trial.key}] done")
    assert file.getvalue() == "[0] done\n[1] done\n[2] done\n[3] done\n"


def test_on_a_terminal_said_lines_stay_and_moving_ones_go() -> None:
    console = terminal()
    with SweepDisplay(console=console) as display:
        display.watch(Progress(0, TRIALS[0]))
        display.say("one [for good]")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "one [for good]" in text
    assert text.endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))


@pytest.mark.parametrize(
    ("line", "gist"),
    [
        ("epoch 0.1/1  step      2  val loss 2.3  val accuracy 0.1042", "epoch 0.1/1  step 2  accuracy 0.1042"),
        ("best val accuracy 0.1042; run 1", "best val accuracy 0.1042; run 1"),
        ("", ""),
    ],
)
def test_an_evaluation_is_shown_by_its_gist(line: str, gist: str) -> None:
    assert said(line) == gist


def test_texts() -> None:
    assert described(TRIALS[3]) == "tuning b lr=0.01 seed=3"
    assert [clock(seconds) for seconds in (0, 59.6, 3725)] == ["00:00", "01:00", "1:02:05"]
