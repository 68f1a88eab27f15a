from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest
from rich.console import Console
from rich.live import Live

from lit_lossopt.core.closed_output import LastingStream, outliving_readers
from lit_lossopt.core.terminal_text import is_bare_terminal
from tests.support.screen import Terminal


@pytest.mark.parametrize("buffered", [True, False])
def test_what_nobody_reads_is_no_error(buffered: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=-1 if buffered else 1, encoding="utf-8") as stream:
        lasting = LastingStream(stream)
        assert lasting.write("read\n") == 5
        lasting.flush()
        assert os.read(reading, 100) == b"read\n"
        os.close(reading)
        for _ in range(3):
            assert lasting.write("lost\n") == 5
            lasting.flush()
        assert lasting.encoding == "utf-8"
        assert not lasting.isatty()


def test_streams_are_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with outliving_readers():
        print("out")
        print("err", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("out\n", "err\n")


def test_closed_streams_stay_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python has them where a command is started with >&- and 2>&-.
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with outliving_readers():
        print("nowhere")
        assert (sys.stdout, sys.stderr) == (None, None)
    assert not is_bare_terminal(sys.stderr)


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    one = Terminal(80)
    with one.path.open("w") as stream:
        yield stream
    one.close()


def test_a_command_that_another_one_runs_knows_the_display_on_its_terminal(
    terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    with outliving_readers():
        outer = sys.stdout, sys.stderr
        assert is_bare_terminal(sys.stdout)
        assert is_bare_terminal(sys.stderr)
        with outliving_readers():
            assert (sys.stdout, sys.stderr) == outer
        with Live(console=Console(force_terminal=True), transient=True):
            shown = sys.stdout, sys.stderr
            assert outer != shown
            with outliving_readers():
                assert (sys.stdout, sys.stderr) == shown
                assert not is_bare_terminal(sys.stdout)
                assert not is_bare_terminal(sys.stderr)
