"""The arms of the benchmark of a step's speed train, and do the same mathematics."""

from __future__ import annotations

import pytest
import torch

from benchmarks import operators, speed
from benchmarks.speed_data import Images8, Images32
from benchmarks.speed_loops import Point, TextbookCNN, preallocated_batches, tuned_batches
from lit_lossopt.networks.mini_cnn import MiniCNN

POINT = Point(image_size=8, batch=8, threads=1, steps=2)


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for images in (Images8, Images32):
        monkeypatch.setattr(images, "count", 2_000)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("arm", speed.ARMS)
def test_an_arm_times_its_steps(arm: str) -> None:
    window = speed.arms()[arm](POINT)
    assert window.steps == (20 if arm == speed.PRODUCTS else POINT.steps)
    assert window.wall > 0
    assert window.processor > 0


@pytest.mark.parametrize("arm", speed.ARMS[:5])
def test_a_loop_goes_on_with_another_pass(arm: str) -> None:
    # One pass over 2,000 images is 20 steps.
    assert speed.arms()[arm](Point(image_size=8, batch=100, threads=1, steps=30)).steps == 30


def test_the_textbooks_network_computes_what_mini_cnn_does() -> None:
    tuned, textbook = MiniCNN(3, 32).eval(), TextbookCNN(3, 32).eval()
    textbook.load_state_dict(dict(zip(textbook.state_dict(), tuned.state_dict().values(), strict=True)))
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(textbook(images), tuned(images))


@pytest.mark.parametrize("network", [operators.BlockedCNN, operators.SlicedCNN])
def test_what_was_tried_computes_the_same(network: type[MiniCNN]) -> None:
    plain, tried = MiniCNN().eval(), network().eval()
    tried.load_state_dict(plain.state_dict())
    images, gradients = torch.randn(4, 3, 32, 32), []
    for one in (plain, tried):
        torch.autograd.backward(one(images).square().sum())
        gradients.append([parameter.grad for parameter in one.parameters()])
    for of_plain, of_tried in zip(*gradients, strict=True):
        torch.testing.assert_close(of_tried, of_plain, rtol=1e-3, atol=1e-3)


def test_preallocated_batches_are_the_same() -> None:
    found = []
    for serve in (tuned_batches, preallocated_batches):
        torch.manual_seed(0)
        images, labels = next(serve(POINT))
        found.append((images.clone(), labels))
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
