"""What a comparison takes as runs and arms grow, by counts that no other program on the machine changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.sample_comparison import WORDS, comparison
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.listing import MOST_CONTRASTS, MOST_OF_A_QUESTION, listing
from lit_lossopt.comparison.measures.oscillation import medians_of_others, ripples
from lit_lossopt.comparison.record import text as record_text
from lit_lossopt.comparison.record.text import PACKED, as_tree, read_tree
from lit_lossopt.comparison.report import page as page_module
from lit_lossopt.comparison.report.figures import figures
from lit_lossopt.comparison.report.page import page
from lit_lossopt.comparison.report.page_data import MOST_ARMS, with_first_arms
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.plain_runs import learning, log_run
from tests.support.recorded import tree_of
from tests.support.synthetic_runs import arms_of, compared, rising

Floats = NDArray[np.float64]
MANY, SEEDS = 60, 4


def of_arms(count: int) -> Comparison:
    """Return a comparison of arms of which each has another speed."""
    random = np.random.default_rng(0)
    taus = {f"arm {place}": 80.0 + 3 * place for place in range(count)}

    def curve(name: str, seed: int) -> Floats:
        noise: Floats = 0.004 * random.standard_normal(21)
        return rising(taus[name] + seed, 0.7 + taus[name] / 5000) + noise

    return compared(arms_of(curve, list(taus), seeds=SEEDS))


@pytest.fixture(scope="module")
def many() -> Comparison:
    """Return a comparison of sixty arms."""
    return of_arms(MANY)


@contextmanager
def counted_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give the statements that sqlite runs meanwhile."""
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*words: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*words, **more)
        connection.set_trace_callback(statements.append)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        yield statements


@pytest.mark.usefixtures("store")
def test_runs_are_listed_with_as_many_statements_as_one_and_a_history_takes_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: dict[int, tuple[int, int]] = {}
    for count in (2, 6):
        for seed in range(count):
            log_run(f"of {count}", {"seed": seed}, learning(seed, 5.0, evaluations=3))
        with counted_statements(monkeypatch) as listed:
            read_runs(f"of {count}", metrics=())
        with counted_statements(monkeypatch) as read:
            runs = read_runs(f"of {count}", metrics=["train/loss"])
        assert all(len(run.histories["train/loss"].steps) == 40 for run in runs)
        questions = [one for one in read if "FROM metrics" in one]
        assert len(questions) == count
        taken[count] = len(listed), len(read) - len(questions)
    assert taken[2] == taken[6]


def test_the_median_of_other_rows_is_that_of_numpy() -> None:
    random = np.random.default_rng(0)
    for rows in range(2, 9):
        for values in (random.standard_normal((rows, 50)), random.integers(0, 3, (rows, 50)).astype(np.float64)):
            for place, found in enumerate(medians_of_others(values)):
                assert np.array_equal(found, np.median(np.delete(values, place, axis=0), axis=0))


def test_ripples_look_at_as_many_values_a_run_however_many_runs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    looked_at = 0

    def counting(function: Any) -> Any:
        def counted(values: Any, *words: Any, **more: Any) -> Any:
            nonlocal looked_at
            looked_at += np.size(values)
            return function(values, *words, **more)

        return counted

    monkeypatch.setattr(np, "median", counting(np.median))
    monkeypatch.setattr(np, "sort", counting(np.sort))
    each = []
    for runs in (4, 24):
        looked_at = 0
        ripples([np.linspace(2, 1, 200) + 0.1 * random.standard_normal(200) for _ in range(runs)], 21)
        each.append(looked_at / runs)
    assert each[0] > 0
    assert each[1] == each[0]


def test_of_very_many_contrasts_a_page_and_its_json_list_few_and_say_so(many: Comparison) -> None:
    tested = 3 * MANY * (MANY - 1) // 2
    assert len(many.contrasts) == many.comparisons == tested > MOST_CONTRASTS
    listed = listing(many)
    assert 0 < len(listed.contrasts) <= 3 * MOST_OF_A_QUESTION
    assert set(map(id, listed.contrasts)) <= set(map(id, many.contrasts))
    best = many.alike[0]
    assert sum(best in {one.first, one.second} for one in listed.finals) == MANY - 1
    assert len(tree_of(many)["contrasts"]) == len(listed.contrasts)
    said = f"Of {tested:,} comparisons of two arms, a page and its JSON list {len(listed.contrasts):,}"
    assert any(note.startswith(said) for note in many.notes)
    # What is claimed, and in which words, rests on all of them.
    assert answer(many) == answer(replace(many, all_pairs=True))


