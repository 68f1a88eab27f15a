"""What is wrong with the data's settings is one line that names the key and the way out."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import UserError
from lit_lossopt.data import ArrayFileDataModule

TYPED_WRONG = [
    ("--data.augmentation=[{class_path:PadCrop,padding:-1}]", "data.augmentation: PadCrop padding=-1: must not be"),
    ("--data.augmentation=[{class_path:HorizontalFlip,p:2}]", "data.augmentation: HorizontalFlip p=2"),
    ("--data.augmentation=[{class_path:Cutout,size:0}]", "data.augmentation: Cutout size=0: must be at least 1"),
    ("--data.augmentation=[{class_path:ColorJitter,hue:2}]", "data.augmentation: ColorJitter: strengths must not"),
    ("--data.augmentation=[MixUp]", "data.augmentation: MixUp mixes images with each other; it is --data.mixing=MixUp"),
    ("--data.augmentation=[CutMix]", "it is --data.mixing=CutMix"),
    ("--data.mixing=MixUp --data.mixing.alpha=0", "data.mixing: MixUp alpha=0.0: must be positive"),
    (
        "--data.mixing=torchvision.transforms.v2.MixUp",
        "data.mixing from the command line: torchvision.transforms.v2.MixUp is not a Mixing\n",
    ),
    ("--data.augmentation=[torch.optim.SGD]", "from the command line: torch.optim.SGD is not a BatchTransform\n"),
    ("--model.frozen_epochs=-1", "model.frozen_epochs=-1, model.backbone_lr_factor=1.0: the first must be at least 0"),
    ("--data=CIFAR10DataModule --data.urls=[]", "data.urls=[]: no address to fetch from; leave it out, or set"),
]


@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_a_wrong_setting_is_one_line_with_its_key(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.replace(",", ", ").replace(":", ": ") for word in typed.split()]
    assert main(["fit", "--config=adam", "--config=digits", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_of_arrays_is_named_wherever_the_damage_is(save: object) -> None:
    kept, labels = io.BytesIO(), np.arange(12) % 2
    save(kept, images=np.zeros((12, 1, 3, 3), dtype=np.uint8), labels=labels)  # type: ignore[operator]  # numpy's
    content, said = kept.getvalue(), []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        Path("mine.npz").write_bytes(damaged)
        try:
            ArrayFileDataModule("mine.npz")
        except UserError as error:
            said.append(str(error))
    assert all(message.startswith("data.file=mine.npz: ") for message in said)
    # What the others change are times, permissions and other fields that nobody reads.
    assert len(said) > 0.5 * len(content)


@pytest.mark.parametrize("names", ["ab", [["a", "b"]]])
def test_names_of_classes_are_a_list(names: object) -> None:
    labels = np.arange(12) % 2
    np.savez("mine.npz", images=np.zeros((12, 1, 3, 3), dtype=np.uint8), labels=labels, class_names=np.array(names))
    with pytest.raises(UserError, match=r"^data.class_names=.*: a list of names is needed, one for each class$"):
        ArrayFileDataModule("mine.npz")
