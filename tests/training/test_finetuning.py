"""Fine-tuning: the backbone frozen at first, then at a smaller rate; the shipped config as a person uses it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.networks.backbone import Backbone
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import Muon, build_optimizer, parameter_groups
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.module import LossOptModule
from tests.config.test_resolved_configs import resolved
from tests.optimizers.test_optimizers_contract import ONE_GROUP, TABLE


class Normed(nn.Module):
    """Two convolutions, a norm and a head; one weight that is not to be trained."""

    def __init__(self, in_channels: int = 1, num_outputs: int = 10) -> None:
        super().__init__()
        self.head = nn.Linear(8, num_outputs)
        self.first = nn.Conv2d(in_channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 8, 3)
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(images)))
        logits: Tensor = self.head(torch.relu(self.second(x)).mean(dim=(2, 3)) * self.fixed)
        return logits


def test_a_factor_of_one_leaves_the_groups_as_they_are() -> None:
    for decay_biases in (True, False):
        plain = parameter_groups(Normed(), decay_biases=decay_biases)
        names = ["all"] if decay_biases else ["weights", "biases_and_norms"]
        assert [(group["name"], set(group) - {"name", "params", "weight_decay"}) for group in plain] == [
            (name, set()) for name in names
        ]


@pytest.mark.parametrize("decay_biases", [True, False])
def test_backbone_and_head_have_groups_of_their_own(decay_biases: bool) -> None:
    network = Normed()
    factory = functools.partial(torch.optim.AdamW, lr=0.5, weight_decay=0.1)
    built = build_optimizer(factory, network, decay_biases=decay_biases, backbone_lr_factor=0.1)
    found = {group["name"]: (group["lr"], group["weight_decay"], len(group["params"])) for group in built.param_groups}
    if decay_biases:
        assert found == {"backbone": (0.05, 0.1, 6), "head": (0.5, 0.1, 2)}
    else:
        kinds = {"backbone_weights": (0.05, 0.1, 2), "backbone_biases_and_norms": (0.05, 0.0, 4)}
        assert found == {**kinds, "head_weights": (0.5, 0.1, 1), "head_biases_and_norms": (0.5, 0.0, 1)}


def test_muon_keeps_the_head_for_adamw() -> None:
    factory = functools.partial(Muon, lr=0.02, adamw_lr=0.001)
    built = build_optimizer(factory, Normed(), decay_biases=True, backbone_lr_factor=0.5)
    found = {group["name"]: (group["lr"], len(group["params"])) for group in built.param_groups}
    assert found == {"backbone_muon": (0.01, 2), "backbone_adamw": (0.0005, 4), "head_adamw": (0.001, 2)}


@pytest.mark.parametrize(("optimizer", "arguments"), TABLE.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_optimizer_leaves_a_frozen_backbone_alone(
    optimizer: type[torch.optim.Optimizer], arguments: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = MiniCNN(in_channels=1, image_size=8, channels=(4, 8), hidden=16, dropout=0.0)
    backbone = Backbone(network)
    factor = 1.0 if optimizer in ONE_GROUP else 0.5
    factory = functools.partial(optimizer, **arguments)
    built = build_optimizer(factory, network, decay_biases=True, backbone_lr_factor=factor)
    images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 10

    def closure() -> Tensor:
        built.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        return loss

    if hasattr(built, "train"):
        built.train()
    for frozen in (True, False):
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        for _ in range(3):
            backbone.freeze(frozen=frozen)
            built.step(closure)  # type: ignore[arg-type]  # a tensor is what optimizers take
        for name, value in network.named_parameters():
            assert torch.equal(before[name], value) is (frozen and not name.startswith("linear2")), name


def test_what_was_not_trainable_stays_so() -> None:
    network = Normed()
    backbone = Backbone(network)
    network.second.weight.requires_grad_(False)
    network.norm.eval()
    backbone.freeze(frozen=False)
    assert not network.fixed.requires_grad
    assert not network.norm.training, "nothing was frozen, so nothing is to be let go"
    backbone.freeze(frozen=True)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]
    backbone.freeze(frozen=False)
    assert not network.fixed.requires_grad
    assert network.norm.training


class Watch(pl.Callback):
    """Keeps, at the end of each step, what of the network has moved since the step before, and a checkpoint."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.moved: list[set[str]] = []
        self.last: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.last = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        now = pl_module.network.state_dict()
        self.moved.append({name for name, value in now.items() if not torch.equal(value, self.last[name])})
        self.last = {name: value.clone() for name, value in now.items()}
        trainer.save_checkpoint(f"{self.folder}/{trainer.global_step}.ckpt")


