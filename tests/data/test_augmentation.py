"""Each transform against a slow, obvious twin; and an image looks the same whatever was served before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.data.augmentation import Augmentation, BatchTransform, ColorJitter, Cutout, HorizontalFlip, PadCrop
from lit_lossopt.data.mixing import CutMix, Mixing, MixUp
from lit_lossopt.losses import contract_of, registered_losses
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.figures import images_figure

MEAN = torch.tensor([10.4, 20.6, 30.0])


def colours(count: int = 200, size: int = 10) -> Tensor:
    images = torch.randint(
        0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return images.contiguous(memory_format=torch.channels_last)


def applied(transform: BatchTransform, images: Tensor) -> tuple[Tensor, Tensor]:
    numbers = torch.rand(len(images), transform.draws, generator=torch.Generator().manual_seed(1))
    changed = transform(images, numbers, MEAN)
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert changed.is_contiguous(memory_format=torch.channels_last)
    return changed, numbers


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_pad_crop_is_a_window_of_the_padded_image(mode: Any) -> None:
    images = colours(1000)
    changed, numbers = applied(PadCrop(3, mode), images)
    places = set()
    for image, found, (row, column) in zip(images, changed, (numbers * 7).int().tolist(), strict=True):
        options: dict[str, Any] = {"mode": mode}
        padded = np.pad(image.numpy(), ((0, 0), (3, 3), (3, 3)), **options)
        np.testing.assert_array_equal(found.numpy(), padded[:, row : row + 10, column : column + 10])
        places.add((row, column))
    assert len(places) == 49


def test_a_flip_mirrors_each_image_or_leaves_it() -> None:
    images = colours()
    changed, numbers = applied(HorizontalFlip(0.3), images)
    for image, found, number in zip(images, changed, numbers.flatten().tolist(), strict=True):
        torch.testing.assert_close(found, image.flip(2) if number < 0.3 else image)
    assert 0.2 < float((numbers < 0.3).float().mean()) < 0.4


@pytest.mark.parametrize("size", [1, 4, 5, 30])
def test_cutout_fills_one_square_with_the_mean_colour(size: int) -> None:
    images = colours()
    changed, numbers = applied(Cutout(size), images)
    for image, found, (row, column) in zip(images, changed, (numbers * 10).int().tolist(), strict=True):
        expected = image.clone()
        top, left = row - size // 2, column - size // 2
        square = expected[:, max(top, 0) : top + size, max(left, 0) : left + size]
        square[:] = torch.tensor([10, 21, 30], dtype=torch.uint8).view(3, 1, 1)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_jitter_is_torchvisions_with_a_factor_an_image(name: str) -> None:
    images = colours(50)
    strengths = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, name: 0.6}
    changed, numbers = applied(ColorJitter(**strengths), images)
    column = list(strengths).index(name)
    for image, found, number in zip(images, changed, numbers[:, column].tolist(), strict=True):
        expected = getattr(reference, f"adjust_{name}")(image, 1 + 0.6 * (2 * number - 1))
        # torchvision cuts off fractions where this rounds, and its grey is whole.
        assert int((found.int() - expected.int()).abs().max()) <= 2


def test_hue_turns_colours_and_leaves_greys() -> None:
    jitter = ColorJitter(0, 0, 0, hue=1 / 3)
    grey, red = torch.full((1, 3, 4, 4), 77, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    red[:, 0] = 200
    third = torch.tensor([[0.5, 0.5, 0.5, 1.0]])
    torch.testing.assert_close(jitter(grey, third, MEAN), grey)
    torch.testing.assert_close(jitter(red, third, MEAN), red.roll(1, dims=1))
    torch.testing.assert_close(jitter(red, 1 - third, MEAN), red.roll(2, dims=1))
    sixth = jitter(red, torch.full((1, 4), 0.75), MEAN)
    assert sixth[0, :, 0, 0].tolist() == [133, 133, 0]


def test_grey_images_have_neither_saturation_nor_hue() -> None:
    images = colours()[:, :1].contiguous(memory_format=torch.channels_last)
    changed, _ = applied(ColorJitter(0, 0, 0.9, hue=0.5), images)
    torch.testing.assert_close(changed, images)


def data(**options: Any) -> DigitsDataModule:
    module = DigitsDataModule(drop_last=False, **options)
    module.setup("fit")
    return module


def seen(module: DigitsDataModule, epochs: list[int]) -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
    """Return (epoch, index) → image and label as training sees them, through loader and transfer."""
    found = {}
    for epoch in epochs:
        loader = module.train_dataloader()
        loader.new_pass = lambda epoch=epoch: module.epoch_pass(epoch)
        batches = [module.on_after_batch_transfer(batch, 0) for batch in loader]
        rows = zip(*(torch.cat(part) for part in zip(*batches, strict=True)), strict=True)
        for index, row in zip(module.epoch_order(epoch).tolist(), rows, strict=True):
            found[epoch, index] = row
    return found


@pytest.mark.parametrize("mixing", [None, MixUp(), CutMix()])
def test_an_image_depends_on_seed_epoch_and_index_alone(mixing: Mixing | None) -> None:
    transforms = [PadCrop(1), HorizontalFlip(), Cutout(2), ColorJitter(), v2.RandomRotation(20), v2.GaussianNoise()]
    options: dict[str, Any] = {"augmentation": transforms, "mixing": mixing, "classes": [3, 5], "seed": 4}
    first = seen(data(batch_size=64, **options), [0, 1])
    torch.manual_seed(99)
    again = seen(data(batch_size=7, eval_batch_size=3, **options), [1, 0])
    assert first.keys() == again.keys()
    for key, (image, label) in first.items():
        torch.testing.assert_close(again[key][0], image, rtol=0, atol=1e-5)
        torch.testing.assert_close(again[key][1], label, rtol=0, atol=0)
    assert all(not torch.equal(first[0, index][0], first[1, index][0]) for index in range(5))
    other = seen(data(batch_size=64, **{**options, "seed": 5}), [0])
    assert not torch.equal(other[0, 0][0], first[0, 0][0])


def test_training_draws_nothing_from_the_common_generator() -> None:
    module = data(augmentation=[PadCrop(1), v2.RandomRotation(20)], mixing=MixUp())
    before = torch.get_rng_state()
    seen(module, [0])
    torch.testing.assert_close(torch.get_rng_state(), before)


@pytest.mark.parametrize("mixing", [MixUp(1.0), CutMix(1.0)])
def test_mixed_images_are_two_images_of_the_epoch_and_labels_their_shares(mixing: Mixing) -> None:
    plain, mixed = data(augmentation=[PadCrop(1)]), data(augmentation=[PadCrop(1)], mixing=mixing)
    own, blended = seen(plain, [0]), seen(mixed, [0])
    partners = mixed.epoch_pass(0).partners
    assert partners is not None
    shares = []
    for (epoch, index), (image, label) in blended.items():
        first, second = own[epoch, index], own[epoch, int(partners[index])]
        share = float(label[first[1]]) if first[1] != second[1] else None
        assert float(label.sum()) == pytest.approx(1)
        if share is None:
            continue
        shares.append(share)
        if isinstance(mixing, MixUp):
            torch.testing.assert_close(image, share * first[0] + (1 - share) * second[0], rtol=1e-4, atol=1e-4)
        else:
            from_first = (image == first[0]).all(dim=0)
            assert bool((from_first | (image == second[0]).all(dim=0)).all())
            assert float(from_first.float().mean()) >= share - 1e-6
    assert max(shares) > 0.9
    assert min(shares) < 0.3


def test_shares_follow_the_beta_distribution() -> None:
    from scipy import stats

    # With a smaller α a per cent of the shares rounds to 1 in float32.
    shares = MixUp(0.7).numbers(0, 20_000)[:, 0].numpy()
    assert stats.kstest(shares, stats.beta(0.7, 0.7).cdf).pvalue > 1e-3


def test_cutmix_keeps_the_share_that_it_says() -> None:
    images, partners = colours(200).float(), colours(200).float() + 0.5
    numbers = CutMix().numbers(3, 200)
    mixed, share = CutMix()(images, partners, numbers)
    for row, (wanted, *_) in enumerate(numbers.tolist()):
        from_first = (mixed[row] == images[row]).all(dim=0)
        assert bool((from_first | (mixed[row] == partners[row]).all(dim=0)).all())
        assert float(from_first.float().mean()) == pytest.approx(float(share[row]))
        # The rectangle is cut off at borders, and its sides are whole pixels.
        assert float(share[row]) >= wanted - 1e-6
    inner = numbers.clone()
    inner[:, 1:] = 0.5
    inner[:, 0] = inner[:, 0].clamp_min(0.2)
    sides = (torch.sqrt(1 - inner[:, 0]) * 10).floor()
    torch.testing.assert_close(CutMix()(images, partners, inner)[1], 1 - sides.square() / 100)


@pytest.mark.parametrize("mixing", [MixUp(1.0), CutMix(1.0)])
def test_partners_and_shares_are_drawn_anew_in_each_epoch(mixing: Mixing) -> None:
    module = data(mixing=mixing)
    first, second = module.epoch_pass(0), module.epoch_pass(1)
    assert first.partners is not None
    assert second.partners is not None
    assert first.numbers is not None
    assert second.numbers is not None
    assert float((first.partners == second.partners).float().mean()) < 0.02
    assert float((first.numbers == second.numbers).float().mean()) < 0.02


def test_transforms_image_by_image_draw_for_each_image() -> None:
    image = colours(1).expand(200, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    turned = Augmentation([v2.RandomRotation(180)])(image, torch.rand(200, 1), MEAN)
    assert len({one.numpy().tobytes() for one in turned}) > 100


def test_cutout_leaves_the_mean_which_is_zero_once_normalised() -> None:
    module = data(augmentation=[Cutout(30)])
    images, _ = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert float(images.abs().max()) < 0.05


class Invert(BatchTransform):
    draws = 0

    def __call__(self, images: Tensor, numbers: Tensor, mean: Tensor) -> Tensor:
        return 255 - images


def test_a_transform_without_draws_is_applied() -> None:
    plain, inverted = seen(data(), [0]), seen(data(augmentation=[Invert()]), [0])
    assert not torch.equal(plain[0, 0][0], inverted[0, 0][0])


@pytest.mark.parametrize("loss", [name for name, contract in registered_losses().items() if contract.encode_soft])
@pytest.mark.parametrize("classes", [2, 10])
def test_soft_labels_that_are_certain_are_labels(loss: str, classes: int) -> None:
    criterion = getattr(nn, loss)()
    contract = contract_of(criterion)
    outputs = torch.randn(8, contract.num_outputs(classes), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % classes
    soft = nn.functional.one_hot(labels, classes).float()
    inputs = contract.encode_outputs(outputs)
    hard = criterion(inputs, contract.targets(labels, outputs))
    torch.testing.assert_close(criterion(inputs, contract.targets(soft, outputs)), hard)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_other_precisions_see_the_same_images(precision: str) -> None:
    words = ["fit", "--config=adam", "--config=digits", "--threads=1", "--trainer.max_steps=2"]
    augmented = ["--data.augmentation=[PadCrop,HorizontalFlip]", "--data.mixing=MixUp"]
    for one in ("32-true", precision):
        assert main([*words, *augmented, f"--trainer.precision={one}"]) == 0
    full, other = (stored_points(run.run_id, "train/loss").values for run in read_runs("lit_lossopt"))
    np.testing.assert_allclose(other, full, rtol=0.02)


@pytest.mark.usefixtures("store")
def test_a_run_with_transforms_of_torchvision_repeats_from_its_config() -> None:
    transforms = "[{class_path: RandomRotation, degrees: 10},RandAugment,{class_path: RandomErasing, p: 0.3}]"
    words = ["fit", "--config=adam", "--config=digits", "--threads=1", "--trainer.max_steps=3"]
    assert main([*words, f"--data.augmentation={transforms}"]) == 0
    (config,) = Path("mlruns").rglob("config.yaml")
    assert main(["fit", f"--config={config}"]) == 0
    first, second = (stored_points(run.run_id, "train/loss").values for run in read_runs("lit_lossopt"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_pictures_show_any_number_of_channels(channels: int) -> None:
    images = np.zeros((2, 3, 8, 8, channels), dtype=np.uint8)
    images_figure(images, ["as it is", "epoch 1"], "title").canvas.draw()


@pytest.mark.usefixtures("store")
def test_the_whole_way() -> None:
    words = ["fit", "--config=adam", "--config=digits", "--threads=1", "--trainer.max_epochs=1"]
    augmented = [*words, "--data.augmentation=[{class_path: PadCrop, padding: 1},Cutout]", "--data.mixing=MixUp"]
    assert main(words) == 0
    assert main([*augmented, "--trainer.val_check_interval=3"]) == 0
    assert main(augmented) == 0
    plain, often, seldom = (stored_points(run.run_id, "train/loss").values for run in read_runs("lit_lossopt"))
    np.testing.assert_array_equal(often, seldom)
    assert not np.array_equal(often, plain)


REFUSED = (
    (
        "--data.augmentation=[PadCrp]",
        "data.augmentation=PadCrp from the command line: no such class (did you mean 'Pad",
    ),
    ("--data.augmentation=[{class_path: PadCrop, pad: 2}]", "PadCrop has no argument 'pad' (did you mean 'padding'?)"),
    ("--data.augmentation=[{class_path: PadCrop, padding: -1}]", "PadCrop padding=-1: must not be negative"),
    ("--data.augmentation=[{class_path: PadCrop, padding: 8, mode: reflect}]", "mirrors more than images of 8×8"),
    ("--data.augmentation=[{class_path: CenterCrop, size: 4}]", "CenterCrop makes torch.uint8 [1, 4, 4] of uint8"),
    ("--data.augmentation=ToPILImage", "ToPILImage makes no tensor of a uint8 image"),
    ("--data.augmentation=[3]", "data.augmentation=3 from the command line: not the name of a class"),
    ("--data.augmentation=os.system", "importing os is not allowed"),
    ("--data.mixing=Mixup", "data.mixing=Mixup from the command line: no such class (did you mean 'MixUp'?)"),
    ("--data.mixing.alpha=1", "data.mixing=None from the command line: not the name of a class"),
    ("--data.mixing=CutMix --data.mixing.alpha=0", "CutMix alpha=0.0: must be positive"),
    ("--data.mixing=MixUp --model.criterion.weight=[1,1,1,1,1,1,1,1,1,1]", "weight with mixed images would change"),
    ("--data.mixing=CutMix --model.criterion=HingeLoss", "HingeLoss takes no soft labels, which mixed images have"),
)


@pytest.mark.parametrize(("typed", "message"), REFUSED)
def test_what_does_not_fit_is_one_line_before_a_run_exists(
    typed: str, message: str, capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    assert main(["fit", "--config=adam", "--config=digits", *re.split(" (?=--)", typed)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not store.with_name("mlruns").exists()


@pytest.mark.usefixtures("store")
def test_a_picture_shows_what_augmentation_does() -> None:
    words = ["fit", "--config=adam", "--config=digits", "--trainer.max_steps=1", "--data.augmentation=PadCrop"]
    assert main(words) == 0
    (picture,) = Path("mlruns").rglob("augmentation.png")
    assert picture.stat().st_size > 5000
    module = data(augmentation=[PadCrop(1)])
    examples = module.augmented_examples(count=3, epochs=2)
    assert examples is not None
    index = torch.tensor([0, 646, 1292])
    torch.testing.assert_close(examples[0], module.images("train").images[index])
    numbers = module.epoch_pass(1).numbers
    assert numbers is not None
    uniform = numbers.view(torch.float32)[index]
    expected = Augmentation([PadCrop(1)])(module.images("train").images[index], uniform, MEAN[:1])
    torch.testing.assert_close(examples[2], expected)
    assert data().augmented_examples() is None


def test_an_unknown_kind_of_result_is_refused() -> None:
    numbers = torch.rand(2, 1)
    with pytest.raises(UserError, match=r"ToDtype makes torch\.float32"):
        Augmentation([v2.ToDtype(torch.float32)])(colours(2), numbers, MEAN)
