"""MiniCNN in both frameworks, by the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

from lit_lossopt.keras_twin.engine import channels_last, sizes_of
from lit_lossopt.keras_twin.network import KerasMiniCNN, get_weights, set_weights
from lit_lossopt.networks.mini_cnn import MiniCNN, count_parameters

SIZES = [(3, 32, 10), (1, 8, 10), (2, 13, 1), (1, 4, 3)]


def arrays(network: MiniCNN) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("channels", "size", "outputs"), SIZES)
def test_it_has_the_outputs_of_torchs(channels: int, size: int, outputs: int) -> None:
    torch.manual_seed(1)
    network = MiniCNN(channels, size, outputs, channels=(4, 6), hidden=7).double().eval()
    twin = KerasMiniCNN(sizes_of(network), "float64")
    # An odd size is rounded down by the pooling, which the weights do not show.
    if size % 4 == 0:
        assert sizes_of(network).image_size == size
    set_weights(twin, arrays(network))
    images = torch.randn(5, channels, size, size, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images).numpy()
    assert np.abs(twin(channels_last(images)).numpy() - wanted).max() < 1e-13
    assert twin.count_params() == count_parameters(network)


def test_weights_come_back_as_they_went() -> None:
    network = MiniCNN(3, 12, 5, channels=(4, 6), hidden=7)
    twin = KerasMiniCNN(sizes_of(network))
    set_weights(twin, arrays(network))
    for name, value in get_weights(twin).items():
        assert np.array_equal(value, network.state_dict()[name].numpy()), name


def test_without_the_order_of_what_is_flattened_it_is_another_function() -> None:
    network = MiniCNN(3, 12, 5, channels=(4, 6), hidden=7).double().eval()
    twin = KerasMiniCNN(sizes_of(network), "float64")
    set_weights(twin, arrays(network), reorder=False)
    images = torch.randn(5, 3, 12, 12, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images).numpy()
    assert np.abs(twin(channels_last(images)).numpy() - wanted).max() > 1e-3


def test_a_mask_drops_hidden_units_as_torch_does() -> None:
    network = MiniCNN(1, 8, 3, channels=(4, 6), hidden=7, dropout=0.5).double()
    twin = KerasMiniCNN(sizes_of(network), "float64")
    set_weights(twin, arrays(network))
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    torch.manual_seed(3)
    with torch.no_grad():
        wanted = network(images).numpy()
    torch.manual_seed(3)
    kept = torch.nn.functional.dropout(torch.ones(5, 7, dtype=torch.float64), 0.5)
    assert np.abs(twin(channels_last(images), kept=kept.numpy()).numpy() - wanted).max() < 1e-13
