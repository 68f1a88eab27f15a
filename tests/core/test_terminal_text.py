"""Texts that come from anywhere, as a terminal and a page show them."""

from __future__ import annotations

import io
import re
import sqlite3
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.__main__ import COMMANDS, flags_of, main
from lit_lossopt.config import help as usage
from lit_lossopt.core.terminal_text import fitted, printable, tell
from tests.support.plain_runs import learning, log_run
from tests.support.screen import Terminal

# Clears the screen, sets the window's title, rings, goes back, and turns writing around.
EVIL = "\x1b[2J\x1b]0;owned\x07x\x08\r\x9b31m\u202e"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@given(st.text())
def test_a_printable_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert not OBEYED.search(shown)
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=20), min_size=1), st.integers(40, 130))
def test_lines_break_between_words_alone(words: list[str], width: int) -> None:
    lines = fitted(" ".join(words), width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines) == " ".join(words)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_keeps_to_the_width(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = (
        usage.command_help(command, COMMANDS[command], flags_of(COMMANDS[command]))
        if command
        else usage.overview(COMMANDS)
    )
    assert max(map(len, [*text.splitlines(), *usage.config_list().splitlines()])) <= width
    flags = re.findall(r"^  (--[\w.]+)", text, re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "500")
    whole = (
        usage.command_help(command, COMMANDS[command], flags_of(COMMANDS[command]))
        if command
        else usage.overview(COMMANDS)
    )
    assert flags == re.findall(r"^  (--[\w.]+)", whole, re.MULTILINE)
    assert text.split() == whole.split()


def test_a_message_breaks_between_words_on_a_terminal_and_nowhere_else() -> None:
    text = "lossopt: " + "a long message of words " * 8
    terminal = Terminal(80)
    with terminal.path.open("w") as stream:
        tell(text, stream)
    lines = [line for line in terminal.screen().lines if line]
    assert len(lines) == 3
    assert " ".join(lines).split() == text.split()
    with terminal.path.open("w") as stream:
        tell(f"{text}; deliver them with: lossopt sync abc", stream)
    assert terminal.screen().paragraphs[-2].endswith("lossopt sync abc")
    terminal.close()
    piped = io.StringIO()
    tell(text, piped)
    assert piped.getvalue() == f"{text}\n"


@pytest.mark.usefixtures("store")
def test_names_of_a_foreign_store_are_shown_safely(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = f"theirs {EVIL}"
    for name, speed in (("one", 3.0), ("two", 9.0)):
        for seed in range(3):
            params = {"method": f"{name} {EVIL}", "seed": seed}
            log_run(experiment, params, learning(seed, speed), tags={"mark": EVIL}, name=f"run {EVIL}")
    log_run(experiment, {"seed": 9}, {}, name=f"without results {EVIL}", status="FAILED")
    # MLflow's own client refuses such names; what else writes a database does not.
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"UPDATE {table} SET key = ? || key WHERE key = 'val/accuracy'", [EVIL])  # noqa: S608
        database.execute("UPDATE params SET key = key || ? WHERE key = 'method'", [EVIL])
    typed = ["compare", "--experiment", experiment, "--metric", f"{EVIL}val/accuracy", "--html", "page.html"]
    assert main(typed) == 0
    shown = capsys.readouterr()
    assert "two" in shown.out
    assert not OBEYED.search(shown.out + shown.err)
    page = (tmp_path / "page.html").read_text()
    # The library that draws has such signs in its own text.
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "two" in own
    assert not OBEYED.search(own)
    # Only programs read the record, in which texts stand as they are.
    for part in re.findall(r'<script type="application/json"(?![^>]*record)[^>]*>(.*?)</script>', page, re.DOTALL):
        assert "\\u001b" not in part
    assert main(["compare", "--experiment", "their"]) == 2
    assert not OBEYED.search(capsys.readouterr().err)


@pytest.mark.parametrize("key", ["mo\x1b[2Jdel", "model.optimizer.lr\x9b31m", "data.classes\x07"])
def test_keys_of_a_config_are_shown_safely(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("evil.yaml").write_text(yaml.safe_dump({key: 1}))
    assert main(["fit", "--config", "evil.yaml", f"--{key}=1"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert not OBEYED.search(shown)


def test_classes_of_a_folder_are_shown_safely(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        (tmp_path / "images" / split).mkdir(parents=True)
        for name in ("dog", "frog"):
            (tmp_path / "images" / split / f"{name}{EVIL}").symlink_to(image_folder / split / name)
    words = ["fit", "--config=adam", "--config=image_folder", "--data.folder=images", "--threads=1"]
    assert main([*words, "--data.classes=[dogg,frog]"]) == 2
    shown = capsys.readouterr().err
    assert "dog" in shown
    assert not OBEYED.search(shown)
