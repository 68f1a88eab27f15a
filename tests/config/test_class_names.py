"""Names of classes that are no plain words: shown, stored and drawn, without a word from the libraries."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import ArrayDataModule
from lit_lossopt.data.summary import listed
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.figures import confusion_figure, drawable, write_png

# Bytes that are not UTF-8, what a terminal obeys, a length that no line has, and what matplotlib takes for a formula.
STRANGE = {b"caf\xe9": r"caf\xe9", b"\x1b[31mred": r"\x1b[31mred", b"x" * 250: "x" * 250, rb"$\frac$": r"$\frac$"}


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Return a folder of images with strange names of classes."""
    for label, name in enumerate(STRANGE):
        for split, count in (("train", 8), ("test", 2)):
            folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"images", split.encode(), name)))  # noqa: PTH118  # of bytes
            try:
                folder.mkdir(parents=True)
            except OSError:
                pytest.skip("names of files are UTF-8 here")
            for index in range(count):
                Image.new("RGB", (8, 8), (60 * label, 20 * index, 0)).save(folder / os.fsdecode(b"%d\xe9.png" % index))
    return tmp_path / "images"


@pytest.mark.usefixtures("store", "drawn")
def test_strange_names_of_classes_go_through_training_and_prediction(
    strange: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "image_folder", f"--data.folder={strange}", "--data.batch_size=4", "--threads=1"]
    words += ["--data.size=8"]
    assert main(["fit", *words, "--data.val_fraction=0.25", "--trainer.max_epochs=1"]) == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    # The data, one evaluation, and five lines at the end.
    assert len(shown.out.splitlines()) == 7
    names = [STRANGE[name] for name in sorted(STRANGE)]
    assert f"data: 4 classes ({listed(names, 9)}); 24 training, 8 validation, 8 test images\n" in shown.out
    (run,) = read_runs("lit_lossopt")
    assert run.params["data.class_names"] == listed(names, 9)
    artifacts = Path(f"mlruns/lit_lossopt/{run.run_id}/artifacts")
    assert (artifacts / "pictures" / "confusion_val.png").stat().st_size > 1000
    assert main(["predict", *words, f"--ckpt_path={artifacts}/checkpoints/last.ckpt"]) == 0
    with Path("predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][2:] == [f"p({name})" for name in names]
    assert {row[0] for row in rows[1:]} >= {rf"{strange}/test/caf\xe9/{index}\xe9.png" for index in range(2)}
    assert main(["fit", *words, r"--data.classes=['caf\xe9',red]"]) == 2
    assert (
        r"data.classes: no class 'red'; there are: \x1b[31mred, $\frac$, caf\xe9, xxxxxxxxxxxxxxxxxxxxxxx…"
        in capfd.readouterr().err
    )


def test_names_beside_arrays_are_made_printable() -> None:
    images, labels = np.zeros((8, 1, 4, 4), np.uint8), np.arange(8) % 2
    assert ArrayDataModule(images, labels, class_names=["a\nb", "\x1b[0m"]).class_names == [r"a\x0ab", r"\x1b[0m"]
    assert ArrayDataModule(images, labels, class_names=[b"a", b"\xe9"]).class_names == ["a", r"\xe9"]
    with pytest.raises(UserError, match=r"^data.class_names=.{,200}: at least two different"):
        ArrayDataModule(images, labels, class_names=["x" * 10_000] * 2)


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        (["猫", "犬", "frog"], ["0: □", "1: □", "frog"]),
        (["a$b$", "$\\frac$", "_^{"], ["a$b$", "$\\frac$", "_^{"]),
        (["x" * 300, "e\u0301t\u00e9", "👩"], [f"{'x' * 23}…", "e\u0301t\u00e9", "2: □"]),
    ],
)
def test_names_are_drawn_whatever_they_are(names: list[str], drawn: list[str]) -> None:
    assert drawable(names) == drawn
    picture = io.BytesIO()
    write_png(confusion_figure(np.eye(3, dtype=np.int64), names, "three"), picture)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_a_picture_of_many_classes_has_a_size_that_can_be_drawn() -> None:
    names = [f"class {number}" for number in range(1000)]
    figure = confusion_figure(np.eye(1000, dtype=np.int64), names, "many")
    assert max(figure.get_size_inches()) < 30
    assert len(figure.axes[0].get_yticks()) == 50
    write_png(figure, picture := io.BytesIO(), dpi=20)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_a_flag_that_is_not_utf8_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data.folder=" + os.fsdecode(b"caf\xe9")]) == 2
    assert capsys.readouterr().err.startswith(r"lossopt: --data.folder=caf\xe9: not UTF-8")
