from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import interleave, ratio, write
from benchmarks.render import DOCS, pages
from benchmarks.results_page import T95


def test_arms_take_turns_and_begin_in_turn() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return len(order)

    arms = {name: partial(measure, name) for name in "abc"}
    values = interleave(arms, repeats=3)
    assert "".join(order) == "abcbcacab"
    assert values == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_a_ratio_is_the_median_of_ratios_within_repetitions() -> None:
    found = ratio("a / b", [2.0, 30.0, 4.0], [1.0, 10.0, 4.0], wanted=1.5)
    assert (found.median, found.low, found.high, found.repeats) == (2.0, 1.0, 3.0, 3)


def test_results_are_written_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    path = write("x", {"a": [1.0, 3.0]}, "steps", [ratio("a / a", [1.0], [1.0])])
    content = json.loads(path.read_text())
    assert content["medians"] == {"a": 2.0}
    assert content["machine"]["torch"]


def test_quantiles_are_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert [round(float(stats.t.ppf(0.975, n)), 3) for n in range(1, 10)] == list(T95)


@pytest.mark.parametrize("name", pages())
def test_a_page_is_what_its_results_render_to(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name]