def test_who_asks_for_all_pairs_gets_all_and_few_are_never_cut(many: Comparison) -> None:
    whole = replace(many, all_pairs=True, finals=tuple(one for one in many.contrasts if one.quantity == "final"))
    assert listing(whole).contrasts == many.contrasts
    assert len(listing(whole).finals) == MANY * (MANY - 1) // 2
    few = compared(arms_of(lambda name, seed: rising(100.0 + 50 * (name == "b") + seed), ["a", "b", "c"], seeds=4))
    assert listing(few).contrasts == few.contrasts
    assert not any("--all-pairs" in note for note in few.notes)


def test_a_page_and_its_json_grow_with_the_runs_and_not_with_all_pairs_of_arms(many: Comparison) -> None:
    more = MANY * 5 // 4
    sizes = []
    for made in (many, of_arms(more)):
        record = as_tree(tree_of(made))
        sizes.append((len(page(made, answer(made))), len(json.dumps(record))))
    added = SEEDS * (more - MANY)
    bytes_of_page, bytes_of_json = ((after - before) / added for before, after in zip(*sizes, strict=True))
    # What a run adds, of its own and as a part of its arm.
    assert 100 < bytes_of_page < 1_500
    assert 1_000 < bytes_of_json < 8_000


def test_no_more_arms_are_drawn_than_one_can_tell_apart_and_the_figure_says_so() -> None:
    made = comparison(arms=MOST_ARMS + 10, seeds=2, steps=60)
    names = [arm.name for arm in made.arms]
    for figure in figures(made):
        cut = with_first_arms(figure, names)
        for panel, whole in zip(cut.panels, figure.panels, strict=True):
            drawn = {line.arm for line in panel.lines} | {raw.arm for raw in panel.raws}
            drawn |= {dots.arm for dots in panel.dots}
            if figure.of_families:
                assert panel is whole
            else:
                assert drawn <= set(names[:MOST_ARMS])
                assert len(panel.rows) <= MOST_ARMS
                assert panel.rows == whole.rows[:MOST_ARMS]
        assert cut.conclusion == figure.conclusion
    metric = with_first_arms(figures(made)[0], names)
    assert metric.reading.endswith(
        f"Drawn are the {MOST_ARMS} of {len(names)} arms that end best. The table of arms has all."
    )
    text = page(made, WORDS)
    assert text.count('class="chip"') == MOST_ARMS
    assert all(f">{name}<" in text for name in names)


def test_a_large_record_is_packed_and_read_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparison(arms=3, seeds=2, steps=60)
    tree = as_tree(tree_of(made))
    plain = page(made, WORDS, tree)
    monkeypatch.setattr(page_module, "MOST_PLAIN", 1000)
    packed = page(made, WORDS, tree)
    assert f'type="{PACKED}"' in packed
    assert len(packed) < len(plain)
    assert record_text.unpacked(packed) == plain == record_text.unpacked(plain)
    (tmp_path / "page.html").write_text(packed, encoding="utf-8")
    assert read_tree(tmp_path / "page.html") == (json.loads(json.dumps(tree)), packed)


@pytest.mark.parametrize("harm", ["cut off", "no base64", "too large"])
def test_a_packed_record_that_is_none_is_refused(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparison(arms=3, seeds=2, steps=60)
    monkeypatch.setattr(page_module, "MOST_PLAIN", 1000)
    text = page(made, WORDS, tree_of(made))
    begin = text.index(f'type="{PACKED}"') + 100
    end = text.index("</script>", begin)
    if harm == "cut off":
        text = text[: begin + (end - begin) // 8 * 4 - 100 % 4] + text[end:]
    elif harm == "no base64":
        text = f"{text[:begin]}%{text[begin + 1 :]}"
    else:
        monkeypatch.setattr(record_text, "_LARGEST", 1000)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="it holds no comparison that can be read"):
        read_tree(tmp_path / "page.html")
