"""A page that holds, and every way in which one may not: it is caught, and the cell is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from tests.support.plain_runs import learning, log_run
from tests.verify.conftest import SmallSweep

Said = pytest.CaptureFixture[str]


def verify(*words: str | Path) -> int:
    """Return the exit status of the command."""
    return main(["verify", *map(str, words)])


def everything_in(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, but for those that the store locks by and those that libraries keep for all."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    own = {name: path for name, path in files.items() if name.parts[0] != "cache"}
    return {str(name): path.read_bytes() for name, path in own.items() if not name.name.startswith("mlflow.db")}


def test_a_page_holds_and_its_trials_are_reproduced_to_the_bit(small_sweep: SmallSweep, capsys: Said) -> None:
    before, here = everything_in(small_sweep.home), Path.cwd()
    assert verify(small_sweep.page, "--sample", "2", "--seed", "1") == 0
    said = capsys.readouterr().out
    assert "six runs: every value is the same, to the last bit." in said
    assert "The page is what the program makes of these runs, byte by byte." in said
    assert "The configs of six runs are as they were logged." in said
    assert "Running 2 of six trials again, chosen by --seed 1" in said
    assert said.count("are the same to the bit") == 2
    assert said.endswith(f"{small_sweep.page} holds.\n")
    # Nothing is left behind.
    assert everything_in(small_sweep.home) == before
    assert Path.cwd() == here
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{small_sweep.home}/mlflow.db"


def _first_run(tree: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = tree["runs"][0]
    return run


def _contrast(tree: dict[str, Any]) -> dict[str, Any]:
    contrast: dict[str, Any] = tree["contrasts"][0]
    return contrast


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a final value": (lambda tree: _first_run(tree).update(final=_first_run(tree)["final"] + 1e-15), ", final: 0."),
    "a p value": (lambda tree: _contrast(tree).update(p=0.01), ", p: 0.01 is recorded"),
    "a decision": (lambda tree: _contrast(tree).update(decision="claimed"), ", decision: 'claimed' is recorded"),
    "a word": (lambda tree: tree.update(answer=["adam wins", *tree["answer"][1:]]), "answer, number 1: "),
    "a run that is gone": (lambda tree: tree["runs"].pop(0), "nothing is recorded"),
    "an arm that is gone": (lambda tree: tree["arms"].pop(0), "arms, adam"),
    "a part that is gone": (lambda tree: tree.pop("sensitivity"), "sensitivity: nothing is recorded"),
    "a part of its own": (lambda tree: tree.update(winner="sgd"), "winner: 'sgd' is recorded, and nothing comes from"),
    "the margin": (lambda tree: tree["question"].update(margin=0.5), "question, margin: 0.5 is recorded"),
    "a note": (lambda tree: tree["notes"].append("All is well."), ": 'All is well.' is recorded"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_what_was_altered_in_the_record_is_named(case: str, small_sweep: SmallSweep, capsys: Said) -> None:
    change, named = ALTERED[case]
    small_sweep.rewrite(change)
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert named in capsys.readouterr().out


def test_the_flags_of_the_record_are_those_that_are_computed_with(small_sweep: SmallSweep, capsys: Said) -> None:
    small_sweep.rewrite(lambda tree: tree["request"].update(words=["--margin", "0.5"]))
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert "question, margin: 0.01 is recorded, and 0.5 comes from the store" in capsys.readouterr().out


def test_a_digit_that_only_readers_see_is_named(small_sweep: SmallSweep, capsys: Said) -> None:
    page = small_sweep.page.read_text(encoding="utf-8")
    place = page.index("<td", page.index('id="arms"'))
    altered = page[:place] + page[place:].replace("%", "% (certain)", 1).replace(" to ", " up to ", 1)
    small_sweep.page.write_text(altered, encoding="utf-8")
    assert verify(small_sweep.page, "--sample", "0") == 4
    said = capsys.readouterr().out
    assert "every value is the same" in said
    assert "text of the page, “Each arm" in said
    assert "up to" in said


def test_a_page_with_a_script_of_its_own_does_not_hold(small_sweep: SmallSweep, capsys: Said) -> None:
    page = small_sweep.page.read_text(encoding="utf-8")
    small_sweep.page.write_text(page.replace("</body>", "<script>document.title = 1</script></body>"), encoding="utf-8")
    assert verify(small_sweep.page, "--sample", "0") == 4
    assert "document.title" in capsys.readouterr().out


IN_THE_STORE = {
    "a loss": (
        "UPDATE metrics SET value = value * (1 + 1e-15) WHERE key = 'train/loss' AND step = 5 AND run_uuid = ?",
        ", histories, train/loss, sha256:",
    ),
    "an evaluation": (
        "UPDATE metrics SET value = value - 0.001 WHERE key = 'val/accuracy' AND step = 8 AND run_uuid = ?",
        ", evaluations, values, number 5:",
    ),
    "a point that is gone": (
        "DELETE FROM metrics WHERE key = 'train/loss' AND step = 5 AND run_uuid = ?",
        ", histories, train/loss, points: 8",
    ),
    "a parameter": (
        "UPDATE params SET value = '0.5' WHERE key = 'optimizer.lr' AND run_uuid = ?", ", params, optimizer.lr: '0.",
    ),
    "a seed": ("UPDATE tags SET value = '9' WHERE key = 'lossopt.seed' AND run_uuid = ?", ", tags, lossopt.seed: '"),
    "a verdict": (
        "UPDATE tags SET value = 'diverged' WHERE key = 'lossopt.verdict' AND run_uuid = ?", "'diverged' comes from",
    ),
    "a deleted run": ("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", "reason 'deleted' comes"),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_THE_STORE)
def test_what_was_changed_in_the_store_is_named(case: str, small_sweep: SmallSweep, capsys: Said) -> None:
    statement, named = IN_THE_STORE[case]
    run_id = small_sweep.tree()["runs"][0]["run_id"]
    small_sweep.in_the_store(statement, run_id)
    assert verify(small_sweep.record, "--sample", "0") == 4
    said = capsys.readouterr().out
    assert named in said
    # What changed stands before what follows from it.
    assert run_id in said.splitlines()[1]


def test_a_run_that_is_gone_for_good_is_named(small_sweep: SmallSweep, capsys: Said) -> None:
    run_id = small_sweep.tree()["runs"][0]["run_id"]
    small_sweep.in_the_store("DELETE FROM runs WHERE run_uuid = ?", run_id)
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert f"Run {run_id!r}: there is no such run" in capsys.readouterr().out


def test_runs_that_came_later_change_nothing(small_sweep: SmallSweep, capsys: Said) -> None:
    later = small_sweep.tree()["runs"][0]["params"]
    log_run(
        "small", {**later, "seed": 7}, {"val/accuracy": [(0, 0.1), (8, 0.9)]}, tags={names.TAG_VERDICT: "completed"}
    )
    assert verify(small_sweep.page, "--sample", "0") == 0
    assert "every value is the same" in capsys.readouterr().out


def test_a_changed_setting_of_a_config_is_named(small_sweep: SmallSweep, capsys: Said) -> None:
    run_id = small_sweep.tree()["runs"][0]["run_id"]
    config = small_sweep.artifact(run_id, names.CONFIG_ARTIFACT)
    config.write_text(config.read_text().replace("batch_size: 64", "batch_size: 128"))
    assert verify(small_sweep.record, "--sample", "0") == 4
    said = capsys.readouterr().out
    assert f"run {run_id[:8]} (" in said
    assert "config.yaml, data.batch_size: '64' is recorded, and '128' comes from its artifact" in said


@pytest.mark.parametrize("text", [": not a config", "a: 1"])
def test_a_config_that_is_none_any_more_is_named(text: str, small_sweep: SmallSweep, capsys: Said) -> None:
    run_id = small_sweep.tree()["runs"][0]["run_id"]
    small_sweep.artifact(run_id, names.CONFIG_ARTIFACT).write_text(text)
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert f"run {run_id[:8]} (" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("")])
def test_a_config_that_is_gone_contradicts_nothing(
    spoil: Callable[[Path], Any], small_sweep: SmallSweep, capsys: Said
) -> None:
    run_id = small_sweep.tree()["runs"][0]["run_id"]
    spoil(small_sweep.artifact(run_id, names.CONFIG_ARTIFACT))
    assert verify(small_sweep.record, "--sample", "0") == 5
    said = capsys.readouterr().out
    assert "The configs of five runs are as they were logged." in said
    assert "The configs of one run are gone, or their checksums are. They were not checked." in said
    assert "but not everything could be checked." in said


def test_a_store_and_a_page_that_agree_are_caught_by_running_again(small_sweep: SmallSweep, capsys: Said) -> None:
    small_sweep.in_the_store("UPDATE metrics SET value = value + 0.25 WHERE key = 'train/loss' AND step = 5")
    small_sweep.in_the_store("UPDATE metrics SET value = 0.99 WHERE key = 'val/accuracy' AND step = 8")
    small_sweep.write_again()
    # The file that the recorded command line names has changed, too.
    settings = small_sweep.home / "small.yaml"
    settings.write_text(settings.read_text().replace("trainer:", "trainer:\n  detect_anomaly: true"))
    assert verify(small_sweep.record, "--sample", "1") == 4
    said = capsys.readouterr().out
    assert "every value is the same" in said
    assert said.count("it does not give what was recorded") == 1, said
    assert "train/loss, step 5: " in said
    assert "val/accuracy, step 8: 0.99 is recorded, and 0." in said
    assert "config.yaml, trainer, detect_anomaly: False is recorded, and True comes from the repetition" in said


@pytest.mark.usefixtures("store")
def test_runs_of_other_programs_are_computed_again_but_not_run(capsys: Said) -> None:
    for optimizer, speed in (("adam", 2.0), ("sgd", 1.0)):
        for seed in range(3):
            log_run("other", {"optimizer": optimizer, "seed": seed}, learning(seed, speed))
    assert main(["compare", "--experiment", "other", "--json", "other.json"]) == 0
    capsys.readouterr()
    assert verify("other.json") == 0
    said = capsys.readouterr().out
    assert "No run has recorded the checksum of a config." in said
    assert "No trial was run again: it records no command line." in said
    # Who asks for it misses it.
    assert verify("other.json", "--sample", "2") == 5


NOT_A_RECORD = {
    "nothing": ("missing.html", None, "cannot be read: No such file or directory"),
    "another page": ("page.html", "<!doctype html><title>No</title>", "it holds no comparison that can be read"),
    "another JSON": ("other.json", "[1, 2]", "it holds no comparison that can be read"),
    "half a JSON": ("half.json", '{"format": "lit_lossopt comparison", ', "it holds no comparison that can be read"),
    "a later version": (
        "later.json", '{"format": "lit_lossopt comparison", "version": 99}', "its format has version 99",
    ),
    "a record without its request": (
        "part.json", '{"format": "lit_lossopt comparison", "version": 1}', "it lacks request.words",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("case", NOT_A_RECORD)
def test_what_is_no_record_is_one_line(case: str, tmp_path: Path, capsys: Said) -> None:
    name, text, said = NOT_A_RECORD[case]
    if text is not None:
        (tmp_path / name).write_text(text)
    assert verify(name) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "name a page or a JSON file"), (["a", "--sample", "-1"], "--sample"), (["a", "--sampel", "1"], "--sample")],
)
def test_what_was_mistyped_is_one_line(words: list[str], said: str, capsys: Said) -> None:
    assert verify(*words) == 2
    assert said in capsys.readouterr().err


def test_other_versions_are_said_and_leave_tolerances(small_sweep: SmallSweep, capsys: Said) -> None:
    def spoil(tree: dict[str, Any]) -> None:
        tree["made_with"]["packages"]["scipy"] = "0.1"
        contrast = _contrast(tree)
        contrast["p"] *= 1 + 1e-9

    small_sweep.rewrite(spoil)
    assert verify(small_sweep.record, "--sample", "0") == 0
    said = capsys.readouterr().out
    assert "within 1e-06 (relative), since these differ: scipy 0.1, now" in said
    assert "holds, within the tolerances that are named above." in said
    small_sweep.rewrite(lambda tree: _contrast(tree).update(p=_contrast(tree)["p"] * 1.001))
    assert verify(small_sweep.record, "--sample", "0") == 4


@pytest.mark.parametrize(
    "claim", [lambda made: made.update(source_sha256="0"), lambda made: made["packages"].pop("lit_lossopt")]
)
def test_who_claims_another_program_is_not_believed(
    claim: Callable[[dict[str, Any]], Any], small_sweep: SmallSweep, capsys: Said
) -> None:
    def spoil(tree: dict[str, Any]) -> None:
        claim(tree["made_with"])
        tree["answer"] = ["sgd is best."]

    small_sweep.rewrite(spoil)
    assert verify(small_sweep.record, "--sample", "0") == 5
    assert "Its sentences were not compared, since another state of this program" in capsys.readouterr().out


def test_expectations_are_compared_whatever_program_wrote_them(small_sweep: SmallSweep, capsys: Said) -> None:
    small_sweep.write_again("--expect", "adam better than sgd")
    assert verify(small_sweep.record, "--sample", "0") == 0

    def spoil(tree: dict[str, Any]) -> None:
        tree["made_with"]["source_sha256"] = "0"
        tree["expectations"][0].update(outcome="contradicted", because="So it is.")

    small_sweep.rewrite(spoil)
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert "outcome: 'contradicted' is recorded" in capsys.readouterr().out


SPOILT_PAGES: dict[str, tuple[str, str]] = {
    "another element of that name": ("<main", '<p id="comparison-record">sgd is best</p><main'),
    "a style": ("</head>", "<style>h1::after{content:'sgd is best'}</style></head>"),
    "hidden rows": ("<tr>", "<tr hidden>"),
    "a comment that browsers show": ("</body>", "<!--> <b>sgd is best</b> --></body>"),
    "a script from elsewhere": ("</body>", '<script src="evil.js"></script></body>'),
    "its policy": ("default-src ", "default-src * "),
    "the value that sorts": ('data-order="0', 'data-order="1'),
}


@pytest.mark.parametrize("case", SPOILT_PAGES)
def test_a_page_is_compared_byte_by_byte(case: str, small_sweep: SmallSweep) -> None:
    before, after = SPOILT_PAGES[case]
    page = small_sweep.page.read_text(encoding="utf-8")
    assert before in page
    small_sweep.page.write_text(page.replace(before, after, 1), encoding="utf-8")
    # Two elements of that name are refused, since it is not known which one counts.
    assert verify(small_sweep.page, "--sample", "0") == (2 if "name" in case else 4)


def test_runs_that_were_left_out_by_hand_are_found_by_the_flags(small_sweep: SmallSweep, capsys: Said) -> None:
    dropped, *kept = small_sweep.tree()["request"]["runs"]
    assert main(["compare", "--runs", ",".join(kept), "--json", str(small_sweep.record)]) == 0
    assert verify(small_sweep.record, "--sample", "0") == 0
    small_sweep.rewrite(lambda tree: tree["request"].update(words=["--experiment", "small"]))
    capsys.readouterr()
    assert verify(small_sweep.record, "--sample", "0") == 4
    said = capsys.readouterr().out
    assert "The flags of the record select other runs than those in it." in said
    assert f"run {dropped} (" in said


def test_the_newest_experiment_stays_the_one_that_was_compared(small_sweep: SmallSweep) -> None:
    assert main(["compare", "--json", str(small_sweep.record)]) == 0
    log_run("newer", {"optimizer": "adam", "seed": 1}, learning(1, 1.0))
    assert verify(small_sweep.record, "--sample", "0") == 0


def test_a_run_that_still_trained_contradicts_nothing(small_sweep: SmallSweep, capsys: Said) -> None:
    later = small_sweep.tree()["runs"][0]["params"]
    curves = {"val/accuracy": [(0, 0.1), (8, 0.9)], "train/loss": [(0, 2.0), (8, 0.5)]}
    run_id = log_run("small", {**later, "seed": 7}, curves, status="RUNNING")
    small_sweep.write_again()
    assert [one["run_id"] for one in small_sweep.tree()["left_out"]] == [run_id]
    MlflowClient().set_terminated(run_id, "FINISHED")
    for file in (small_sweep.record, small_sweep.page):
        capsys.readouterr()
        assert verify(file, "--sample", "0") == 5
        assert "One run still trained when the record was made, and was not compared." in capsys.readouterr().out


def test_nothing_is_left_where_a_training_writes_files_of_its_own(small_sweep: SmallSweep) -> None:
    assert (small_sweep.home / "small.yaml").is_file()
    words = ["--config", "small.yaml", "--threads=1", "--trainer.callbacks+=ModelCheckpoint"]
    own = ["--trainer.callbacks.dirpath=own", "--trainer.callbacks.filename=mine"]
    assert main(["fit", *words, *own, "--tracking.experiment=own"]) == 0
    (file,) = Path("own").iterdir()
    before = file.stat()
    assert main(["compare", "--experiment", "own", "--json", "own.json"]) == 0
    assert verify("own.json", "--sample", "1") == 0
    assert list(Path("own").iterdir()) == [file]
    assert (file.stat().st_mtime_ns, file.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_flags_that_held_a_password_leave_it_open_what_they_select(small_sweep: SmallSweep, capsys: Said) -> None:
    words = ["--experiment", "small", "--filter", "tags.token = '***'"]
    small_sweep.rewrite(lambda tree: tree["request"].update(words=words))
    assert verify(small_sweep.record, "--sample", "0") == 5
    assert "it is not known which runs they select" in capsys.readouterr().out


@pytest.mark.parametrize("left_out", [None, 5, ["run"], [{"reason": "still running"}], [{"run_id": 5, "reason": None}]])
def test_a_list_of_another_shape_is_named(left_out: Any, small_sweep: SmallSweep, capsys: Said) -> None:
    small_sweep.rewrite(lambda tree: tree.update(left_out=left_out))
    assert verify(small_sweep.record, "--sample", "0") == 4
    assert "left_out" in capsys.readouterr().out


MALFORMED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "flags": lambda tree: tree["request"].update(words=[1]),
    "runs": lambda tree: tree["request"].update(runs=[5]),
    "no runs": lambda tree: tree["request"].update(runs=[]),
    "unknown flags": lambda tree: tree["request"].update(words=["--nope"]),
    "no request": lambda tree: tree.update(request=None),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_record_out_of_shape_is_one_line(case: str, small_sweep: SmallSweep, capsys: Said) -> None:
    small_sweep.rewrite(MALFORMED[case])
    assert verify(small_sweep.record) == 2
    error = capsys.readouterr().err
    assert str(small_sweep.record) in error
    assert len(error.splitlines()) == 1


def test_a_key_that_stands_twice_is_refused(small_sweep: SmallSweep) -> None:
    text = small_sweep.record.read_text(encoding="utf-8")
    small_sweep.record.write_text(text.replace("{", '{"answer": ["sgd is best"], ', 1), encoding="utf-8")
    assert verify(small_sweep.record) == 2


def test_a_trial_that_cannot_be_run_again_is_no_contradiction(small_sweep: SmallSweep, capsys: Said) -> None:
    (small_sweep.home / "small.yaml").unlink()
    assert verify(small_sweep.record, "--sample", "1") == 5
    said = capsys.readouterr().out
    assert "it could not be run again:" in said
    assert "small.yaml" in said
    assert "Nothing contradicts" in said


def test_a_record_says_in_json_what_the_store_cannot_hold(small_sweep: SmallSweep) -> None:
    text = small_sweep.record.read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)
