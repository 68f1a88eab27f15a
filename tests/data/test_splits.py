"""Test images that the seed draws: class by class, the same ones for ever, and apart from the validation images."""

from __future__ import annotations

import pytest
import torch

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data import ArrayDataModule
from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.data.splits import draw_test_images, stratified_split

NAMES = {0: "a", 1: "b", 2: "c"}


def images(*counts: int) -> LabelledImages:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return LabelledImages(
        torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels, list(map(str, range(sum(counts))))
    )


def drawn(data: LabelledImages, fraction: float, seed: int, *labels: int) -> list[int]:
    wanted = {label: NAMES[label] for label in labels or NAMES}
    train, test = draw_test_images(data, fraction, seed, wanted)
    parts = [list(map(int, part.sources)) for part in (train, test)]
    assert sorted(parts[0] + parts[1]) == [
        int(i) for i, y in zip(data.sources, data.labels, strict=True) if int(y) in wanted
    ]
    assert parts == [sorted(part) for part in parts]
    return parts[1]


def test_each_class_gives_its_share_and_at_least_one() -> None:
    data = images(50, 20, 2)
    for seed in range(20):
        counts = torch.bincount(data.labels[drawn(data, 0.2, seed)])
        assert counts.tolist() == [10, 4, 1]


def test_the_draw_stays_what_it_was() -> None:
    # Another draw would test weights of earlier versions on images that they were trained on.
    assert drawn(images(10, 10, 10), 0.2, 0) == [1, 9, 14, 17, 20, 26]


def test_the_draw_of_a_class_depends_on_no_other() -> None:
    whole = drawn(images(30, 40, 20), 0.25, 7)
    assert drawn(images(30, 40, 20), 0.25, 7, 2, 0) == [place for place in whole if not 30 <= place < 70]
    assert [place for place in drawn(images(30, 5, 20), 0.25, 7) if place < 30] == [
        place for place in whole if place < 30
    ]


def test_test_and_validation_images_are_drawn_independently() -> None:
    data, both = images(40, 40, 40), 0
    for seed in range(50):
        validation = set(stratified_split(data.labels, 0.25, derive_seed(seed, "split"))[1].tolist())
        both += len(validation & set(drawn(data, 0.25, seed)))
    # Of 30 and 30 among 120, 7.5 on average; its deviation over 50 seeds is 0.3.
    assert both / 50 == pytest.approx(7.5, abs=1.5)


def test_a_class_that_is_too_small_blocks_only_those_who_want_it() -> None:
    data = images(60, 60, 1)
    with pytest.raises(UserError, match=r"^data.test_fraction=0.2: class 'c' has 1 image, too few for one on both"):
        drawn(data, 0.2, 0)
    assert len(drawn(data, 0.2, 0, 0, 1)) == 24
    arrays = ArrayDataModule(
        torch.zeros(121, 1, 4, 4, dtype=torch.uint8), data.labels, classes=["1", "0"], batch_size=8
    )
    arrays.setup("fit")
    arrays.setup("test")
    assert torch.bincount(arrays.images("test").labels).tolist() == [12, 12]
