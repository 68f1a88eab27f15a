"""``--expect`` from the command line: exit statuses, and where an expectation is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.comparison.expectations import BETTER, EQUIVALENT, FASTER
from tests.comparison.test_compare import refused
from tests.comparison.test_page import Reader
from tests.support.logging_styles import STYLES, training
from tests.support.plain_runs import log_run
from tests.support.recorded import compared_as_json, misfits

pytestmark = pytest.mark.usefixtures("store")
# Two arms that are equivalent, and one that is behind in speed alone.
TAU = {"Adam": 4.0, "NAdam": 4.0, "SGD": 6.0}


def log_arms(seeds: int = 5) -> None:
    for place, (name, tau) in enumerate(TAU.items()):
        for seed in range(seeds):
            params, points = STYLES["keras"](training(10 * seed + place, tau))
            log_run("study", {"optimizer": name, "lr": 0.1, "seed": seed, **params}, points, name=f"{name} {seed}")


HOLDS, CONTRADICTED, UNDECIDED = "adam faster than sgd", "sgd faster than adam", "adam faster than nadam"
CASES: dict[str, tuple[tuple[str, ...], int]] = {
    "nothing expected": ((), 0),
    "one that holds": ((HOLDS,), 0),
    "one contradicted": ((CONTRADICTED,), 4),
    "one undecided": ((UNDECIDED,), 5),
    "held and undecided": ((HOLDS, UNDECIDED), 5),
    "contradicted and undecided": ((CONTRADICTED, UNDECIDED, HOLDS), 4),
    "undecided and contradicted": ((HOLDS, UNDECIDED, CONTRADICTED), 4),
}


def flags(texts: tuple[str, ...]) -> list[str]:
    return [word for text in texts for word in ("--expect", text)]


def test_the_exit_status_is_that_of_the_worst_and_all_are_written_in_their_order() -> None:
    log_arms()
    for texts, status in CASES.values():
        found = compared_as_json("--target", "0.8", *flags(texts), status=status)
        assert not misfits(found)
        assert [one["text"] for one in found["expectations"]] == list(texts)
        worst = {0: {"holds"}, 4: {"contradicted"}, 5: {"undecided"}}[status]
        assert worst <= {one["outcome"] for one in found["expectations"]} or not texts


def test_expectations_stand_in_the_json_on_the_page_and_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log_arms()
    texts = ("Adam is Faster than SGD", "nadam  equivalent adam", "sgd better than adam")
    found = compared_as_json("--target", "0.8", "--html", "page.html", *flags(texts), status=4)
    stored = [(one["text"], one["first"], one["relation"], one["second"]) for one in found["expectations"]]
    assert stored == [
        (texts[0], "Adam", FASTER, "SGD"), (texts[1], "NAdam", EQUIVALENT, "Adam"), (texts[2], "SGD", BETTER, "Adam"),
    ]  # fmt: skip
    outcomes = {"holds": "It holds.", "contradicted": "It is contradicted."}
    sentences = [
        f"Expected: {one['text']}. {outcomes[one['outcome']]} {one['because']}" for one in found["expectations"]
    ]
    printed = " ".join(capsys.readouterr().out.split())
    shown = Reader(Path("page.html").read_text(encoding="utf-8")).text
    for sentence in (" ".join(sentence.split()) for sentence in sentences):
        assert sentence in printed
        assert sentence in shown
    # They come after the verdict, which they do not change.
    assert shown.index(found["answer"][0]) < shown.index("Expected: ")
    assert found["answer"] == compared_as_json("--target", "0.8")["answer"]
    assert not any("Expected" in sentence for sentence in found["answer"])


def test_what_was_expected_changes_no_number() -> None:
    log_arms(3)
    plain = compared_as_json()
    asked = compared_as_json("--expect", "adam better than sgd", "--expect=adam equivalent nadam", status=4)
    assert asked["request"]["words"] == [
        "--expect", "adam better than sgd", "--expect=adam equivalent nadam", "--experiment", "study",
    ]  # fmt: skip
    asked["request"], asked["expectations"] = plain["request"], []
    assert asked == plain


def test_one_seed_decides_nothing() -> None:
    log_arms(1)
    words = flags(("adam better than sgd", "adam faster than sgd", "adam equivalent sgd", "adam steadier than sgd"))
    found = compared_as_json(*words, status=5)
    assert {one["outcome"] for one in found["expectations"]} == {"undecided"}


def test_where_no_speed_is_compared_the_reason_is_given() -> None:
    for seed in range(3):
        for name, style, epochs in (("A", "by step", 40), ("B", "by epoch", 25)):
            params, points = STYLES[style](training(seed, 4, epochs=epochs))
            log_run("unsure", {"optimizer": name, "seed": seed, **params}, points)
    (found,) = compared_as_json("--expect", "a faster than b", status=5)["expectations"]
    assert found["because"].startswith(
        "A and B were not compared in speed. Speed is not compared: evaluations of B are"
    )


@pytest.mark.parametrize("text", ["adam beats sgd", "adam", "", "adam better sgd", "better than sgd", "adam\nsgd"])
def test_another_form_is_refused_and_one_that_is_right_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "--expect", text)
    assert said == (
        f"lossopt: compare --expect: {text!r}: expected two arms and better than, faster than, steadier than or "
        "equivalent to between them, as 'adam faster than sgd'; turn the arms round for slower or worse, and repeat "
        "--expect for a second sentence\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expect", "muon faster than sgd"], "no arm 'muon'; there are: "),
        (["--expect", "adam faster than sgdd"], "no arm 'sgdd' (did you mean 'SGD'?); there are: "),
        (["--expect", "adam faster than ADAM"], "both arms are Adam; name two different ones"),
        (["--json", "file/record.json"], "compare --json file/record.json: cannot be written: "),
        (["--html", "file/page.html"], "compare --html file/page.html: cannot be written: "),
        (["--expect"], "compare --expect: expected one argument"),
        (["--taget", "1"], "compare --taget: no such flag"),
    ],
)
def test_a_mistake_counts_more_than_what_is_contradicted(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_arms(3)
    Path("file").touch()
    assert main(["compare", "--target", "0.8", "--expect", CONTRADICTED]) == 4
    assert said in refused(capsys, "--target", "0.8", "--expect", CONTRADICTED, *words)


def test_an_unknown_arm_is_found_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log_arms(1)
    refused(capsys, "--expect", "muon faster than sgd", "--json", "record.json", "--html", "page.html")
    assert not Path("record.json").exists()
    assert not Path("page.html").exists()
