"""The programs of the documentation are held against the types of the functions. ``make lint`` does it in full."""

from __future__ import annotations

import ast
import os

import pytest

from tests.support.places import ROOT
from tests.support.typed_examples import PAGES, problems, program_of

# The signatures alone: whatever else they import is Any, and nothing large is read.
ALONE = (
    "--follow-imports=skip",
    f"--cache-dir={os.devnull}",
    f"{ROOT}/lit_lossopt/__init__.py",
    f"{ROOT}/lit_lossopt/api.py",
    f"{ROOT}/lit_lossopt/comparison/notebook.py",
)
# What is written, and what is said of it.
CALLS = {
    'fit("adam", "digits", seed=0, **{"model.optimizer.lr": 3e-3})': "",
    'sweep("sweep_quick", **{"trainer.max_epochs": 2})': "",
    'compare(by=("optimizer",), target=0.9)': "",
    'fit("adam", seed="zero")': 'Argument "seed" to "fit" has incompatible type "str"',
    "fit(config=None)": 'Argument "config" to "fit" has incompatible type "None"',
    'fit("adam").loses': '"Run" has no attribute "loses"',
    "compare(by=3)": 'Argument "by" to "compare" has incompatible type "int"',
    "sweep(3)": 'Argument 1 to "sweep" has incompatible type "int"',
}


def test_a_wrong_type_is_noticed_and_a_right_one_is_not() -> None:
    found = problems({call: f"import lit_lossopt\nlit_lossopt.{call}\n" for call in CALLS}, ALONE)
    for call, said in CALLS.items():
        own = [line.partition(": error: ")[2] for line in found if line.startswith(f"{call}:2:")]
        assert len(own) == bool(said), (call, own)
        assert not said or own[0].startswith(said), own


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_a_program_whose_lines_keep_their_numbers(page: str) -> None:
    program = program_of(ROOT / page)
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Attribute)]
    assert {"fit"} < {call.attr for call in calls if isinstance(call.value, ast.Name)}
    if page.endswith(".md"):
        written = (ROOT / page).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(program.splitlines()[1:], 2):
            assert line in ("", written[number - 1])
