"""What the real parser makes of shipped configs, alone and in pairs; nothing of one optimizer leaks into another."""

from __future__ import annotations

import inspect
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_lossopt.cli import LossOptCLI
from lit_lossopt.cli_messages import quieten
from lit_lossopt.command_line import prepare
from lit_lossopt.config_files import shipped_folder
from lit_lossopt.usage import FLAGS

GOLDEN = Path(__file__).parent / "golden" / "optimizer_pairs.json"
OPTIMIZERS = ("sgd", "sgd_momentum", "sgd_nesterov", "sgd_momentum_weight_decay", "adam", "adamw", "rmsprop")
PAIRS = [*((name,) for name in OPTIMIZERS), *itertools.permutations(OPTIMIZERS, 2)]


class ParsedOnly(LossOptCLI):
    """The command line up to the resolved config; nothing is built."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def after_instantiate_classes(self) -> None:
        """Check nothing."""


def resolved(words: list[str], command: str = "fit") -> dict[str, Any]:
    quieten()
    cli = ParsedOnly(prepare(command, words))
    text = cli._parser(command).dump(cli.config[command], skip_unset=False, format="json")
    config: dict[str, Any] = json.loads(text)
    return config


def chosen(names: tuple[str, ...]) -> dict[str, Any]:
    model = resolved([word for name in names for word in ("--config", name)])["model"]
    return {"optimizer": model["optimizer"], "decay_biases": model["decay_biases"]}


def all_pairs() -> dict[str, Any]:
    return {" + ".join(names): chosen(names) for names in PAIRS}


@pytest.fixture(scope="module")
def pairs() -> dict[str, Any]:
    return all_pairs()


def test_resolved_optimizers_are_as_recorded(pairs: dict[str, Any]) -> None:
    assert pairs == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("names", PAIRS, ids=" + ".join)
def test_a_pair_is_the_second_alone_unless_the_class_is_the_same(names: tuple[str, ...], pairs: dict[str, Any]) -> None:
    settings = [yaml.safe_load((shipped_folder() / f"{name}.yaml").read_text())["model"]["optimizer"] for name in names]
    found = pairs[" + ".join(names)]["optimizer"]
    same = len({setting["class_path"] for setting in settings}) == 1
    given = {
        key: float(value) if isinstance(value, str) else value  # PyYAML reads 1e-3 as text
        for setting in (settings if same else settings[-1:])
        for key, value in setting["init_args"].items()
    }
    signature = inspect.signature(getattr(torch.optim, settings[-1]["class_path"])).parameters
    defaults = {
        name: list(item.default) if isinstance(item.default, tuple) else item.default
        for name, item in signature.items()
        if name != "params"
    }
    assert found["class_path"] == f"torch.optim.{settings[-1]['class_path']}"
    assert found["init_args"] == {**defaults, **given}


def test_a_flag_that_changes_the_class_starts_from_its_defaults_in_the_real_parser() -> None:
    model = resolved(["--config", "sgd_momentum_weight_decay", "--model.optimizer=AdamW"])["model"]
    assert model["optimizer"]["init_args"]["weight_decay"] == 0.01
    assert model["optimizer"]["init_args"]["lr"] == 0.001
    kept = resolved(["--config", "sgd_momentum_weight_decay", "--model.optimizer=SGD", "--model.optimizer.lr=1"])
    assert kept["model"]["optimizer"]["init_args"]["weight_decay"] == 5e-4


def test_scheduler_and_criterion_start_from_their_defaults_too() -> None:
    Path("first.yaml").write_text(
        "model:\n  lr_scheduler: {class_path: StepLR, init_args: {step_size: 3, gamma: 0.7}}\n"
        "  criterion: {class_path: MSELoss, init_args: {reduction: sum}}\n"
    )
    words = ["--config", "first.yaml", "--model.lr_scheduler=ExponentialLR", "--model.lr_scheduler.gamma=0.5"]
    model = resolved([*words, "--model.criterion=CrossEntropyLoss"])["model"]
    assert model["lr_scheduler"]["init_args"]["gamma"] == 0.5
    assert model["criterion"]["init_args"]["reduction"] == "mean"
    same = resolved(["--config", "first.yaml", "--model.lr_scheduler.step_size=4", "--model.criterion=MSELoss"])[
        "model"
    ]
    assert same["lr_scheduler"]["init_args"]["gamma"] == 0.7
    assert same["criterion"]["init_args"]["reduction"] == "sum"


def test_schedulers_own_lightning_subclass_is_found_by_torchs_name() -> None:
    words = ["--model.lr_scheduler=ReduceLROnPlateau", "--model.lr_scheduler.monitor=val/loss"]
    assert resolved(words)["model"]["lr_scheduler"]["class_path"] == "lightning.pytorch.cli.ReduceLROnPlateau"


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_every_flag_of_the_help_exists(command: str) -> None:
    Path("x.ckpt").touch()
    words = [] if command == "fit" else ["--ckpt_path", "x.ckpt"]
    config = resolved([*words, "--data=ImageFolderDataModule"], command)
    ours = {"config", "allow-import", "resume", "print_config", "model.optimizer.help", "help-all"}
    named = {flag.split()[0].removeprefix("--") for group in FLAGS.values() for flag, _ in group}
    for key in named - ours:
        node: Any = config
        for part in key.split("."):
            node = node.get("init_args", node)
            assert part in node, key
            node = node[part]


def test_the_resolved_config_resolves_to_itself(tmp_path: Path) -> None:
    config = resolved(["--config", "adamw", "--config", "digits", "--model.network.hidden=7"])
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(config))
    assert resolved(["--config", "again.yaml"]) == config


if __name__ == "__main__":  # python -m tests.test_resolved_configs: record anew, then read the difference
    GOLDEN.write_text(json.dumps(all_pairs(), indent=1) + "\n")
    sys.exit()
