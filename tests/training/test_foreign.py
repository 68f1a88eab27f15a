"""Classes of other packages: what they learn is trained, what they raise is one line before a run exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.killing.stored import stored_points
from lit_lossopt import optimizers
from lit_lossopt.__main__ import main
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.losses import computed
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import build_optimizer
from lit_lossopt.tracking.reading.runs import Run, read_runs
from tests.support.foreign import Counts, Proxies, Temperature

pytestmark = pytest.mark.usefixtures("store")
# Eight steps an epoch.
FIT = ["fit", "--data=DigitsDataModule", "--data.batch_size=160", "--threads=1", "--allow-import=tests"]
FIT += ["--trainer.enable_progress_bar=false", "--probe.images=0"]
MOMENTUM = ["--config=sgd_momentum", "--model.optimizer.lr=0.1", "--model.optimizer.weight_decay=0.01"]


def fit(*words: str) -> Run:
    assert main([*FIT, *words]) == 0
    return read_runs("lit_lossopt")[-1]


def losses(run: Run) -> list[float]:
    return [float(loss) for loss in stored_points(run.run_id, "train/loss").values]


def last_state(run: Run) -> dict[str, torch.Tensor]:
    path = Path("mlruns/lit_lossopt") / run.run_id / "artifacts/checkpoints/last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def test_what_a_loss_learns_is_trained_kept_and_gone_on_with_to_the_bit() -> None:
    words = ["--model.criterion=tests.support.foreign.Temperature", *MOMENTUM]
    whole = fit(*words, "--trainer.max_epochs=2")
    expected, temperature = by_hand(epochs=2)
    assert losses(whole) == expected
    assert float(last_state(whole)["criterion.log_scale"]) == temperature != 0
    assert whole.params["criterion.parameters"] == "1"
    fit(*words, "--trainer.max_epochs=1")
    resumed = fit(*words, "--trainer.max_epochs=2", "--ckpt_path=last", "--resume=force")
    assert resumed.run_id != whole.run_id
    assert losses(resumed) == expected
    for name, value in last_state(whole).items():
        assert torch.equal(value, last_state(resumed)[name]), name


def by_hand(epochs: int) -> tuple[list[float], float]:
    """Return the losses of a hand-written loop, and the temperature that it learns, without decay."""
    data = DigitsDataModule(batch_size=160)
    data.setup("fit")
    torch.manual_seed(derive_seed(0, "weights"))
    network, criterion = MiniCNN(in_channels=1, image_size=8).to(memory_format=torch.channels_last), Temperature()
    groups: list[dict[str, Any]] = [{"params": network.parameters()}]
    groups += [{"params": criterion.parameters(), "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01)
    seen: list[float] = []
    for epoch in range(epochs):
        for index in data.epoch_order(epoch).split(160)[:8]:  # type: ignore[no-untyped-call]  # torch's own
            torch.manual_seed(derive_seed(0, "step", len(seen)))
            batch = data.images("train").take(index)
            images, labels = data.on_after_batch_transfer((batch.images, batch.labels), 0)
            loss = criterion(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
    return seen, criterion.log_scale.item()


@pytest.mark.parametrize("criterion", [Temperature, Proxies])
def test_a_losss_parameters_are_a_group_of_their_own_that_does_not_decay(criterion: type[nn.Module]) -> None:
    network, loss = MiniCNN(in_channels=1, image_size=8), criterion()
    factories: list[Any] = [torch.optim.AdamW, optimizers.Muon, optimizers.SGDW]
    for factory in factories:
        built = build_optimizer(factory, network, loss, decay_biases=True)
        (learned,) = [group for group in built.param_groups if group["name"].startswith("criterion")]
        assert [id(one) for one in learned["params"]] == [id(one) for one in loss.parameters()]
        assert learned["weight_decay"] == 0
        others = [id(one) for group in built.param_groups if group is not learned for one in group["params"]]
        assert sorted(others) == sorted(id(one) for one in network.parameters())
    plain = build_optimizer(optimizers.Muon, network, nn.CrossEntropyLoss(), decay_biases=True)
    with_loss = build_optimizer(optimizers.Muon, network, loss, decay_biases=True)
    assert [group["params"] for group in with_loss.param_groups[:2]] == [
        group["params"] for group in plain.param_groups
    ]
    with pytest.raises(ValueError, match=f"{criterion.__name__} has parameters of its own"):
        build_optimizer(torch.optim.LBFGS, network, loss, decay_biases=True)


def test_what_a_loss_keeps_does_not_depend_on_how_often_is_evaluated() -> None:
    words = ["--model.criterion=tests.support.foreign.Counts", *MOMENTUM, "--trainer.max_epochs=1"]
    often = fit(*words, "--trainer.val_check_interval=2", "--probe.images=32")
    seldom = fit(*words)
    assert losses(often) == losses(seldom)
    assert int(last_state(often)["criterion.calls"]) == 8
    counting = Counts().eval()
    computed(counting, torch.zeros(2, 2), torch.tensor([0, 1]))
    assert int(counting.calls) == 0


NETWORK, LOSS, OPTIMIZER = (
    "network=tests.support.foreign.FaultyNetwork",
    "criterion=tests.support.foreign.Faulty",
    "optimizer=tests.support.foreign.Plain",
)
FAULTS = [
    (NETWORK, "network.fault=large", "FaultyNetwork cannot be made: KeyError: 'large' (foreign.py, line "),
    (NETWORK, "network.fault=small", "model.network=FaultyNetwork: AssertionError (foreign.py, line "),
    (LOSS, "criterion.fault=made", "Faulty cannot be made: AssertionError (foreign.py, line "),
    (LOSS, "criterion.fault=key", "model.criterion=Faulty fails on a first batch: KeyError: 'total' (foreign.py"),
    (LOSS, "criterion.fault=training", "model.criterion=Faulty: NotImplementedError (foreign.py"),
    (LOSS, "criterion.fault=tuple", "Faulty gives a tuple; a loss is one number"),
    (LOSS, "criterion.fault=sum", "Faulty of a batch given twice is twice that of the batch: it adds up"),
    (LOSS, "criterion.fault=detached", "model.criterion=Faulty: element 0 of tensors does not require grad"),
    (OPTIMIZER, "optimizer.fault=made", "model.optimizer: LookupError: no such rule (foreign.py"),
    (OPTIMIZER, "optimizer.fault=fifth", "model.optimizer=Plain: ZeroDivisionError: the fifth step divides by nothing"),
    (OPTIMIZER, "optimizer.fault=state", "model.optimizer=Plain: its state cannot be kept in a checkpoint"),
    (OPTIMIZER, "lr_warmup=3", "Plain has no learning rate that a schedule could change"),
    (OPTIMIZER, "backbone_lr_factor=0.5", "Plain has no learning rate; leave backbone_lr_factor at 1"),
]


@pytest.mark.parametrize(("chosen", "fault", "message"), FAULTS, ids=[fault for _, fault, _ in FAULTS])
def test_what_foreign_code_raises_is_one_line_before_a_run_exists(
    chosen: str, fault: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, f"--model.{chosen}", f"--model.{fault}"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not list(Path("mlruns").glob("journal/*"))


def test_without_its_fault_each_of_them_trains(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(*(f"--model.{one}" for one in (NETWORK, LOSS, OPTIMIZER)), "--trainer.max_epochs=2")
    assert losses(run)[-1] < losses(run)[0]
    assert "train/lr" not in run.metrics
    assert run.params["optimizer.step_size"] == "0.1"
    # In train mode only, and flattening weights as views: both are met.
    for fault in ("phases", "view"):
        assert losses(fit(f"--model.{OPTIMIZER}", f"--model.optimizer.fault={fault}", "--trainer.max_epochs=1"))
    # A slow store may say so.
    assert "model." not in capsys.readouterr().err


def test_what_breaks_in_an_evaluation_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(f"--model.{NETWORK}", "--trainer.max_epochs=1")
    folder = Path("mlruns/lit_lossopt") / run.run_id / "artifacts"
    words = ["--config", str(folder / "config.yaml"), f"--ckpt_path={folder / 'checkpoints/last.ckpt'}"]
    words += ["--allow-import=tests"]
    assert main(["validate", *words]) == 0
    capsys.readouterr()
    assert main(["validate", *words, "--model.network.fault=evaluated"]) == 2
    shown = capsys.readouterr().err
    assert "validate: AssertionError (foreign.py, line " in shown
    assert shown.count("\n") == 1
