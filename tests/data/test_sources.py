"""Where images lie changes no batch, and a step copies nothing where they lie on the device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerStatus
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.data.augmentation import ColorJitter, Cutout, HorizontalFlip, PadCrop
from lit_lossopt.data.batches import BatchLoader, LabelledImages, Pass, Share, Source
from lit_lossopt.data.mixing import CutMix, Mixing, MixUp
from lit_lossopt.data.sources import Resident, Sources
from lit_lossopt.tracking.reading.runs import read_runs

CPU, META = torch.device("cpu"), torch.device("meta")
ON_CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
cuda = [pytest.param("cuda", marks=ON_CUDA)]


def images(count: int = 50) -> LabelledImages:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 6, 6, 3), dtype=torch.uint8, generator=random).permute(0, 3, 1, 2)
    return LabelledImages(pixels, torch.randint(0, 4, (count,), generator=random), [""] * count)


def one_pass(count: int = 50, *, mixed: bool = True) -> Pass:
    random = torch.Generator().manual_seed(1)
    order = torch.randperm(count, generator=random)
    numbers = torch.rand(count, 3, generator=random).view(torch.int32)
    return Pass(order, numbers, torch.randint(0, count, (count,), generator=random) if mixed else None)


def running(device: str) -> Any:
    root = torch.device(device)
    return SimpleNamespace(
        state=SimpleNamespace(status=TrainerStatus.RUNNING), strategy=SimpleNamespace(root_device=root)
    )


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Counts what goes from one device to another."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        sources = {one.device for one in args if isinstance(one, Tensor)}
        if isinstance(found, Tensor) and sources and sources != {found.device}:
            self.count += 1
        return found


def batches(source: Source | None, **options: Any) -> list[tuple[Tensor, ...]]:
    new_pass = options.pop("new_pass", one_pass)
    return list(BatchLoader(images(), 8, new_pass, source=source, **options))


@pytest.mark.parametrize("device", ["cpu", *cuda])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"drop_last": True}, {"start": 3}, {"share": Share(1, 3)}, {"new_pass": None},
        {"new_pass": lambda: one_pass(mixed=False)},
    ],
)  # fmt: skip
def test_batches_are_the_same_wherever_images_lie(device: str, options: dict[str, Any]) -> None:
    expected = batches(None, **options)
    found = batches(Source.of(images()).on(torch.device(device)), **options)
    assert len(found) == len(expected)
    for batch, same in zip(found, expected, strict=True):
        assert {one.device.type for one in batch} == {device}
        for one, other in zip(batch, same, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=0, atol=0)
        assert batch[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [1, 8, 50])
def test_an_epoch_is_copied_once_and_no_batch_of_it(size: int) -> None:
    source = Source.of(images()).on(META)
    with Copies() as copies:
        served = list(BatchLoader(images(), size, one_pass, source=source))
    assert len(served) == -(-50 // size)
    assert all(one.device == META for batch in served for one in batch)
    # Order, random numbers and partners.
    assert copies.count == 3


def test_images_are_placed_once_where_training_runs_and_let_go_of() -> None:
    data, sources = images(), Sources(True)
    assert sources.of("train", data, None).rows.device == CPU
    idle = running("meta")
    idle.state.status = TrainerStatus.FINISHED
    assert sources.of("train", data, idle).rows.device == CPU
    placed = sources.of("train", data, running("meta"))
    assert placed.rows.device == placed.labels.device == META
    assert sources.of("train", data, running("meta")) is placed
    assert sources.of("val", images(9), running("meta")).rows.shape == (9, 6, 6, 3)
    # Another draw of the split is other images.
    assert sources.of("train", images(20), running("meta")).rows.shape == (20, 6, 6, 3)
    sources.forget()
    assert sources.of("train", images(20), running("meta")) is not placed


@pytest.mark.parametrize("resident", ["auto", False])
def test_without_a_gpu_images_stay_as_they_are(resident: Resident) -> None:
    data = images()
    for device in ("cpu", "meta"):
        source = Sources(resident).of("train", data, running(device))
        assert source.rows.data_ptr() == data.images.data_ptr()
        assert source.labels is data.labels
        assert not source.pinned


@pytest.mark.parametrize("mixing", [None, MixUp(), CutMix()])
@pytest.mark.parametrize("device", ["cpu", *cuda])
def test_resident_images_are_augmented_the_same(device: str, mixing: Mixing | None) -> None:
    def shown(resident: Resident) -> list[Tensor]:
        transforms = [PadCrop(1), HorizontalFlip(), Cutout(2), ColorJitter(hue=0.1)]
        data = DigitsDataModule(augmentation=transforms, mixing=mixing, resident=resident, seed=2)
        data.setup("fit")
        source = Sources(resident).of("train", data.images("train"), running(device if resident else "cpu"))
        loader = BatchLoader(data.images("train"), 64, lambda: data.epoch_pass(0), source=source)
        return [one for batch in loader for one in data.on_after_batch_transfer(batch, 0)]

    for one, other in zip(shown(True), shown(False), strict=True):
        assert one.device.type == device
        assert one.ndim != 4 or one.is_contiguous(memory_format=torch.channels_last)
        # Float products may be fused elsewhere.
        rtol, atol = (0.0, 0.0) if device == "cpu" else (1e-4, 0.05)
        torch.testing.assert_close(one.cpu(), other, rtol=rtol, atol=atol)


def test_where_images_lie_is_no_part_of_what_data_are() -> None:
    told = DigitsDataModule(resident=True).told_apart_by()
    assert not [name for name, value in told.items() if isinstance(value, Sources)]


@pytest.mark.usefixtures("store")
def test_a_run_with_resident_images_is_the_same_run() -> None:
    words = ["fit", "--config=sgd_momentum", "--config=digits", "--threads=1", "--data.augmentation=[PadCrop]"]
    short = ["--trainer.limit_train_batches=7", "--trainer.max_epochs=2"]
    assert main([*words, *short]) == 0
    assert main([*words, *short, "--data.resident=true"]) == 0
    plain, resident = read_runs("lit_lossopt")
    one, two = (stored_points(run.run_id, "train/loss").values for run in (plain, resident))
    np.testing.assert_array_equal(one, two)
    assert plain.tags["lossopt.trial_key"] == resident.tags["lossopt.trial_key"]
    assert (plain.params["data.resident"], resident.params["data.resident"]) == ("auto", "True")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_small_images_are_resident_and_others_come_from_page_locked_memory() -> None:
    assert Sources("auto").of("train", images(), running("cuda:0")).rows.is_cuda
    source = Sources(False).of("train", images(), running("cuda:0"))
    assert source.pinned
    # As a share of a GPU that other programs use.
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        with pytest.raises(UserError, match=r"data\.resident=true: the train images take"):
            Sources(True).of("train", images(200_000), running("cuda:0"))
        assert Sources("auto").of("train", images(200_000), running("cuda:0")).pinned
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    found = batches(source)
    assert all(one.is_pinned() for batch in found for one in batch)
    for batch, same in zip(found, batches(None), strict=True):
        for one, other in zip(batch, same, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
