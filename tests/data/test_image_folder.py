"""Folders of images: layouts, odd and bad files, and the split by the seed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import ImageFolderDataModule
from lit_lossopt.tracking.reading.runs import read_runs
from tests.support.odd_images import BAD, NO_FILES, ODD, write_bad, write_odd

ALL_BAD = len(BAD) + len(NO_FILES)


@pytest.fixture
def apart(image_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder with train/ and test/ that may be changed."""
    return Path(shutil.copytree(image_folder, tmp_path / "apart"))


@pytest.fixture
def whole(image_folder: Path, tmp_path: Path) -> Path:
    """Return a folder of classes in one piece: 24 images each."""
    return Path(shutil.copytree(image_folder / "train", tmp_path / "whole"))


def ready(folder: Path, *stages: str, **options: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(folder=folder, **{"batch_size": 8, **options})
    for stage in stages or ("fit", "test"):
        data.setup(stage)
    return data


def names(data: ImageFolderDataModule, *splits: str) -> list[set[str]]:
    return [{str(Path(source).relative_to(data.folder)) for source in data.images(split).sources} for split in splits]  # type: ignore[arg-type]  # names of splits


def test_a_folder_is_read_by_class(image_folder: Path) -> None:
    data = ready(image_folder, val_fraction=0.25)
    assert data.class_names == ["cat", "dog", "frog"]
    assert (len(data.images("train")), len(data.images("val")), len(data.images("test"))) == (54, 18, 24)
    test = data.images("test")
    for image, label, source in zip(test.images, test.labels.tolist(), test.sources, strict=True):
        assert Path(source).parent.name == data.class_names[label]
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(source)))


def test_a_folder_of_every_odd_kind_is_read_in_its_stated_colours(tmp_path: Path) -> None:
    for part in ("train/a", "train/b", "test/a", "test/b"):
        write_odd(tmp_path / "odd" / part)
    data = ready(tmp_path / "odd")
    assert len(data.images("train")) + len(data.images("val")) == 2 * len(ODD)
    for split in ("train", "val", "test"):
        images = data.images(split)
        for image, source in zip(images.images, images.sources, strict=True):
            assert tuple(image[:, 16, 16].tolist()) == ODD[Path(source).name][1], source
    assert data.facts() == {"skipped_images": 0}


