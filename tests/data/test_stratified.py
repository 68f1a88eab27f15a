"""The split and the digits, read without scikit-learn, are scikit-learn's."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lit_lossopt.data.digits import DigitsDataModule, read_table
from lit_lossopt.data.stratified import split_places


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    order=st.integers(0, 99),
)
def test_a_split_is_the_one_that_scikit_learn_makes(counts: list[int], fraction: float, seed: int, order: int) -> None:
    labels = np.random.default_rng(order).permutation(np.repeat(np.arange(len(counts)), counts))
    expected = None
    with contextlib.suppress(ValueError):
        expected = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    if expected is None:
        with pytest.raises(ValueError, match="cannot be split"):
            split_places(labels, fraction, seed)
    else:
        for ours, theirs in zip(split_places(labels, fraction, seed), expected, strict=True):
            assert ours.tolist() == sorted(theirs.tolist())


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_share_of_nothing_or_of_everything_is_no_split(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"10 images of 2 classes|NaN"):
        split_places(np.array([0, 1] * 5), fraction, 0)


def test_the_digits_are_those_of_scikit_learn_wherever_it_keeps_them(tmp_path: Path) -> None:
    expected = load_digits()
    train, test = train_test_split(
        np.arange(len(expected.target)), test_size=0.2, stratify=expected.target, random_state=0
    )
    data = DigitsDataModule()
    for split, places in (("train", train), ("test", test)):
        read, rising = data.read(split), np.sort(places)  # type: ignore[arg-type]  # one of a literal's words
        assert (read.images.numpy()[:, 0] == expected.images[rising] * 15).all()
        assert read.labels.tolist() == expected.target[rising].tolist()
    images, labels = read_table(tmp_path / "digits.csv.gz")
    assert (images == expected.images).all()
    assert (labels == expected.target).all()
