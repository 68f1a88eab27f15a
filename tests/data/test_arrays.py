"""Arrays from Python and from a .npz file as a dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import ArrayDataModule, ArrayFileDataModule, LabelledImages
from lit_lossopt.data.image_data import Split
from lit_lossopt.tracking.reading.runs import read_runs

LABELS = np.arange(120) % 3
IMAGES = np.random.default_rng(0).integers(0, 90, (120, 1, 8, 8), dtype=np.uint8)
IMAGES += (80 * LABELS).astype(np.uint8)[:, None, None, None]


def test_the_arrays_are_the_dataset() -> None:
    data = ArrayDataModule(IMAGES, LABELS, IMAGES[:30], torch.from_numpy(LABELS[:30]), batch_size=8)
    data.setup("fit")
    data.setup("test")
    assert (data.class_names, data.in_channels, data.image_size) == (["0", "1", "2"], 1, 8)
    test = data.images("test")
    np.testing.assert_array_equal(test.images.numpy(), IMAGES[:30])
    np.testing.assert_array_equal(test.labels.numpy(), LABELS[:30])
    train, val = data.images("train"), data.images("val")
    assert sorted([*train.sources, *val.sources]) == sorted(f"train/{index}" for index in range(120))
    place = int(train.sources[5].partition("/")[2])
    np.testing.assert_array_equal(train.images[5].numpy(), IMAGES[place])
    assert train.labels[5] == LABELS[place]


def test_without_test_images_the_seed_draws_them() -> None:
    def split(seed: int) -> list[set[str]]:
        data = ArrayDataModule(IMAGES, LABELS, seed=seed, batch_size=8, test_fraction=0.25)
        data.setup("fit")
        data.setup("test")
        assert Counter(data.images("test").labels.tolist()) == {0: 10, 1: 10, 2: 10}
        return [set(data.images(name).sources) for name in ("train", "val", "test")]

    first = split(1)
    assert first == split(1) != split(2)
    assert sum(map(len, first)) == 120 == len(set.union(*first))


def test_what_happens_to_the_arrays_later_changes_nothing() -> None:
    for mine in (IMAGES.copy(), torch.from_numpy(IMAGES.copy())):
        data = ArrayDataModule(mine, LABELS, IMAGES, LABELS)
        mine[:] = 0
        assert int(data.read("train").images.sum()) == int(IMAGES.sum())


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"images": IMAGES / 255}, "data.images: torch.float64, but pixels are uint8.*round"),
    ({"images": IMAGES.astype(np.int64)}, "data.images: torch.int64, but pixels are uint8"),
    ({"images": IMAGES[:, 0]}, r"data.images: \[120, 8, 8\].*images\[:, None\]"),
    ({"images": IMAGES.transpose(0, 2, 3, 1)}, r"\[120, 8, 8, 1\].*images.transpose\(0, 3, 1, 2\)"),
    ({"images": IMAGES[:, :, :5]}, r"\[120, 1, 5, 8\].*equal height and width"),
    ({"images": IMAGES[:0], "labels": LABELS[:0]}, "there is no image"),
    ({"images": "mine.npz"}, "--data=ArrayFileDataModule --data.file=….npz"),
    ({"labels": LABELS[:7]}, r"data.labels: \[7\], but there are 120 images"),
    ({"labels": np.eye(3)[LABELS]}, r"but each image needs one class.* one-hot: numpy.argmax\(labels, 1\)$"),
    ({"labels": torch.eye(3, dtype=torch.bool)[LABELS]}, r"one-hot: numpy.argmax\(labels, 1\)$"),
    (
        {"labels": np.tri(3, dtype=int)[LABELS]},
        r"multi-label \(80 images have more than one class, 0 have none\), which cannot",
    ),
    ({"labels": np.eye(4)[LABELS][:, 1:]}, r"multi-label \(0 images have more than one class, 40 have none"),
    (
        {"labels": np.full((120, 3), 1 / 3)},
        r"probabilities, and the likeliest class of each is numpy.argmax\(labels, 1\)",
    ),
    ({"labels": np.full((120, 3), 0.7)}, "neither classes nor one-hot"),
    ({"labels": LABELS[None]}, r"data.labels: \[1, 120\], but there are 120 images"),
    ({"labels": LABELS / 2}, "data.labels: label 1 is 0.5, but class indices are integers"),
    ({"labels": np.where(LABELS == 1, np.nan, LABELS)}, "label 1 is nan, .* without a class must be left out"),
    ({"labels": LABELS.astype(complex)}, "data.labels: complex128, but class indices are integers"),
    ({"labels": np.array(["cat", "dog", "eel"])[LABELS]}, r"'cat'.* is not a number; .*numpy.unique\(labels"),
    (
        {"labels": LABELS - 1},
        r"data.labels: -1 … 1, but classes are numbered from 0; .*numpy.unique\(labels, return_inv",
    ),
    ({"labels": LABELS * 2}, "no image of class '1'.*without gaps"),
    ({"labels": LABELS + 1}, "no image of class '0'.*without gaps"),
    ({"labels": np.where(LABELS, LABELS, 10**12)}, "data.labels: 1 … 1000000000000, .*no image of class '0'"),
    ({"labels": LABELS * 10**12}, "data.labels: 0 … 2000000000000, .*no image of class '1'"),
    ({"labels": LABELS * 2.0**62}, "label 1 is 4.61169e\\+18, but class indices"),
    ({"labels": LABELS.astype(np.uint64) * 2**63}, "data.labels: up to 9223372036854775808, but class"),
    ({"labels": LABELS * 10**12, "class_names": ["a", "b", "c"]}, "0 … 2000000000000, but there are 3 classes: 0 … 2"),
    ({"test_images": IMAGES, "test_labels": LABELS * 10**12}, "data.test_labels: 0 … 2000000000000, but there are 3"),
    ({"labels": LABELS * 0}, "at least two different"),
    ({"class_names": ["a", "b"]}, "data.labels: 0 … 2, but there are 2 classes: 0 … 1"),
    ({"class_names": ["a", "b", "c", "d"]}, "no image of class 'd'"),
    ({"class_names": ["a", "b", "b"]}, "at least two different"),
    ({"test_images": IMAGES}, "give both or neither"),
    ({"test_images": IMAGES, "test_labels": LABELS + 1}, "data.test_labels: 1 … 3, but there are 3 classes"),
    ({"test_images": IMAGES[:, :, :4, :4], "test_labels": LABELS}, r"data.test_images: \[1, 4, 4\] each"),
    ({"test_fraction": 1.0}, "data.test_fraction=1.0: must lie between 0 and 1"),
]


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None], LABELS[:, None, None], LABELS.astype(np.uint8), LABELS.astype(np.float32), LABELS.tolist(),
        LABELS.astype(object), torch.from_numpy(LABELS)[:, None], torch.from_numpy(LABELS).bfloat16(),
    ],
    ids=["a column", "a cube", "bytes", "floats", "a list", "objects", "a column of torch", "halves"],
)  # fmt: skip
def test_labels_that_mean_one_class_each_are_taken_as_such(labels: Any) -> None:
    data = ArrayDataModule(IMAGES, labels, IMAGES, labels)
    for split in ("train", "test"):
        assert data.read(split).labels.tolist() == LABELS.tolist()
    assert data.class_names == ["0", "1", "2"]


def test_booleans_are_two_classes() -> None:
    data = ArrayDataModule(IMAGES, LABELS > 0)
    assert data.read("train").labels.dtype == torch.int64
    assert data.class_names == ["0", "1"]


@pytest.mark.parametrize("wrong", [LABELS[:, None], LABELS / 1, LABELS[:7], LABELS + 1, LABELS - 1])
def test_labels_that_a_module_of_ones_own_reads_are_checked(wrong: Any) -> None:
    class Own(ArrayDataModule):
        def read(self, split: Split) -> LabelledImages:
            return replace(super().read(split), labels=torch.from_numpy(wrong))

    with pytest.raises(
        UserError, match=r"^data: labels .*, but read\(\) of this data module must return \[120\] int64"
    ):
        Own(IMAGES, LABELS, IMAGES, LABELS).setup("fit")


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_other_arrays_are_refused_with_the_remedy(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ArrayDataModule(**{"images": IMAGES, "labels": LABELS, **given})


def test_a_class_too_small_to_split_is_refused() -> None:
    labels = LABELS.copy()
    labels[labels == 2] = 0
    labels[0] = 2
    with pytest.raises(
        UserError, match=r"data.test_fraction=0.2: class '2' has 1 image, too few for one on both sides"
    ):
        ArrayDataModule(IMAGES, labels).setup("fit")


@pytest.mark.usefixtures("store")
def test_a_file_of_arrays_trains_and_tests_on_what_was_held_out(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("mine.npz", images=IMAGES, labels=LABELS, class_names=["dark", "grey", "light"])
    data = ["--data=ArrayFileDataModule", "--data.file=mine.npz", "--data.batch_size=8", "--threads=1"]
    assert main(["fit", "--config", "adam", *data, "--trainer.max_epochs=4"]) == 0
    (run,) = read_runs("lit_lossopt")
    assert run.params["data.file"] == "mine.npz"
    counts = {name: run.params[f"data.{name}"] for name in ("class_names", "train_images", "val_images", "test_images")}
    assert counts == {"class_names": "dark, grey, light", "train_images": "86", "val_images": "10", "test_images": "24"}
    assert (
        "data: 3 classes (dark, grey, light); 86 training, 10 validation, 24 test images\n" in capsys.readouterr().out
    )
    checkpoint = f"--ckpt_path=mlruns/lit_lossopt/{run.run_id}/artifacts/checkpoints/best.ckpt"
    assert main(["test", *data, checkpoint]) == 0
    assert read_runs("lit_lossopt")[0].metrics["test/accuracy"] > 0.9
    capsys.readouterr()
    assert main(["test", *data, checkpoint, "--seed_everything=1"]) == 2
    assert "were trained on; add --seed_everything=0" in capsys.readouterr().err
    np.savez("mine.npz", images=np.roll(IMAGES, 3, axis=0), labels=LABELS, class_names=["dark", "grey", "light"])
    assert main(["test", *data, checkpoint]) == 2
    assert "these are not the images of when these weights were trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (None, "data.file=mine.npz: not a .npz file that can be read"),
        ({"images": IMAGES}, "data.file=mine.npz: holds images; needed: images, labels"),
        ({"images": IMAGES, "labels": LABELS, "label_names": LABELS}, "holds images, labels, label_names; needed"),
        ({"images": IMAGES, "labels": np.array([None] * 120)}, "not a .npz file that can be read"),
    ],
)
def test_a_file_of_other_content_is_refused(arrays: dict[str, Any] | None, message: str) -> None:
    if arrays is None:
        Path("mine.npz").write_bytes(b"nothing")
    else:
        np.savez("mine.npz", **arrays)
    with pytest.raises(UserError, match=message):
        ArrayFileDataModule("mine.npz")


def test_arrays_cannot_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data=ArrayDataModule"]) == 2
    shown = capsys.readouterr().err
    assert "required: images, labels" in shown
    assert shown.count("\n") == 1
