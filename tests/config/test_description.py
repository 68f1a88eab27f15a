from __future__ import annotations

import inspect
from typing import Any

import lightning.pytorch as pl
import pytest

from lit_lossopt.config.description import arm_name, flat_parameters, trial_key
from lit_lossopt.config.trainer_arguments import CHANGE_RESULTS, MAY_CHANGE_RESULTS, SHOW_RESULTS

DEFAULTS: dict[str, dict[str, Any]] = {
    "torch.optim.SGD": {"lr": 1e-3, "momentum": 0, "weight_decay": 0},
    "torch.optim.Adam": {"lr": 1e-3, "betas": (0.9, 0.999)},
    "torch.nn.CrossEntropyLoss": {"reduction": "mean", "label_smoothing": 0.0},
    "lit_lossopt.networks.MiniCNN": {"channels": (32, 64), "hidden": 128},
    "x.PadCrop": {"padding": 4},
}


def config(**changes: Any) -> dict[str, Any]:
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0}}
    model = {
        "network": {"class_path": "lit_lossopt.networks.MiniCNN", "init_args": {"channels": [32, 64], "hidden": 128}},
        "criterion": {"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"reduction": "mean", "weight": None}},
        "optimizer": optimizer,
        "lr_scheduler": None,
        "decay_biases": True,
        **changes,
    }
    return {
        "seed_everything": 3,
        "model": model,
        "data": {"class_path": "x.DigitsDataModule", "init_args": {"batch_size": 64, "classes": ["3", 8]}},
        "trainer": {"max_epochs": 5, "enable_progress_bar": None, "num_sanity_val_steps": -1},
        "tracking": {"experiment": "a"},
    }


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "sgd lr=0.01 momentum=0.9 CrossEntropyLoss"),
        (
            {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3, "betas": [0.9, 0.999]}}},
            "adam lr=0.001 CrossEntropyLoss",
        ),
        ({"decay_biases": False}, "sgd lr=0.01 momentum=0.9 decay_biases=False CrossEntropyLoss"),
        (
            {"criterion": {"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"label_smoothing": 0.1}}},
            "sgd lr=0.01 momentum=0.9 CrossEntropyLoss(label_smoothing=0.1)",
        ),
        (
            {"lr_scheduler": {"class_path": "a.StepLR", "init_args": {"step_size": 3}}},
            "sgd lr=0.01 momentum=0.9 CrossEntropyLoss StepLR(step_size=3)",
        ),
        (
            {"network": {"class_path": "lit_lossopt.networks.MiniCNN", "init_args": {"hidden": 9}}},
            "sgd lr=0.01 momentum=0.9 CrossEntropyLoss MiniCNN(hidden=9)",
        ),
        (
            {"frozen_epochs": 2, "backbone_lr_factor": 0.1},
            "sgd lr=0.01 momentum=0.9 CrossEntropyLoss frozen_epochs=2 backbone_lr_factor=0.1",
        ),
        ({"frozen_epochs": 0, "backbone_lr_factor": 1.0}, "sgd lr=0.01 momentum=0.9 CrossEntropyLoss"),
    ],
)
def test_an_arm_is_named_by_what_was_chosen(changes: dict[str, Any], name: str) -> None:
    assert arm_name(config(**changes), DEFAULTS) == name


def test_an_arm_names_what_else_tells_runs_apart() -> None:
    other = config()
    other["data"]["init_args"]["batch_size"] = 16
    other["trainer"]["gradient_clip_val"] = 0.1
    assert arm_name(other, DEFAULTS).endswith("CrossEntropyLoss batch_size=16 gradient_clip_val=0.1")


def test_an_arm_names_its_augmentation() -> None:
    other = config()
    other["data"]["init_args"]["augmentation"] = [
        {"class_path": "x.PadCrop", "init_args": {"padding": 4}},
        {"class_path": "x.Cutout", "init_args": {"size": 3}},
    ]
    other["data"]["init_args"]["mixing"] = {"class_path": "x.MixUp"}
    assert arm_name(other, DEFAULTS).endswith("CrossEntropyLoss PadCrop Cutout(size=3) MixUp")
    assert flat_parameters(other, {})["data.augmentation"] == "PadCrop(padding=4), Cutout(size=3)"
    assert trial_key(other) != trial_key(config())


def test_parameters_are_flat_and_without_noise() -> None:
    found = flat_parameters(config(), {"optimizer.nesterov": False, "parameters": 7})
    assert found == {
        "network": "MiniCNN", "network.channels": "[32, 64]", "network.hidden": "128",
        "criterion": "CrossEntropyLoss", "criterion.reduction": "mean",
        "optimizer": "SGD", "optimizer.lr": "0.01", "optimizer.momentum": "0.9", "optimizer.weight_decay": "0",
        "optimizer.nesterov": "False", "decay_biases": "True",
        "data": "DigitsDataModule", "data.batch_size": "64", "data.classes": '["3", 8]',
        "trainer.max_epochs": "5", "seed": "3", "parameters": "7",
    }  # fmt: skip


def test_the_key_changes_with_what_can_change_a_result_and_with_nothing_else() -> None:
    key = trial_key(config())
    assert trial_key({**config(), "tracking": {"experiment": "b"}, "ckpt_path": "x"}) == key
    shown = {**config()["trainer"], "enable_progress_bar": False}
    evaluated = {**config()["data"]["init_args"], "eval_batch_size": 7, "urls": ["https://mirror"]}
    assert trial_key({**config(), "trainer": shown}) == key
    assert trial_key({**config(), "data": {**config()["data"], "init_args": evaluated}}) == key
    other = {**evaluated, "archive": "other.tar.gz"}
    assert trial_key({**config(), "data": {**config()["data"], "init_args": other}}) != key
    assert trial_key({**config(), "trainer": {**shown, "gradient_clip_val": 1.0}}) != key
    assert trial_key({**config(), "seed_everything": 4}) != key
    assert trial_key(config(decay_biases=False)) != key


def test_every_argument_of_the_trainer_stands_in_one_row_of_the_table() -> None:
    rows = [*CHANGE_RESULTS, *MAY_CHANGE_RESULTS, *SHOW_RESULTS]
    assert sorted(rows) == sorted(set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"})


def test_a_compiled_step_and_a_precision_make_another_trial_and_an_arm_of_their_own() -> None:
    plain = trial_key(config())
    # As it was before there were such settings.
    assert trial_key({**config(), "compile": False, "fp32_precision": None}) == plain
    assert trial_key({**config(), "compile": True}) == trial_key({**config(), "compile": "default"}) != plain
    assert trial_key({**config(), "fp32_precision": "bf16"}) != plain
    named = arm_name({**config(), "compile": True, "fp32_precision": "bf16"}, {})
    assert named == f"{arm_name(config(), {})} fp32_precision=bf16 compile=default"
    assert flat_parameters({**config(), "compile": True}, {})["compile"] == "default"
    assert not {"compile", "fp32_precision"} & set(flat_parameters({**config(), "compile": False}, {}))