def test_all_bad_files_are_listed_before_training(apart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bad(apart / "train" / "dog" / "deeper")
    (apart / "test" / "cat" / "last.png").write_bytes(b"")
    assert main(["fit", "--config", "image_folder", f"--data.folder={apart}"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert f"data.folder: {ALL_BAD + 1} of {96 + ALL_BAD + 1} images cannot be read: " in shown
    assert f"; and {ALL_BAD + 1 - 10} more; " in shown
    assert "--data.on_bad_image=skip" in shown
    reasons = {name: reason for name, (_, reason) in (BAD | NO_FILES).items()}
    for name in sorted(reasons)[:10]:
        assert f"deeper/{name} ({reasons[name]}" in shown
    assert not Path("mlflow.db").exists()


def test_a_bad_test_image_is_found_before_training(apart: Path) -> None:
    (apart / "test" / "cat" / "last.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 97 images cannot be read: .*cat/last\.png \(an empty file\); mend"):
        ready(apart, "fit")
    assert len(ready(apart, "validate").images("val")) == 8


@pytest.mark.usefixtures("store")
def test_skipped_images_are_named_and_counted_in_the_run(apart: Path) -> None:
    write_bad(apart / "train" / "dog")
    words = ["--config", "image_folder", f"--data.folder={apart}", "--data.batch_size=8", "--threads=1"]
    with pytest.warns(Notice, match=rf"{ALL_BAD} of {96 + ALL_BAD} images are left out: .*bomb\.png \(10000×10000"):
        assert main(["fit", *words, "--data.on_bad_image=skip", "--trainer.max_epochs=1"]) == 0
    (run,) = read_runs("lit_lossopt")
    assert run.params["data.skipped_images"] == str(ALL_BAD)
    assert run.params["data.on_bad_image"] == "skip"


def test_what_is_left_after_skipping_keeps_its_labels(apart: Path) -> None:
    write_bad(apart / "train" / "cat")
    write_bad(apart / "train" / "dog")
    (apart / "test" / "dog" / "last.png").write_bytes(b"")
    with pytest.warns(Notice, match="left out"):
        data = ready(apart, on_bad_image="skip")
    assert data.facts() == {"skipped_images": 2 * ALL_BAD + 1}
    for split in ("train", "val"):
        images = data.images(split)
        for image, label, source in zip(images.images, images.labels.tolist(), images.sources, strict=True):
            assert Path(source).parent.name == data.class_names[label]
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(source)))


def test_a_class_of_which_nothing_is_left_is_an_error(apart: Path) -> None:
    for file in (apart / "train" / "dog").iterdir():
        file.write_bytes(b"")
    with pytest.warns(Notice, match="24 of 96"), pytest.raises(UserError, match=r"no images of class 'dog' .* read"):
        ready(apart, on_bad_image="skip")
    with pytest.warns(Notice, match="24 of 96"):
        assert len(ready(apart, on_bad_image="skip", classes=["cat", "frog"]).images("train")) == 43


def test_a_pipe_is_not_waited_for(apart: Path) -> None:
    os.mkfifo(apart / "train" / "dog" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png \(not a file\)"):
        ready(apart)


def test_images_to_predict_follow_the_same_rules(apart: Path) -> None:
    data = ready(apart, "predict", predict_folder=apart / "train")
    assert len(data.images("predict")) == 72
    assert set(data.images("predict").labels.tolist()) == {-1}
    (apart / "train" / "empty.png").write_bytes(b"")
    with pytest.raises(UserError, match="1 of 73 images cannot be read"):
        ready(apart, "predict", predict_folder=apart / "train")
    with pytest.warns(Notice, match="1 of 73 images are left out"):
        assert len(ready(apart, "predict", predict_folder=apart / "train", on_bad_image="skip").images("predict")) == 72


def test_training_while_the_training_folder_is_to_be_predicted(image_folder: Path) -> None:
    data = ready(image_folder, "fit", "predict", predict_folder=image_folder / "train")
    assert set(data.images("train").labels.tolist()) == {0, 1, 2}
    assert set(data.images("predict").labels.tolist()) == {-1}


def test_hidden_files_are_passed_over_and_other_endings_counted(apart: Path) -> None:
    for name in (".hidden.png", ".folder/x.png", "notes.txt", "list.txt", "photo.heic", "README"):
        path = apart / "train" / "dog" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    with pytest.warns(Notice, match=r"below .*train that are left out: 2 \.txt, 1 \.heic, 1 no ending"):
        assert len(ready(apart, val_fraction=0.25).images("train")) == 54


def test_one_folder_is_split_by_the_seed_and_by_class(whole: Path) -> None:
    first, same, other = (ready(whole, seed=seed, val_fraction=0.25, test_fraction=0.25) for seed in (1, 1, 2))
    parts = names(first, "train", "val", "test")
    assert parts == names(same, "train", "val", "test")
    assert not any(a == b for a, b in zip(parts, names(other, "train", "val", "test"), strict=True))
    assert len(set.union(*parts)) == 72 == sum(map(len, parts))
    for part, each in zip(parts, (14, 4, 6), strict=True):
        counts = Counter(Path(name).parts[0] for name in part)
        assert set(counts) == {"cat", "dog", "frog"}
        assert all(abs(count - each) <= 1 for count in counts.values())
    kept = ready(whole, "test", seed=1, val_fraction=0.25, test_fraction=0.25, classes=["dog", "frog"])
    assert names(kept, "test") == [{name for name in parts[2] if not name.startswith("cat")}]
    moved = ready(Path(shutil.copytree(whole, whole.parent / "moved")), seed=1, val_fraction=0.25, test_fraction=0.25)
    assert names(moved, "train", "val", "test") == parts


@pytest.mark.usefixtures("store")
def test_weights_are_not_tested_on_images_that_they_were_trained_on(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "image_folder", f"--data.folder={whole}", "--data.batch_size=8", "--threads=1"]
    assert main(["fit", *words, "--trainer.max_epochs=1", "--seed_everything=3"]) == 0
    (run,) = read_runs("lit_lossopt")
    checkpoint = f"--ckpt_path=mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/last.ckpt"
    for command in ("validate", "test"):
        assert main([command, *words, checkpoint, "--seed_everything=3"]) == 0
    capsys.readouterr()
    for command in ("validate", "test"):
        for changed, remedy in (("--seed_everything=4", "--seed_everything=3"),
                                ("--data.test_fraction=0.3", "--data.test_fraction=0.2")):  # fmt: skip
            assert main([command, *words, checkpoint, "--seed_everything=3", changed]) == 2
            assert f"add {remedy}" in capsys.readouterr().err
    assert main(["test", *words, checkpoint, "--seed_everything=3", "--data.val_fraction=0.2"]) == 0
    assert main(["validate", *words, checkpoint, "--seed_everything=3", "--data.val_fraction=0.2"]) == 2
    assert "add --data.val_fraction=0.1" in capsys.readouterr().err
    shutil.copy(whole / "cat" / "000.png", whole / "cat" / "0000.png")
    assert main(["test", *words, checkpoint, "--seed_everything=3"]) == 2
    assert "these are not the images of when these weights were trained" in capsys.readouterr().err
    assert main(["predict", *words, checkpoint, "--seed_everything=4"]) == 0


@pytest.mark.usefixtures("store")
def test_a_test_folder_of_its_own_serves_any_seed(apart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "image_folder", f"--data.folder={apart}", "--data.batch_size=8", "--threads=1"]
    assert main(["fit", *words, "--trainer.max_epochs=1"]) == 0
    (run,) = read_runs("lit_lossopt")
    checkpoint = f"--ckpt_path=mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/last.ckpt"
    assert main(["test", *words, checkpoint, "--seed_everything=1"]) == 0
    shutil.copy(apart / "train" / "cat" / "000.png", apart / "train" / "cat" / "0000.png")
    assert main(["test", *words, checkpoint]) == 0
    capsys.readouterr()
    assert main(["validate", *words, checkpoint]) == 2
    assert "these are not the images of when these weights were trained" in capsys.readouterr().err


LAYOUTS: list[tuple[tuple[str, ...], str]] = [
    ((), "there is no folder"),
    (("train/cat",), "train holds 1 class folder; at least two"),
    (("cat",), "images holds 1 class folder; at least two"),
    (("train/cat", "train/dog"), "no images in .*train"),
    (("cat", "dog"), "no images in .*images"),
    (("cat", "dog", "test"), r"holds test/ but no train/, so it is not clear what to train on"),
    (("test/cat", "test/dog"), "holds test/ but no train/"),
    (("val/cat", "cat", "dog"), "holds val/ but no train/"),
]


@pytest.mark.parametrize(("made", "message"), LAYOUTS, ids=[" ".join(made) or "nothing" for made, _ in LAYOUTS])
def test_a_folder_without_what_is_needed_is_refused(tmp_path: Path, made: tuple[str, ...], message: str) -> None:
    for name in made:
        (tmp_path / "images" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        ImageFolderDataModule(folder=tmp_path / "images").setup("fit")


def test_testing_without_test_images_says_so(apart: Path) -> None:
    shutil.rmtree(apart / "test")
    ready(apart, "fit")
    with pytest.raises(UserError, match=r"data.folder: no images in .*test"):
        ready(apart, "test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 0.0}, "data.test_fraction=0.0: must lie between"),
        ({"test_fraction": 0.99}, "data.test_fraction=0.99: class 'cat' has 24 images, too few for one on both"),
        ({"size": 0}, "data.size=0"),
        ({"max_pixels": 0}, "data.max_pixels=0"),
        ({"max_pixels": 1000}, "72 of 72 images cannot be read: .*32×32 pixels, more than max_pixels=1000"),
    ],
)
def test_impossible_settings_are_refused(whole: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ready(whole, **options)
