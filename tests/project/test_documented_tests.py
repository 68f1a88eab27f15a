from __future__ import annotations

from tests.support.documented_tests import PAGE, missing, rows_without_tests


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
