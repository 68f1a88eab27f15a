"""Folders that hold splits are known by any usual name, and what only looks like classes is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import ImageFolderDataModule
from lit_lossopt.data.folder_layout import find_layout
from lit_lossopt.tracking.reading.runs import read_runs

CLASSES = ["cat", "dog", "frog"]


@pytest.fixture
def folder(image_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder with train/ and test/ that may be changed."""
    return Path(shutil.copytree(image_folder, tmp_path / "images"))


def with_validation(folder: Path, name: str) -> set[str]:
    """Move four training images of each class to a split of this name; return their paths in the folder."""
    moved = [f"{one}/{index:03}.png" for one in CLASSES for index in range(4)]
    for image in moved:
        (folder / name / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / "train" / image).rename(folder / name / image)
    return {f"{name}/{image}" for image in moved}


def ready(folder: Path, **options: object) -> ImageFolderDataModule:
    data = ImageFolderDataModule(folder=folder, **{"batch_size": 8, **options})  # type: ignore[arg-type]  # its options
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"), ("Train", "Test"), ("TRAIN", "TESTS"), ("training_set", "test_set"),
        ("Train Images", "Test Images"), ("trainset", "testset"), ("dataset-train", "dataset-test"),
        ("train2017", "test2017"), ("01_training", "02_testing"),
    ],
)  # fmt: skip
def test_splits_are_known_by_their_usual_names(folder: Path, train: str, test: str) -> None:
    (folder / "train").rename(folder / train)
    (folder / "test").rename(folder / test)
    data = ready(folder)
    assert data.class_names == CLASSES
    assert data.sizes() == {"train": 64, "val": 8, "test": 24}
    data.setup("test")
    assert {Path(source).parts[-3] for source in data.images("test").sources} == {test}


@pytest.mark.parametrize("name", ["val", "Valid", "validation_set", "dev", "VALIDATING"])
def test_a_validation_folder_is_what_is_validated_on(folder: Path, name: str) -> None:
    expected = with_validation(folder, name)
    for seed in (0, 1):
        data = ready(folder, seed=seed, val_fraction=0.5)
        assert {str(Path(source).relative_to(folder)) for source in data.images("val").sources} == expected
        assert data.sizes() == {"train": 60, "val": 12, "test": 24}
    kept = ready(folder, classes=["frog", "cat"])
    assert kept.sizes() == {"train": 40, "val": 8, "test": 16}
    with pytest.warns(Notice, match="validate_on_test"):
        assert len(ready(folder, validate_on_test=True).images("val")) == 24
    validated = ImageFolderDataModule(folder=folder, batch_size=8)
    validated.setup("validate")
    assert len(validated.images("val")) == 12


def test_without_test_images_there_are_said_to_be_none(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    assert ready(folder).sizes() == {"train": 64, "val": 8, "test": 0}


def test_a_bad_image_of_the_validation_folder_is_found_before_training(folder: Path) -> None:
    with_validation(folder, "val")
    (folder / "val" / "cat" / "last.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 97 images cannot be read: .*val/cat/last\.png"):
        ready(folder)


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("Train/a", "Train/b", "train/a", "train/b"), "holds Train/ and train/, so it is not clear which to read"),
    (("train/a", "train/b", "Test/a", "Testing/a"), "holds Test/ and Testing/, so it is not clear which"),
    (("train/a", "train/b", "valid/a", "dev/a"), "holds dev/ and valid/, so it is not clear which"),
    (("Testing/a", "Testing/b"), "holds Testing/ but no train/"),
    (("a", "b", "Validation"), "holds Validation/ but no train/"),
    (
        ("inner/Training/a", "inner/Testing/a"),
        r"1 class folder; .* take --data.folder=\S+images/inner, or move them up",
    ),
    (("x/y/a", "x/y/b"), r"images/x/y holds a, b: take --data.folder=\S+images/x/y, or move"),
    (
        ("train/train/a", "train/train/b", "test/a"),
        r"train holds 1 class folder; .*images/train/train holds a, b: take",
    ),
    (("a/train/x", "a/test/x", "b/train/x"), r"images/a holds train, test, splits below a class; .* train/a/\*"),
    (("a/Training", "a/Validation", "b/Training"), "holds Training, Validation, splits below a class"),
    (("trainA", "trainB", "testA", "testB"), "trainA, trainB, which look like splits and not like classes"),
    (("seg_pred", "seg_train/a", "seg_test/a"), "seg_train, which look like splits and not like classes"),
]


