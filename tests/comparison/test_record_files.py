"""The JSON that the command writes, and the one in the page, from runs that plain MLflow calls logged."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from lit_lossopt.__main__ import main
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.comparison.record.text import ELEMENT, read_tree, write_json
from lit_lossopt.core.errors import UserError
from tests.comparison.test_compare import log_study, log_styles, refused
from tests.comparison.test_page import Reader
from tests.support.logging_styles import STYLES, training
from tests.support.plain_runs import learning, log_run
from tests.support.recorded import compared_as_json, misfits, number, read_again

pytestmark = pytest.mark.usefixtures("store")
NASTY = (
    "</script><script>alert(1)</script>", "<!-- <script>", "\u2028 and \u2029", "bell \x07, \x1b[31mred\x1b[0m",
    "Адам 最適化 ü 🦊", "'\"\\ & {{ 7 * 7 }}", "</SCRIPT >]]>",
)  # fmt: skip


def read_page(path: str) -> tuple[Reader, list[str]]:
    """Return a page as a browser reads it, and the text of each script that holds the JSON."""
    reader = Reader(Path(path).read_text(encoding="utf-8"))
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    found = [text for text, attributes in zip(reader.scripts, scripts, strict=True) if attributes.get("id") == ELEMENT]
    return reader, found


def log_named(experiment: str, names: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        for seed in range(3):
            settings = {"optimizer": name, "seed": seed, "note": name}
            log_run(experiment, settings, learning(seed, 3 + place), name=f"{name} {seed}", tags={"note": name})


def test_the_json_of_the_page_is_that_of_the_file() -> None:
    log_study()
    found = compared_as_json("--html", "page.html", "--expect", "adam better than sgd lr=0.01")
    _, (script,) = read_page("page.html")
    assert read_again(script) == found
    assert read_tree(Path("page.html"))[0] == read_tree(Path("record.json"))[0] == found
    assert not misfits(found)
    assert found["request"]["words"] == ["--expect", "adam better than sgd lr=0.01", "--experiment", "study"]


def test_names_of_any_kind_survive_in_both_and_the_page_stays_whole() -> None:
    log_named("plain", tuple(f"name {place}" for place in range(len(NASTY))))
    log_named("nasty", NASTY)
    compared_as_json("--experiment", "plain", "--html", "plain.html")
    found = compared_as_json("--experiment", "nasty", "--html", "nasty.html")
    reader, (script,) = read_page("nasty.html")
    assert read_again(script) == read_tree(Path("nasty.html"))[0] == found
    assert not misfits(found)
    assert {run["params"]["optimizer"] for run in found["runs"]} == set(NASTY)
    assert {run["params"]["note"] for run in found["runs"]} == set(NASTY)
    assert {run["name"] for run in found["runs"]} == {f"{name} {seed}" for name in NASTY for seed in range(3)}
    assert len({arm["settings"]["optimizer"] for arm in found["arms"]}) == len(NASTY)
    plain, _ = read_page("plain.html")
    assert [tag for tag, _ in reader.elements] == [tag for tag, _ in plain.elements]
    assert not {"<", ">", "&", "\u2028", "\u2029"} & set(script)
    assert reader.scripts[-3:] == plain.scripts[-3:]


def test_the_page_may_run_its_own_scripts_and_the_json_is_none() -> None:
    log_named("nasty", NASTY)
    compared_as_json("--html", "page.html")
    reader, _ = read_page("page.html")
    policy = next(a["content"] or "" for _, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    kinds = [attributes.get("type") for tag, attributes in reader.elements if tag == "script"]
    for text, kind in zip(reader.scripts, kinds, strict=True):
        allowed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
        assert allowed is (kind is None)
        assert kind in {None, "application/json"}


def log_no_speed() -> None:
    for seed in range(3):
        for name, style, epochs in (("A", "by step", 40), ("B", "by epoch", 25)):
            params, points = STYLES[style](training(seed, 4, epochs=epochs))
            log_run("study", {"optimizer": name, "seed": seed, **params}, points)


def log_accidents() -> None:
    log_study()
    log_run("study", {"optimizer": "Bad"}, learning(0, 1), status="FAILED", name="bad")
    log_run("study", {"optimizer": "Now"}, learning(0, 1), status="RUNNING", name="now")
    MlflowClient().delete_run(log_run("study", {"optimizer": "Gone"}, learning(0, 1), name="gone"))
    broken = {"val/accuracy": [(0, 0.1), (100, 0.3)], "train/loss": [(1, 2.3), (2, float("inf"))]}
    for seed in range(3):
        log_run("study", {"optimizer": "SGD", "lr": 10, "seed": seed}, broken, name=f"broken {seed}")


def log_batches() -> None:
    for seed in range(3):
        for size in (16, 64):
            params, points = STYLES["by step"](training(seed, 4, per_epoch=1600 // size, batch=size))
            log_run("study", {"data.batch_size": size, "seed": seed, **params}, points)


def log_per_cents() -> None:
    for name, speed in (("Adam", 12), ("SGD", 3)):
        for seed in range(3):
            values = [(step, 100 * value) for step, value in dict(learning(seed, speed))["val/accuracy"]]
            log_run("study", {"optimizer": name, "seed": seed}, {"val_acc": values})


def log_foreign() -> None:
    styles = {"Adam": "lightning", "SGD": "keras", "Slow": "hugging face"}
    log_styles("study", styles, dict.fromkeys(styles, 4.0))


LEFT_OUT = ["failed", "still running", "deleted"]
KINDS: Mapping[str, tuple[Callable[[], object], tuple[str, ...], Callable[[Any], object]]] = {
    "no speed": (log_no_speed, (), lambda found: found["question"]["no_speed"]),
    "accidents": (
        log_accidents,
        (),
        lambda found: (
            [one["reason"].partition(" (")[0] for one in found["left_out"]] == LEFT_OUT
            and {one["steps_to_target"] for one in found["runs"] if one["verdict"] == "diverged"} == {"infinity"}
        ),
    ),
    "batch sizes": (log_batches, (), lambda found: found["question"]["axis"] == "example"),
    "per cents": (log_per_cents, (), lambda found: all(one["final"] < 1 for one in found["runs"])),
    "several programs": (log_foreign, ("--target", "0.8"), lambda found: found["question"]["target"] == 0.8),
    "at any time": (log_study, ("--sequential",), lambda found: found["question"]["sequential"] is True),
    "no level": (log_study, ("--sequential",), lambda found: found["question"]["level"] is None),
    "by one setting": (log_study, ("--by", "optimizer"), lambda found: found["question"]["by"] == ["optimizer"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_other_programs_logged_fits_the_schema(kind: str) -> None:
    log, words, holds = KINDS[kind]
    log()
    found = compared_as_json(*words)
    assert not misfits(found)
    assert holds(found)


def compared_again(*words: str) -> Comparison:
    options = parse(words)
    selected = find_runs(options)
    return compared(selected.runs, options, selected.title)


def test_the_file_has_all_pairs_and_every_number_as_it_was_computed() -> None:
    log_study()
    stored, found = compared_as_json(), compared_again()
    assert len(stored["contrasts"]) == stored["question"]["comparisons"] == 9
    assert stored["contrasts"] == compared_as_json("--all-pairs")["contrasts"]
    for kept, contrast in zip(stored["contrasts"], found.contrasts, strict=True):
        assert [number(kept[key]) for key in ("p", "p_adjusted")] == [contrast.p, contrast.p_adjusted]
        assert kept["leads"] == list(contrast.leads)
    values = {trial.run.run_id: trial.curve.values.tolist() for arm in found.arms for trial in arm.trials}
    assert {one["run_id"]: one["evaluations"]["values"] for one in stored["runs"]} == values
    logged = {run_id: dict(learning(place % 3, 1)) for place, run_id in enumerate(stored["request"]["runs"])}
    assert set(logged) == set(values)


def test_flags_that_say_where_something_is_written_are_no_part_of_the_request() -> None:
    log_study()
    words = ["--experiment=study", "--target", "0.9", "--csv", "tables", "--png=figures", "--html", "a.html"]
    assert compared_as_json(*words)["request"]["words"] == ["--experiment=study", "--target", "0.9"]
    plain, placed = compared_as_json("--target", "0.9"), compared_as_json("--target", "0.9", "--html", "b.html")
    assert plain == placed


@pytest.mark.parametrize("place", ["file/record.json", "folder", "x" * 300 + ".json"])
def test_a_place_that_cannot_be_written_is_one_line(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    log_study(seeds=1)
    Path("file").write_text("kept")
    Path("folder").mkdir()
    before = sorted(Path.cwd().iterdir())
    capsys.readouterr()
    assert f"compare --json {place}: cannot be written: " in refused(capsys, "--json", place)
    assert sorted(Path.cwd().iterdir()) == before
    assert not list(Path("folder").iterdir())


def test_a_file_is_replaced_as_a_whole_and_its_folder_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    log_study(seeds=1)
    Path("new/deep").mkdir(parents=True)
    Path("new/deep/record.json").write_text("older, and longer " * 100_000)
    found = compared_as_json(file="new/deep/record.json")
    assert found == compared_as_json(file="other/record.json")
    assert "json: other/record.json" in capsys.readouterr().out
    assert [path.name for path in Path("new/deep").iterdir()] == ["record.json"]


def test_what_json_does_not_know_is_never_written(tmp_path: Path) -> None:
    write_json({"a": 1}, tmp_path / "a.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json({"a": float("nan")}, tmp_path / "a.json")
    assert [path.name for path in tmp_path.glob("*.json*")] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it holds no comparison"), ("[]", "it holds no comparison"), ("<p>page</p>", "it holds no comparison"),
        ('{"format": "other", "version": 1}', "it holds no comparison"),
        ('{"format": "lit_lossopt comparison", "version": 2}', "its format has version 2, and this program reads 1"),
        (
            f'<script type="application/json" id="{ELEMENT}">{{"format": "lit_lossopt comparison"}}</script>',
            "its format has version None",
        ),
        (b"\xff\xfe", "cannot be read: it is no text"), (None, "cannot be read: No such file"),
    ],
)  # fmt: skip
def test_what_holds_no_comparison_is_refused_in_one_line(text: str | bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "some"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        read_tree(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_without_the_flag_no_json_is_written(tmp_path: Path) -> None:
    log_study(seeds=1)
    assert main(["compare", "--html", "page.html"]) == 0
    assert not list(tmp_path.rglob("*.json"))
