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

from lit_lossopt.__main__ import main
from lit_lossopt.config.files import shipped_folder
from lit_lossopt.config.help import FLAGS
from lit_lossopt.config.words import prepare
from lit_lossopt.training.cli import LossOptCLI
from lit_lossopt.training.library_messages import quieten
from tests.support.places import TESTS

GOLDEN = TESTS / "golden" / "optimizer_pairs.json"
OPTIMIZERS = ("sgd", "sgd_momentum", "sgd_nesterov", "sgd_momentum_weight_decay", "adam", "adamw", "rmsprop")
PAIRS = [*((name,) for name in OPTIMIZERS), *itertools.permutations(OPTIMIZERS, 2)]


class ParsedOnly(LossOptCLI):
    """The command line up to the resolved config; nothing is built."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def after_instantiate_classes(self) -> None:
        """Check nothing."""


def parsed(words: list[str], command: str = "fit") -> ParsedOnly:
    quieten()
    return ParsedOnly(prepare(command, words))


def resolved(words: list[str], command: str = "fit") -> dict[str, Any]:
    cli = parsed(words, command)
    text = cli._parser(command).dump(cli.config[command], skip_unset=False, format="json")
    config: dict[str, Any] = json.loads(text)
    return config


def as_kept(words: list[str]) -> str:
    """The config.yaml that a run of these words keeps."""
    cli = parsed(words)
    return str(cli._parser("fit").dump(cli.config["fit"], skip_unset=False))


def chosen(names: tuple[str, ...]) -> dict[str, Any]:
    model = resolved([word for name in names for word in ("--config", name)])["model"]
    return {"optimizer": model["optimizer"], "decay_biases": model["decay_biases"]}


def all_pairs() -> dict[str, Any]:
    return {" + ".join(names): chosen(names) for names in PAIRS}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    pairs: dict[str, Any] = json.loads(GOLDEN.read_text())
    return pairs


def test_every_pair_is_recorded(recorded: dict[str, Any]) -> None:
    assert list(recorded) == [" + ".join(names) for names in PAIRS]


@pytest.mark.parametrize("names", PAIRS, ids=" + ".join)
def test_a_pair_is_as_recorded_the_second_alone_unless_the_class_is_the_same(
    names: tuple[str, ...], recorded: dict[str, Any]
) -> None:
    pair = chosen(names)
    assert pair == recorded[" + ".join(names)]
    settings = [yaml.safe_load((shipped_folder() / f"{name}.yaml").read_text())["model"]["optimizer"] for name in names]
    found = pair["optimizer"]
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


@pytest.mark.parametrize(
    ("key", "class_path"),
    [
        ("data", "lit_lossopt.data.CIFAR10DataModule"),
        ("model.optimizer", "lit_lossopt.optimizers.Muon"),
        ("model.criterion", "lit_lossopt.losses.FocalLoss"),
    ],
)
def test_a_bare_name_asks_for_the_help_of_the_class_that_it_means(
    key: str, class_path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", f"--{key}.help", class_path.rpartition(".")[2]])
    assert stopped.value.code in (0, None)
    assert f"Help for --{key}.help={class_path}" in capsys.readouterr().out


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


ODD_VALUES: list[list[str]] = [
    *([f"--tracking.run_name={name}"] for name in ("1e-3", "1:30", "010", "0o10", "no", "2026-01-01", "1_000", ".inf")),
    *(
        [f"--tracking.run_name={name}"]
        for name in ("[a, b]", "a: b", "# x", " x ", "\N{GRINNING FACE}", "a\nb", "\x85", "")
    ),
    ["--data.classes=['1e3','no','1:30','null','0.1','~']"],
    ["--data=ImageFolderDataModule", "--data.folder=1e3"],
    ["--trainer.callbacks+=GradientAccumulationScheduler", "--trainer.callbacks.scheduling={0: 1, 4: 2}"],
    ["--trainer.callbacks+=Timer", "--trainer.callbacks.duration=00:00:01:30"],
    ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.filename=1e3"],
    ["--trainer.callbacks+=WeightAveraging", "--trainer.callbacks.device=cpu"],
    ["--model.optimizer.lr=1e-5", "--model.optimizer.eps=1_0e-9", "--model.optimizer.betas=[0.8, 1e-3]"],
    ["--model.criterion.weight=[1, 1e3]", "--data.classes=[3,8]"],
]


@pytest.mark.parametrize("words", ODD_VALUES, ids=str)
def test_what_a_run_keeps_is_accepted_and_resolves_equal(words: list[str]) -> None:
    Path("kept.yaml").write_text(as_kept(words))
    assert resolved(["--config", "kept.yaml"]) == resolved(words)
    assert as_kept(["--config", "kept.yaml"]) == Path("kept.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {max_steps: 1:30}", "trainer.max_steps=1:30 from odd.yaml: expected int"),
        ("trainer: {max_steps: '3'}", "trainer.max_steps='3' from odd.yaml: in quotes it is a text, and here int is"),
        ("model.optimizer.lr: '0.1'", "model.optimizer.lr='0.1' from odd.yaml: in quotes it is a text"),
        ("trainer.callbacks: [{class_path: EarlyStopping, init_args: {monitor: a, patience: '3'}}]", "here int is"),
        ("trainer: {fast_dev_run: no}", "trainer.fast_dev_run=no from odd.yaml: expected int"),
        ("tracking: {run_name: 1e-3}", "run_name=0.001 from odd.yaml: expected a text; in a config put it in quotes"),
        ("tracking: {run_name: 'null'}", "it is a text, and here it would be read as null"),
        ("trainer: {gradient_clip_val: -.inf}", "trainer.gradient_clip_val=-inf from odd.yaml: not a finite number"),
        ("trainer.max_steps: 3\ntrainer: {max_steps: 3}", "trainer.max_steps from odd.yaml: stands twice"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_place(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.yaml").write_text(text)
    assert main(["fit", "--config", "odd.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("typed", ["max_steps=1:30", "max_steps=1e3x", "gradient_clip_val=.inf", "fast_dev_run=yes"])
def test_the_words_of_the_command_line_follow_the_same_rules(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--trainer.{typed}"]) == 2
    assert "from the command line: " in capsys.readouterr().err


if __name__ == "__main__":  # python -m tests.config.test_resolved_configs: record anew, then read the difference
    GOLDEN.write_text(json.dumps(all_pairs(), indent=1) + "\n")
    sys.exit()
