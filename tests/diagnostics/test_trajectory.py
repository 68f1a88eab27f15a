"""Snapshots hold the weights in half the memory, as near as they say."""

from __future__ import annotations

import io
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lit_lossopt.diagnostics.trajectory import decoded, encoded


def saved(content: dict[str, Any]) -> dict[str, Any]:
    """Return what is read back of a file."""
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True)
    return read


@given(st.integers(0, 1000), st.floats(1e-12, 1e6))
def test_the_rounding_is_a_small_share_of_the_largest_move(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = {"w": torch.randn(7, 5, generator=generator)}
    weights = {"w": start["w"] + size * torch.randn(7, 5, generator=generator)}
    back = decoded(saved(encoded(weights, start)), start)
    largest = float((weights["w"] - start["w"]).abs().max())
    # Float32 itself rounds the sum.
    rounding = 2.0**-23 * float(weights["w"].abs().max())
    assert float((back["w"] - weights["w"]).abs().max()) <= largest / 2048 + rounding


def test_what_has_not_moved_comes_back_to_the_bit() -> None:
    weights = {"w": torch.randn(4, generator=torch.Generator().manual_seed(1))}
    assert torch.equal(decoded(encoded(weights, weights), weights)["w"], weights["w"])


def test_other_tensors_are_kept_as_they_are() -> None:
    start = {
        "count": torch.tensor(3), "double": torch.ones(2, dtype=torch.float64), "half": torch.ones(2).half(),
        "broken": torch.ones(2), "empty": torch.empty(0), "new": torch.ones(1),
    }  # fmt: skip
    weights: dict[str, Tensor] = {
        "count": torch.tensor(2**40 + 1), "double": torch.full((2,), 1 / 3, dtype=torch.float64),
        "half": torch.full((2,), 0.1).half(), "broken": torch.tensor([float("nan"), 1.0]), "empty": torch.empty(0),
        "new": torch.tensor([1 / 3]),
    }  # fmt: skip
    del start["new"]
    back = decoded(saved(encoded(weights, start)), start)
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        assert back[name].dtype == value.dtype
        assert torch.equal(back[name].nan_to_num(), value.nan_to_num()), name


def test_a_snapshot_takes_half_the_memory() -> None:
    start = {"w": torch.zeros(100_000)}
    weights = {"w": torch.randn(100_000, generator=torch.Generator().manual_seed(0))}
    sizes = []
    for origin in ({}, start):
        file = io.BytesIO()
        torch.save(encoded(weights, origin), file)
        sizes.append(len(file.getvalue()))
    assert sizes[1] < 0.51 * sizes[0]


def test_the_first_files_of_this_kind_are_read() -> None:
    weights = {"layer.weight": torch.tensor([1.5])}
    assert decoded(weights, {})["layer.weight"].tolist() == [1.5]
