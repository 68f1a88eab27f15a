"""Trees of plain values: every leaf that differs is found, and named by what leads to it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_lossopt.verify.differences import Difference, differences
from lit_lossopt.verify.mirror import mirrored_folder
from lit_lossopt.verify.page_text import first_difference, text_differences

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)
RECORD: dict[str, Any] = {
    "title": "small",
    "arms": [{"name": "adam", "final": {"value": 0.75}}, {"name": "sgd", "final": {"value": 0.5}}],
    "runs": [{"run_id": "ab", "arm": "adam", "seed": "1", "final": 0.75}, {"run_id": "cd", "arm": "sgd", "seed": ""}],
    "contrasts": [{"quantity": "final", "first": "adam", "second": "sgd", "leads": [0.25, 0.5]}],
    "notes": ["one", "two"],
}


@given(TREES)
def test_a_tree_does_not_differ_from_itself(tree: Any) -> None:
    assert list(differences(tree, json.loads(json.dumps(tree)))) == []


def _leaves(tree: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [leaf for key, value in items for leaf in _leaves(value, (*way, key))]
    return [way]


def _changed(tree: Any, way: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(tree)
    *path, last = way
    part = changed
    for key in path:
        part = part[key]
    value = part[last]
    part[last] = f"{value}x" if isinstance(value, str) else value + 1e-15
    return changed


# Those that tell an element from others are not changed: then it is another element.
IDENTIFY = {"name", "run_id", "quantity", "first", "second", "arm", "seed"}


@pytest.mark.parametrize("way", [way for way in _leaves(RECORD) if way[-1] not in IDENTIFY])
def test_any_one_leaf_is_found(way: tuple[Any, ...]) -> None:
    found = list(differences(RECORD, _changed(RECORD, way)))
    assert len(found) == 1
    assert found[0].place[0] == way[0]


@pytest.mark.parametrize(
    ("way", "place"),
    [
        (("arms", 1, "final", "value"), ("arms", "sgd", "final", "value")),
        (("runs", 0, "final"), ("runs", "run ab (adam, seed 1)", "final")),
        (("contrasts", 0, "leads", 1), ("contrasts", "final of adam against sgd", "leads", "number 2")),
        (("notes", 1), ("notes", "number 2")),
    ],
)
def test_a_cell_has_the_names_that_a_person_knows(way: tuple[Any, ...], place: tuple[str, ...]) -> None:
    (found,) = differences(RECORD, _changed(RECORD, way))
    assert found.place == place


def test_the_order_of_elements_matters_and_is_told_by_their_names() -> None:
    (found,) = differences(RECORD, {**RECORD, "runs": RECORD["runs"][::-1]})
    assert (found.place, found.recorded, found.found) == (("runs", "order"), "ab, cd", "cd, ab")
    assert len(list(differences(RECORD, {**RECORD, "notes": RECORD["notes"][::-1]}))) == 2


def test_elements_of_one_name_are_told_by_their_places() -> None:
    twice = [{"name": "adam", "value": 1.0}, {"name": "adam", "value": 2.0}]
    (found,) = differences(twice, [twice[0], {"name": "adam", "value": 3.0}])
    assert found.place == ("number 2", "value")


def test_a_tolerance_is_relative() -> None:
    assert list(differences({"p": 1e-12}, {"p": 1.0000001e-12}, 1e-6)) == []
    assert len(list(differences({"p": 1.0}, {"p": 1.00001}, 1e-6))) == 1
    assert len(list(differences({"n": 3}, {"n": 4}, 1.0))) == 1


def test_what_is_true_is_not_one() -> None:
    assert len(list(differences({"claimed": True}, {"claimed": 1}))) == 1
    assert list(differences({"n": 1}, {"n": 1.0})) == []


@given(st.text(min_size=1, max_size=400), st.integers(0, 399))
def test_long_texts_are_cut_where_they_differ(text: str, place: int) -> None:
    place = min(place, len(text) - 1)
    other = text[:place] + ("b" if text[place] == "a" else "a") + text[place + 1 :]
    said = Difference(("answer",), text, other).in_words("the store")
    then, _, now = said.removeprefix("answer: ").partition(" is recorded, and ")
    assert then != now.removesuffix(" comes from the store")


def test_texts_of_a_page_are_compared_and_its_scripts_where_they_should() -> None:
    page = "<h2>Arms</h2><table><td data-order='1.5'>one</td></table><script>let x = 1</script>"
    assert list(text_differences(page, page)) == []
    (text,) = text_differences(page, page.replace("one", "two"))
    assert text.place == ("text of the page", "“Arms”")
    assert len(list(text_differences(page, page.replace("1.5", "2.5")))) == 1
    other = page.replace("x = 1", "x = 2")
    assert len(list(text_differences(page, other))) == 1
    assert list(text_differences(page, other, scripts=False)) == []
    hidden = page.replace("<table>", "<table hidden>")
    assert list(text_differences(page, hidden)) == []
    assert first_difference(page, hidden).recorded == page


def test_the_mirror_has_what_relative_paths_mean_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "work" / "here"
    (here / "mlruns" / "1" / "run").mkdir(parents=True)
    (here / "mlruns" / "journal").mkdir()
    (here / "mlruns" / "1" / "run" / "weights.ckpt").write_text("weights")
    (here / "mlflow.db").write_text("store")
    (here / "mine.yaml").write_text("mine")
    (here / "checkpoints").mkdir()
    (here / "checkpoints" / "old.ckpt").write_text("old")
    (tmp_path / "work" / "beside.yaml").write_text("beside")
    (tmp_path / "above.yaml").write_text("above")
    monkeypatch.chdir(here)
    with mirrored_folder(["checkpoints"]) as folder:
        assert Path.cwd() == folder != here
        texts = {"mine.yaml": "mine", "../beside.yaml": "beside", "../../above.yaml": "above"}
        assert {name: Path(name).read_text() for name in texts} == texts
        assert Path("mlruns/1/run/weights.ckpt").read_text() == "weights"
        assert not Path("mlflow.db").exists()
        assert not Path("mlruns/journal").exists()
        Path("checkpoints").mkdir()
        for written in ("mlflow.db", "mlruns/1/new", "mlruns/new", "new.txt", "checkpoints/new.ckpt"):
            Path(written).write_text("written")
        Path("checkpoints/old.ckpt").write_text("written")
    assert Path.cwd() == here
    assert not folder.exists()
    kept = sorted(path.name for path in here.rglob("*") if path.is_file())
    assert kept == ["mine.yaml", "mlflow.db", "old.ckpt", "weights.ckpt"]
    assert (here / "checkpoints" / "old.ckpt").read_text() == "old"
    assert (here / "mlflow.db").read_text() == "store"
