"""Files and folders that may not be read or entered: a bad file, or one line with the key and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import ImageFolderDataModule
from lit_lossopt.data.decoding import DecodingRules
from lit_lossopt.data.image_cache import read_images
from tests.support.permissions import bound_by_permissions


@pytest.fixture
def images(image_folder: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the folder whose permissions may be changed."""
    folder = Path(shutil.copytree(image_folder, tmp_path / "images"))
    yield folder
    for path in (folder, *folder.glob("*"), *folder.glob("*/*")):
        path.chmod(0o700)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that may not be entered."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    yield folder
    folder.chmod(0o700)


def ready(folder: Path, on_bad_image: str = "error") -> ImageFolderDataModule:
    def setup() -> ImageFolderDataModule:
        data = ImageFolderDataModule(folder, on_bad_image=on_bad_image, batch_size=8, val_fraction=0.25)  # type: ignore[arg-type]  # a name
        data.setup("fit")
        return data

    return bound_by_permissions(setup)


def test_a_file_without_permission_is_a_bad_file(images: Path) -> None:
    (images / "train" / "dog" / "000.png").chmod(0)
    with pytest.raises(UserError, match=r"1 of 96 images .* .*dog/000\.png \(Permission denied\)"):
        ready(images)


@pytest.mark.parametrize("mode", [0, 0o300])
def test_a_folder_without_permission_is_a_bad_file(images: Path, mode: int) -> None:
    (images / "train" / "dog" / "more").mkdir()
    shutil.copy(images / "train" / "dog" / "000.png", images / "train" / "dog" / "more")
    (images / "train" / "dog" / "more").chmod(mode)
    with pytest.raises(UserError, match=r"1 of 97 images cannot be read: .*dog/more \(a folder: Permission denied\)"):
        ready(images)
    with pytest.warns(Notice, match="1 of 97 images are left out"):
        data = ready(images, "skip")
    assert data.facts() == {"skipped_images": 1}
    assert len(data.images("train")) == 54


def test_a_class_without_permission_is_named_as_such(images: Path) -> None:
    (images / "train" / "dog").chmod(0)
    with pytest.raises(UserError, match=r"1 of 73 images cannot be read: .*train/dog \(a folder: Permission denied\)"):
        ready(images)
    with pytest.warns(Notice, match="left out"), pytest.raises(UserError, match=r"class 'dog' .* that can be read"):
        ready(images, "skip")


@pytest.mark.parametrize("place", ["", "train", "test"])
@pytest.mark.parametrize("mode", [0, 0o400])
def test_a_folder_of_classes_that_may_not_be_entered_is_named(images: Path, place: str, mode: int) -> None:
    (images / place).chmod(mode)
    with pytest.raises(UserError, match=rf"^data.folder: {images / place} cannot be looked into \(Permission denied\)"):
        ready(images)


def test_a_cache_that_may_not_be_entered_costs_time_and_no_result(image_folder: Path, closed: Path) -> None:
    files, rules = sorted((image_folder / "test" / "cat").iterdir()), DecodingRules(32)
    with pytest.warns(Notice, match="decoded images cannot be kept in .*closed/sub"):
        decoded = bound_by_permissions(lambda: read_images(files, rules, closed / "sub"))
    assert len(decoded.pixels) == 8


TYPED = [
    ("--config=image_folder --data.folder=closed/sub", "data.folder: closed/sub cannot be looked into (Permission"),
    (
        "--data=CIFAR10DataModule --data.folder=closed/sub",
        "data.folder: CIFAR-10 is not in closed/sub and could not be",
    ),
    (
        "--data=CIFAR10DataModule --data.folder=closed/sub",
        "cannot write closed/sub (Permission denied); 0 of 170,498,071",
    ),
    (
        "--data=CIFAR10DataModule --data.archive=closed/file",
        "data.archive: closed/file cannot be read (Permission denied)",
    ),
    ("--data=ArrayFileDataModule --data.file=closed/x.npz", "data.file=closed/x.npz: not a .npz file that can be read"),
    ("--config=finetune_resnet18 --config=digits", "resnet18-f37072fd.pth could not be fetched ([Errno 13]"),
]


@pytest.mark.parametrize(("typed", "message"), TYPED, ids=[message for _, message in TYPED])
def test_what_may_not_be_entered_is_one_line(
    typed: str, message: str, closed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(closed / "torch"))
    assert bound_by_permissions(lambda: main(["fit", *typed.split()])) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
