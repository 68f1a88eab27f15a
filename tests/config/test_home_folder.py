"""``~`` is the home folder wherever a path is typed: a shell leaves it as it is behind ``=``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lit_lossopt import load
from lit_lossopt.__main__ import main
from lit_lossopt.core.paths import given_path, with_home
from lit_lossopt.data import CIFAR10DataModule, ImageFolderDataModule
from lit_lossopt.tracking.addresses import tracking_uri


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home folder of this test, which is not its working folder."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home


def test_a_training_and_what_follows_find_the_home_folder(
    home: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store, home / "runs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/runs.db")
    images = np.random.default_rng(0).integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    np.savez(home / "mine.npz", images=images, labels=np.arange(60) % 2)
    (home / "mine.yaml").write_text("data:\n  class_path: ArrayFileDataModule\n  init_args: {file: ~/mine.npz}\n")
    words = ["--config=~/mine.yaml", "--data.batch_size=8", "--threads=1"]
    logger = ["--trainer.logger+=CSVLogger", "--trainer.logger.save_dir=~/csv"]
    assert main(["fit", *words, *logger, "--trainer.max_epochs=1"]) == 0
    assert list((home / "csv").rglob("metrics.csv"))
    (checkpoint,) = Path("mlruns").rglob("last.ckpt")
    shutil.copy(checkpoint, home / "kept.ckpt")
    assert main(["predict", *words, "--ckpt_path=~/kept.ckpt", "--predictions.path=~/out/table.csv"]) == 0
    assert (home / "out" / "table.csv").is_file()
    assert load("~/kept.ckpt").classes == ("0", "1")
    assert main(["compare", "--html=~/page.html", "--png=~/figures", "--csv=~/tables"]) == 0
    assert all((home / name).exists() for name in ("page.html", "figures", "tables"))
    assert not list(Path.cwd().rglob("~*"))


def test_settings_of_data_find_the_home_folder(home: Path, image_folder: Path) -> None:
    (home / "images").symlink_to(image_folder)
    data = ImageFolderDataModule("~/images", predict_folder="~/images/test", cache="~/kept")
    data.setup("predict")
    assert len(data.images("predict")) == 24
    assert list((home / "kept").glob("*.npz"))
    cifar = CIFAR10DataModule("~/cifar", archive="~/a.tar.gz", cache="~/c")
    assert (cifar.folder, cifar.archive, cifar.cache) == (home / "cifar", home / "a.tar.gz", home / "c")


@pytest.mark.parametrize("typed", ["~nobody_of_this_name/x", "a/~/b", "./~", ""])
def test_another_tilde_stays_as_it_is(typed: str) -> None:
    assert str(given_path(typed)) == str(Path(typed))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("uri", ["https://a.b/~c", "sqlite:////a/~/b.db", "sqlite:///a~.db", "databricks", ""])
def test_other_addresses_stay_as_they_are(uri: str) -> None:
    assert with_home(uri) == uri


def test_an_address_without_the_command_line_is_read_alike(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/runs.db")
    assert tracking_uri() == f"sqlite:///{home}/runs.db"
