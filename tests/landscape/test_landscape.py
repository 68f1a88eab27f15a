"""``lossopt landscape`` from trained runs to files."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs

# Every step has a snapshot and, as the run is short, a probe loss.
WALK = [
    "fit", "--data=DigitsDataModule", "--threads=1", "--trainer.max_epochs=2", "--data.batch_size=160",
    "--diagnostics=trajectory@every:1", "--tracking.experiment=walks",
]  # fmt: skip
FAST = ["--points=7", "--images=32"]
OPTIMIZERS = (
    ["--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.9"],
    ["--model.optimizer=Adam", "--model.optimizer.lr=0.01"],
)


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Return a folder in which two optimizers have walked from one start, and a third from another."""
    home = tmp_path_factory.mktemp("walks")
    shutil.copy(empty_store, home / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        for words in OPTIMIZERS:
            assert main([*WALK, *words]) == 0
        assert main([*WALK, *OPTIMIZERS[0], "--seed_everything=1"]) == 0
    return home


@pytest.fixture(autouse=True)
def _there(walks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{walks}/mlflow.db")


def ids() -> list[str]:
    """Return the ids of the runs, in the order in which they began."""
    return [run.run_id for run in read_runs("walks")]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_true_losses_are_those_that_the_runs_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["landscape", "--points=5", "--csv", str(tmp_path / "tables"), "--picture", str(tmp_path / "map.png")]
    assert main(words) == 0
    said = capsys.readouterr().out
    rows = rows_of(tmp_path / "tables" / "walks.csv")
    runs = {run.run_id: run for run in read_runs("walks", metrics=[names.PROBE_LOSS])}
    # Those of one seed, the smallest that has the most runs.
    assert list(dict.fromkeys(row["run_id"] for row in rows)) == ids()[:2]
    for run_id in ids()[:2]:
        own = [row for row in rows if row["run_id"] == run_id]
        history = runs[run_id].histories[names.PROBE_LOSS]
        assert [int(row["step"]) for row in own] == history.steps.tolist()
        for key in ("loss", "logged_loss"):
            np.testing.assert_allclose([float(row[key]) for row in own], history.values, rtol=2e-4)
        # At the start, which is in the plane, both losses are one.
        assert float(own[0]["loss"]) == float(own[0]["loss_on_plane"])
        assert float(own[0]["distance_from_plane"]) == 0
        for row in own:
            away = float(row["distance_from_start"]) ** 2
            feet = float(row["x"]) ** 2 + float(row["y"]) ** 2 + float(row["distance_from_plane"]) ** 2
            assert feet == pytest.approx(away, rel=1e-6, abs=1e-12)
    shares = []
    for run_id in ids()[:2]:
        own = [row for row in rows if row["run_id"] == run_id]
        off, away = (sum(float(row[f"distance_from_{what}"]) ** 2 for row in own) for what in ("plane", "start"))
        shares.append(1 - off / away)
    assert f"holds {100 * sum(shares) / 2:.0f} % of what the weights moved" in said
    surface = rows_of(tmp_path / "tables" / "surface.csv")
    for axis in ("x", "y"):
        grid, walked = ({float(row[axis]) for row in some} for some in (surface, rows))
        assert min(grid) < min(walked)
        assert max(walked) < max(grid)
    for row in rows:
        assert re.search(rf"^ {re.escape(row['walk'])} ", said, re.MULTILINE)


def test_a_page_that_needs_nothing_else_and_a_picture(tmp_path: Path) -> None:
    page, picture = tmp_path / "new" / "walk.html", tmp_path / "walk.png"
    assert main(["landscape", *ids()[:2], *FAST, "--html", str(page), "--picture", str(picture)]) == 0
    text = page.read_text(encoding="utf-8")
    assert len(text) < 8e6
    assert "default-src &#39;none&#39;" in text
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!#)""", without_scripts)
    for run_id in ids()[:2]:
        assert run_id in text
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.std() > 10


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_the_same_runs_give_the_same_file(ending: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        assert main(["landscape", *ids()[:2], *FAST, "--picture", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_both_ends_of_a_line_are_the_logged_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _, third = ids()
    # From other starts too.
    words = ["landscape", "--line", first, third, "--points=5", "--csv", str(tmp_path), "--picture"]
    assert main([*words, str(tmp_path / "line.png")]) == 0
    losses = [float(row["loss"]) for row in rows_of(tmp_path / "line.csv")]
    ends = [read_runs(run_ids=[one], metrics=[names.PROBE_LOSS])[0] for one in (first, third)]
    logged = [run.histories[names.PROBE_LOSS].values[-1] for run in ends]
    assert losses[0] == pytest.approx(logged[0], rel=1e-5)
    # The other's probe has images of its own seed: the line's are those of the first.
    said = capsys.readouterr().out
    assert f"{losses[0]:.3g} at" in said
    rise = [loss - (1 - n / 4) * losses[0] - n / 4 * losses[-1] for n, loss in enumerate(losses)]
    assert max(rise) > 0.1
    assert f"{losses[rise.index(max(rise))]:.3g}. That is a barrier of {max(rise):.3g}" in said
    assert "was trained with another seed" in said


def test_a_random_plane_has_the_logged_loss_in_its_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_runs(run_ids=ids()[:1], metrics=[names.PROBE_LOSS])[0]
    # With an even number no point of the grid is the middle.
    assert main(["landscape", "--random", run.run_id, "--points=4", "--picture", str(tmp_path / "even.png")]) == 0
    logged = run.histories[names.PROBE_LOSS].values[-1]
    assert f"{logged:.3g} at its last weights" in capsys.readouterr().out
    words = ["landscape", "--random", run.run_id, "--points=5", "--csv", str(tmp_path), "--html", "random.html"]
    assert main([*words, "--picture", str(tmp_path / "random.svg")]) == 0
    middle = next(row for row in rows_of(tmp_path / "surface.csv") if float(row["x"]) == float(row["y"]) == 0)
    assert float(middle["loss"]) == pytest.approx(logged, rel=1e-5)
    assert f"{logged:.3g} at its last weights" in capsys.readouterr().out
    assert "two random directions" in Path("random.html").read_text(encoding="utf-8")
    assert not (tmp_path / "walks.csv").exists()


def test_a_run_that_diverges_does_not_ruin_the_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WALK, "--trainer.max_epochs=1", "--tracking.experiment=wild"]
    for optimizer in (
        ["--model.optimizer=Adam"],
        ["--model.optimizer=SGD"],
        ["--model.optimizer=SGD", "--model.optimizer.lr=3000"],
    ):
        main([*words, *optimizer])
    capsys.readouterr()
    assert main(["landscape", *FAST, "--csv", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"SGD lr=3,?000 diverged, so (it is not on the map|its path ends at step \d)", said)
    assert max(abs(float(row["x"])) for row in rows_of(tmp_path / "surface.csv")) < 100


def test_logged_losses_are_left_out_where_they_are_of_other_images(tmp_path: Path) -> None:
    assert main(["landscape", *ids()[:2], *FAST, "--csv", str(tmp_path)]) == 0
    assert {row["logged_loss"] for row in rows_of(tmp_path / "walks.csv")} == {""}


def test_what_is_damaged_is_one_line_where_it_was_named_and_is_left_out_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["--model.optimizer=SGD"], ["--model.optimizer=RMSprop"]):
        assert main([*WALK, "--tracking.experiment=damaged", "--trainer.max_epochs=1", *words]) == 0
    first, second, third = (run.run_id for run in read_runs("damaged"))
    folders = [Path("mlruns/damaged") / run_id / "artifacts/trajectory" for run_id in (first, second)]
    (folders[0] / "step_00000000.pt").unlink()
    (folders[1] / "step_00000003.pt").write_bytes(b"nothing of the kind")
    capsys.readouterr()
    for run_id, said in ((first, "that training began with is gone"), (second, "not a whole snapshot")):
        assert main(["landscape", run_id, third, *FAST]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert main(["landscape", "--experiment=damaged", *FAST]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("is not on the map.") == 2
    assert "RMSprop begins at a loss of" in said


def test_nothing_of_a_run_changes(walks: Path) -> None:
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in walks.rglob("*") if path.is_file() and ".db" not in path.name}

    before = state(), [run.metrics for run in read_runs("walks")]
    assert main(["landscape", *ids()[:2], *FAST]) == 0
    assert (state(), [run.metrics for run in read_runs("walks")]) == before


def test_one_run_walks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["landscape", ids()[1], *FAST]) == 0
    assert "begins at a loss of" in capsys.readouterr().out


def untracked(*words: str) -> str:
    """Return the id of a run of another kind."""
    assert main([*WALK, "--tracking.experiment=others", *words]) == 0
    return read_runs("others")[-1].run_id


OTHERS: dict[str, tuple[Sequence[str], str]] = {
    "without snapshots": (["--diagnostics=off"], "has no snapshots of its weights"),
    "another loss": (["--model.criterion=MSELoss"], "trained on different losses"),
    "other images": (["--data.val_fraction=0.2"], "trained on different images"),
    "another start": (["--seed_everything=5"], "do not begin with the same weights"),
    "another network": (["--model.network=MiniCNN", "--model.network.hidden=16"], "have different networks"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_runs_that_share_no_map_are_one_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, said = OTHERS[kind]
    first = ids()[0]
    other = untracked(*words)
    capsys.readouterr()
    assert main(["landscape", first, other, *FAST]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_of_an_experiment_the_most_runs_are_taken_that_share_a_map(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (
        [],
        ["--model.optimizer=SGD"],
        ["--model.criterion=MSELoss"],
        ["--diagnostics=off", "--model.optimizer=SGD"],
    ):
        assert main([*WALK, "--tracking.experiment=mixed", "--trainer.max_epochs=1", *words]) == 0
    _, _, squared, _ = (run.run_id for run in read_runs("mixed"))
    capsys.readouterr()
    assert main(["landscape", *FAST]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Two runs begin at one place" in said
    assert f"({squared[:8]}): not on the map" in said
    assert "Without snapshots, and so not on the map" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing-like-it"], "there is no such run"),
        (["--experiment=nothing"], "no experiment 'nothing'"),
        (["--seed=77"], "no training with seed 77 in walks. Seeds there: 0, 1"),
        (["--line"], "--line: name two runs"),
        (["--random"], "--random: name one run"),
        (["--line", "--random"], "not allowed with argument"),
        (["--points=2"], "--points 2: must be from 3"),
        (["--points=many"], "--points"),
        (["--images=0"], "--images 0: must be at least 1"),
        (["--threads=0"], "--threads 0: must be at least 1"),
        (["--picture=map.jpeg"], "must end in one of .png, .svg, .pdf"),
        (["--line", "a", "b", "--html=x.html"], "a line has a picture and no page"),
        (["--device=nonsense"], "--device nonsense: "),
        (["--reach=0"], "--reach 0: must be above 0"),
        (["--htm=x"], "no such flag (did you mean '--html'?)"),
        ([*"abcdefghi"], "9 runs; at most 8"),
        (["--config=sweep_landscape", "--experiment=x"], "a plan trains in an experiment of its own"),
        (["--picture=map.png", "--html=map.png"], "the picture has this name, too"),
        (["--picture=/proc/map.png"], "--picture /proc/map.png: cannot be written"),
        (["--csv=/dev/null"], "--csv /dev/null: cannot be written"),
        (["--config=nothing_there"], "nothing_there"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("landscape.png").unlink(missing_ok=True)
    experiment = [] if any(word.startswith(("--experiment", "--config")) for word in words) else ["--experiment=walks"]
    assert main(["landscape", *experiment, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path("landscape.png").exists()


def test_a_plan_trains_only_what_is_missing(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    words = ["landscape", "--config", "sweep_landscape", "--trainer.max_epochs", "1", "--engine", "here", *FAST]
    assert main([*words, "--html=first.html"]) == 0
    runs = [run for run in read_runs("landscape") if names.TAG_PLAN not in run.tags]
    assert len(runs) == 4
    assert "Four runs begin at one place" in capsys.readouterr().out
    assert main([*words, "--html=second.html"]) == 0
    again = [run for run in read_runs("landscape") if names.TAG_PLAN not in run.tags]
    assert [run.run_id for run in again] == [run.run_id for run in runs]
    assert Path("first.html").read_bytes() == Path("second.html").read_bytes()
    # And a dry run says what they take on the disk.
    capsys.readouterr()
    assert main(["sweep", *words[1:5], "--dry-run"]) == 0
    said = re.search(r"disk: about (\d+) MB", capsys.readouterr().out)
    assert said
    taken = sum(path.stat().st_size for path in Path("mlruns/landscape").rglob("*.pt")) / 1e6
    assert int(said[1]) == pytest.approx(taken, rel=0.25)
    # Trials keep no checkpoint: their last snapshots are the ends.
    assert not list(Path("mlruns/landscape").glob("*/artifacts/checkpoints/last.ckpt"))
    capsys.readouterr()
    assert main(["landscape", "--line", *(run.run_id for run in runs[:2]), *FAST]) == 0
    assert "The loss of 32 training images is" in capsys.readouterr().out
    assert tmp_path / "landscape.png" == Path("landscape.png").absolute()