@pytest.mark.parametrize(("made", "message"), REFUSED, ids=[" ".join(made) for made, _ in REFUSED])
def test_what_only_looks_like_classes_is_refused(tmp_path: Path, made: tuple[str, ...], message: str) -> None:
    for name in made:
        (tmp_path / "images" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        ImageFolderDataModule(folder=tmp_path / "images")


@pytest.mark.parametrize("classes", [("bus", "train_station"), ("test_tube", "flask"), ("contest", "trained", "value")])
def test_classes_whose_names_mention_a_split_are_classes(tmp_path: Path, classes: tuple[str, ...]) -> None:
    for name in classes:
        (tmp_path / name / "train").mkdir(parents=True)
    assert ImageFolderDataModule(folder=tmp_path).class_names == sorted(classes)


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_classes_of_every_split_are_those_of_training(folder: Path, split: str) -> None:
    with_validation(folder, "val")
    (folder / split / "dog").rename(folder / split / "Dog")
    with pytest.raises(UserError, match=rf"{split}/Dog belongs to no class .*\(did you mean 'dog'\?\)"):
        ready(folder)
    shutil.rmtree(folder / split / "Dog")
    with pytest.raises(UserError, match=rf"no images of class 'dog' in .*{split}/dog; add some"):
        ready(folder)


def test_folders_that_nobody_reads_are_named(folder: Path) -> None:
    (folder / "annotations").mkdir()
    (folder / "__MACOSX" / "train").mkdir(parents=True)
    with pytest.warns(Notice, match=r"folders beside .*images/train that are not read: annotations$"):
        ready(folder)


def test_what_archives_leave_behind_is_no_class(folder: Path) -> None:
    (folder / "train" / "__MACOSX" / "cat").mkdir(parents=True)
    assert ready(folder).class_names == CLASSES


@pytest.mark.usefixtures("store")
def test_a_run_says_what_it_works_with_and_keeps_off_what_it_was_trained_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_validation(folder, "val")
    for name in ("train", "val", "test"):
        (folder / name).rename(folder / name.capitalize())
    words = ["--config", "image_folder", f"--data.folder={folder}", "--data.batch_size=8", "--threads=1"]
    assert main(["fit", *words, "--trainer.max_epochs=1"]) == 0
    classes = "data: 3 classes (cat, dog, frog); "
    assert f"{classes}60 training, 12 validation, 24 test images\n" in capsys.readouterr().out
    (run,) = read_runs("lit_lossopt")
    said = {name: run.params[f"data.{name}"] for name in ("class_names", "train_images", "val_images", "test_images")}
    assert said == {"class_names": "cat, dog, frog", "train_images": "60", "val_images": "12", "test_images": "24"}
    checkpoint = f"--ckpt_path=mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/last.ckpt"
    for command, counts in (("validate", "12 validation images"), ("test", "24 test images"),
                            ("predict", "24 images to predict")):  # fmt: skip
        assert main([command, *words, checkpoint, "--seed_everything=5"]) == 0
        assert f"{classes}{counts}\n" in capsys.readouterr().out
    shutil.rmtree(folder / "Val")
    assert main(["validate", *words, checkpoint]) == 2
    assert "those drawn now may have been trained on; use the data of then" in capsys.readouterr().err
    assert main(["test", *words[:2], f"--data.folder={folder / 'Train'}", *words[3:], checkpoint]) == 2
    assert "those drawn now may have been trained on; use the data of then" in capsys.readouterr().err
    assert main(["test", *words, checkpoint]) == 0


def test_a_splits_own_name_is_meant_whatever_stands_beside_it(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "train2017/a", "val/a", "val/b", "dev/a"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.warns(Notice, match="not read: dev, train2017"):
        found = find_layout(tmp_path)
    assert (found.train, found.val) == (tmp_path / "train", tmp_path / "val")
