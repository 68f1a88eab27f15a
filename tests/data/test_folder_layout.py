"""What lies in a folder of images and is not used is refused or counted, never dropped without a word."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import ImageFolderDataModule


@pytest.fixture
def folder(image_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder with train/ and test/ that may be changed."""
    return Path(shutil.copytree(image_folder, tmp_path / "images"))


def ready(folder: Path, *stages: str, **options: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(folder=folder, batch_size=8, **options)
    for stage in stages:
        data.setup(stage)
    return data


@pytest.mark.parametrize("stage", ["fit", "test", "predict"])
def test_a_misspelt_class_of_test_images_is_refused(folder: Path, stage: str) -> None:
    (folder / "test" / "dog").rename(folder / "test" / "dgo")
    with pytest.raises(UserError, match=r"test/dgo belongs to no class .*\(did you mean 'dog'\?\); rename or remove"):
        ready(folder, stage)
    with pytest.raises(UserError, match=r"no images of class 'dog' in .*test/dog; add some, or name the other"):
        ready(folder, stage, classes=["cat", "dog"])
    assert set(ready(folder, "fit", "test", classes=["cat", "frog"]).images("test").labels.tolist()) == {0, 1}


@pytest.mark.parametrize("left", ["no folder", "an empty folder"])
def test_a_class_without_test_images_is_refused(folder: Path, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    frog = folder / "test" / "frog"
    shutil.rmtree(frog)
    if left == "an empty folder":
        frog.mkdir()
    assert main(["fit", "--config=image_folder", f"--data.folder={folder}"]) == 2
    shown = capsys.readouterr().err
    assert f"data.folder: no images of class 'frog' in {frog}; add some, or name the other classes" in shown
    assert shown.count("\n") == 1
    with pytest.raises(UserError, match="no images of class 'frog'"):
        ready(folder, "test")
    assert len(ready(folder, "test", classes=["cat", "dog"]).images("test")) == 16


def test_a_file_in_place_of_a_class_is_counted_and_refused(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "frog")
    (folder / "test" / "frog").touch()
    with pytest.warns(Notice, match="1 no ending"), pytest.raises(UserError, match="no images of class 'frog'"):
        ready(folder, "test")


def test_images_beside_the_classes_and_behind_links_are_counted(folder: Path) -> None:
    shutil.copytree(folder / "train" / "dog", folder.parent / "elsewhere")
    (folder / "train" / "dog" / "link").symlink_to(folder.parent / "elsewhere")
    for name in ("one.png", "two.JPG", "notes.txt", ".hidden.png"):
        (folder / "train" / name).touch()
    expected = r"below .*train that are left out: 2 images beside the class folders, 1 \.txt, 1 linked folders"
    with pytest.warns(Notice, match=expected):
        data = ready(folder, "fit")
    assert len(data.images("train")) + len(data.images("val")) == 72


def test_a_class_may_be_a_link(folder: Path) -> None:
    (folder / "train" / "dog").rename(folder.parent / "elsewhere")
    (folder / "train" / "dog").symlink_to(folder.parent / "elsewhere")
    data = ready(folder, "fit")
    assert len(data.images("train")) + len(data.images("val")) == 72
