from __future__ import annotations

import pytest

from tests.conftest import FEW_ROWS
from tests.support import documented_tests
from tests.support.documented_tests import PAGE, missing, rows_without_tests
from tests.support.places import TESTS


def test_the_page_names_tests_that_exist_in_every_row() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("::test_") > 30
    assert missing(text) == []
    assert rows_without_tests(text) == []


def test_a_test_that_is_gone_and_a_row_without_one_are_found() -> None:
    assert missing("`test_fit.py::test_gone`, `test_none.py::test_a`") == [
        "test_fit.py::test_gone",
        "test_none.py::test_a",
    ]
    assert rows_without_tests("| fault | x |\n| --- | --- |\n| a | b | c |\n| d | e | `x.py::test_y` |") == ["a"]


@pytest.mark.parametrize("name", FEW_ROWS)
def test_each_table_of_which_few_rows_are_run_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    assert any(function in documented_tests.functions(path) for path in TESTS.rglob(file))
