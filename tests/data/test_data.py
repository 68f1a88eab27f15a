from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.data.batches import BatchLoader, LabelledImages, channel_statistics


def digits(**options: Any) -> DigitsDataModule:
    data = DigitsDataModule(**options)
    data.setup("fit")
    return data


def sources(data: LabelledImages) -> set[str]:
    return set(data.sources)


def test_splits_are_stratified_disjoint_and_whole() -> None:
    data = digits(val_fraction=0.2)
    data.setup("test")
    train, val, test = (data.images(split) for split in ("train", "val", "test"))
    assert len(train) + len(val) + len(test) == 1797 == len(sources(train) | sources(val) | sources(test))
    shares = [np.bincount(split.labels.numpy()) / len(split) for split in (train, val, test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.005
    assert np.abs(shares[0] - shares[2]).max() < 0.005


def test_the_seed_chooses_the_validation_split_and_never_the_test_split() -> None:
    first, same, other = digits(seed=1), digits(seed=1), digits(seed=2)
    assert sources(first.images("val")) == sources(same.images("val")) != sources(other.images("val"))
    for data in (first, other):
        data.setup("test")
    assert first.images("test").sources == other.images("test").sources


def test_order_is_a_function_of_seed_and_epoch_alone() -> None:
    data = digits(seed=3)
    expected = [data.epoch_order(epoch) for epoch in range(3)]
    torch.manual_seed(99)
    again = digits(seed=3, batch_size=7, eval_batch_size=5)
    for epoch in (2, 0, 1):
        torch.testing.assert_close(again.epoch_order(epoch), expected[epoch])
    assert not torch.equal(expected[0], expected[1])
    assert not torch.equal(expected[0], digits(seed=4).epoch_order(0))
    assert sorted(expected[0].tolist()) == list(range(len(data.images("train"))))


def test_batches_are_the_images_in_their_order() -> None:
    data = digits(batch_size=100, drop_last=False)
    train, order = data.images("train"), data.epoch_order(0)
    batches = list(data.train_dataloader())
    assert [len(labels) for _, labels in batches] == [100] * 12 + [93]
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), train.images[order])
    torch.testing.assert_close(torch.cat([labels for _, labels in batches]), train.labels[order])
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images, _ in batches)


def test_a_smaller_last_batch_is_left_out() -> None:
    loader = digits(batch_size=100).train_dataloader()
    assert len(loader) == 12
    assert [len(labels) for _, labels in loader] == [100] * 12


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
def test_length_is_the_number_of_batches(size: int) -> None:
    data = LabelledImages(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.arange(6), ["x"] * 6)
    for drop_last in (False, True):
        loader = BatchLoader(data, size, drop_last=drop_last)
        assert len(list(loader)) == len(loader)


def test_classes_are_kept_by_name_in_the_given_order() -> None:
    data = digits(classes=[8, "3"])
    data.setup("test")
    assert data.class_names == ["8", "3"]
    assert data.num_classes == 2
    whole = digits()
    whole.setup("test")
    expected = Counter(label for label in whole.images("test").labels.tolist() if label in (3, 8))
    found = Counter(data.images("test").labels.tolist())
    assert found == {0: expected[8], 1: expected[3]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["cat", "3"]}, "data.classes: no class 'cat'"),
        ({"classes": ["3"]}, "at least two different"),
        ({"classes": ["3", "3"]}, "at least two different"),
        ({"classes": []}, "at least two different"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"val_fraction": 0.0}, "val_fraction=0.0"),
        ({"val_fraction": 1.0}, "val_fraction=1.0"),
        ({"batch_size": 5000}, "only 1293 training images"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        digits(**options)


def normalised(data: DigitsDataModule, images: Tensor) -> Tensor:
    return data.on_after_batch_transfer((images, torch.zeros(len(images))), 0)[0]


def test_normalisation_is_zero_mean_and_unit_deviation_on_the_training_images() -> None:
    data = digits()
    values = normalised(data, data.images("train").images).double()
    assert float(values.mean()) == pytest.approx(0, abs=1e-5)
    assert float(values.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_data_that_never_change_have_nothing_more_to_record() -> None:
    assert digits().facts() == {}


def test_statistics_are_those_of_the_obvious_formula() -> None:
    images = torch.randint(0, 256, (3000, 3, 5, 4), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    flat = images.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(mean.double(), flat.mean(dim=1), rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), flat.std(dim=1, correction=0), rtol=1e-6, atol=0)


def test_testing_alone_normalises_as_training_did() -> None:
    trained, tested = digits(), DigitsDataModule()
    tested.setup("test")
    images = tested.images("test").images
    torch.testing.assert_close(normalised(trained, images), normalised(tested, images), rtol=0.02, atol=0.02)


def test_validate_on_test_trains_on_everything_and_says_so() -> None:
    with pytest.warns(Notice, match="measured on the test images"):
        data = digits(validate_on_test=True)
    data.setup("test")
    assert len(data.images("train")) == 1437
    assert data.images("val").sources == data.images("test").sources
