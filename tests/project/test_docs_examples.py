"""What the pages show is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.sweeps.plan.file import PLAN_KEYS
from lit_lossopt.tracking.reading.runs import read_runs
from tests.conftest import FinishedRun
from tests.support.places import ROOT

DOCS = ROOT / "docs"
PAGE = DOCS / "your_own_data.md"
SWEEPS = DOCS / "sweeps.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("store")
def test_the_page_on_your_own_data(image_folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    found = blocks(PAGE, "python")
    assert len(found) == 3
    for block in found:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102  # our own page
    commands = [
        line.removeprefix("$ lossopt ").split() for block in blocks(PAGE, "console") for line in [block.strip()]
    ]
    assert len(commands) == 2
    Path("my").mkdir()
    Path("my/images").symlink_to(image_folder)
    for command in commands:
        assert main([*command, "--data.batch_size=8", "--trainer.max_epochs=1", "--threads=1"]) == 0
    assert [run.params["data"] for run in read_runs("lit_lossopt")] == ["ImageFolderDataModule", "ArrayFileDataModule"]
    assert Path("shades.npz").is_file()


def test_the_page_on_trained_models(in_its_store: FinishedRun) -> None:
    page = DOCS / "trained_models.md"
    for line in "".join(blocks(page, "console")).splitlines():
        words = line.removeprefix("$ lossopt ").replace("RUN_ID", in_its_store.run_id).split()
        assert main(words) == 0
    names: dict[str, Any] = {"__name__": "page"}
    found = blocks(page, "python")
    assert len(found) == 3
    for block in found:
        exec(compile(block.replace("RUN_ID", in_its_store.run_id), str(page), "exec"), names)  # noqa: S102  # our own page


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("page", [DOCS / "python.md", DOCS.parent / "README.md"], ids=["python.md", "README.md"])
def test_the_programs_of_a_page(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)  # noqa: S102  # our own page
    assert names["comparison"].words[0] in capsys.readouterr().out
    assert Path("report.html").is_file()


def test_the_plans_on_the_page_on_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    said = ("52 trials: 20 tuning trials, 32 repeats", "12 trials: 6 tuning trials, 6 repeats")
    for block, words in zip(blocks(SWEEPS, "yaml"), said, strict=True):
        Path("mine.yaml").write_text(block)
        assert main(["sweep", "--config", "mine", "--dry-run"]) == 0
        assert words in capsys.readouterr().out


def test_the_page_on_sweeps_names_every_key_of_a_plan() -> None:
    text = SWEEPS.read_text(encoding="utf-8")
    assert [key for key in PLAN_KEYS if f"| `{key}` |" not in text] == []