HEAD = {"head.weight", "head.bias"}
ALL = {*Normed().state_dict()} - {"fixed"}


def trained(epochs: int, checkpoint: str | None = None, **options: Any) -> list[set[str]]:
    """Train on digits with a frozen first epoch of four steps, kept and evaluated within; say what each step moved."""
    data = DigitsDataModule(classes=["3", "8"])
    sizes: dict[str, Any] = {"num_classes": 2, "in_channels": 1, "image_size": 8}
    module = LossOptModule(network=functools.partial(Normed), frozen_epochs=1, **sizes, **options)
    watch = Watch("again" if checkpoint else "kept")
    trainer = pl.Trainer(
        max_epochs=epochs, limit_train_batches=4, val_check_interval=3, callbacks=[watch], accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    assert all(parameter.requires_grad for name, parameter in module.network.named_parameters() if name != "fixed")
    return watch.moved


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
def test_weights_and_statistics_stand_still_for_the_frozen_epochs_also_when_resumed_within_one() -> None:
    whole = trained(2)
    assert whole == [HEAD] * 4 + [ALL] * 4
    for step in range(1, 8):
        assert trained(2, f"kept/{step}.ckpt") == whole[step:], step


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_a_backbone_may_stay_frozen_to_the_end() -> None:
    assert trained(1, backbone_lr_factor=0.5, optimizer=functools.partial(Muon, lr=0.02)) == [HEAD] * 4


# The shipped config, as a person uses it.


def artifacts(run: Run) -> Path:
    return Path("mlruns") / "lit_lossopt" / run.run_id / "artifacts"


@pytest.mark.usefixtures("store")
def test_the_shipped_config_fine_tunes_on_a_folder_of_images(
    image_folder: Path, resnet18: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = Path("given.pth")
    given.symlink_to(resnet18)
    data = ["--config", "image_folder", f"--data.folder={image_folder}", "--data.batch_size=16"]
    words = ["--config", "finetune_resnet18", *data, "--model.network.weights=given.pth", "--threads=1"]
    words += ["--probe.images=0", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    assert main(["fit", *words, "--trainer.max_epochs=2"]) == 0
    (run,) = read_runs("lit_lossopt")
    states = []
    # Behind the frozen epoch, and behind the other.
    for name, epochs in (("last.previous.ckpt", 1), ("last.ckpt", 2)):
        checkpoint = artifacts(run) / "checkpoints" / name
        found = torch.load(checkpoint, weights_only=True)
        assert found["global_step"] == 2 * epochs
        states.append({name.removeprefix("network.model."): value for name, value in found["state_dict"].items()})
    given_state = torch.load(resnet18, weights_only=True)
    file = {name: value for name, value in given_state.items() if not name.startswith("fc.")}
    assert all(torch.equal(states[0][name], value) for name, value in file.items())
    assert not any(torch.equal(states[1][name], value) for name, value in file.items())
    assert states[0]["fc.weight"].shape == (3, 512)
    np.testing.assert_allclose(stored_points(run.run_id, "train/lr/backbone").values, 0.001)
    np.testing.assert_allclose(stored_points(run.run_id, "train/lr/head").values, 0.01)
    chosen = "TorchvisionNetwork(name=resnet18, weights=given.pth) frozen_epochs=1 backbone_lr_factor=0.1"
    assert chosen in run.tags["lossopt.arm"]
    assert len(run.params["network.weights_sha256"]) == 64
    given.unlink()
    config = ["--config", str(artifacts(run) / "config.yaml")]
    assert main(["test", *config, f"--ckpt_path={checkpoint}"]) == 0
    capsys.readouterr()
    assert main(["fit", *config]) == 2
    assert "model.network.weights=given.pth: neither a local file" in capsys.readouterr().err


def test_another_network_takes_nothing_over_from_fine_tuning() -> None:
    model = resolved(["--config", "finetune_resnet18", "--config", "digits", "--model.network=MiniCNN"])["model"]
    assert (model["frozen_epochs"], model["backbone_lr_factor"]) == (0, 1.0)
    kept = resolved(["--config", "finetune_resnet18", "--config", "digits", "--model.network.name=resnet34"])["model"]
    assert (kept["frozen_epochs"], kept["backbone_lr_factor"]) == (1, 0.1)
    assert kept["network"]["init_args"]["weights"] == "DEFAULT"


def test_no_weights_can_be_asked_for_on_the_command_line() -> None:
    model = resolved(["--config", "finetune_resnet18", "--model.network.weights=null"])["model"]
    assert model["network"]["init_args"]["weights"] is None
