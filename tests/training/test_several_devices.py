"""Several devices train what one would: the same batches, the same losses, one record, one end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.killing.attempts import EVERYTHING, OFTEN, Attempts, assert_equal, last_state, read_at, wait_for_steps
from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import LONGEST
from benchmarks.killing.zygote import Zygote, wait_until_dead
from lit_lossopt.config.words import prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.data.batches import BatchLoader, LabelledImages, Pass, Share
from lit_lossopt.losses import FocalLoss
from lit_lossopt.tracking.reading.runs import read_history, read_runs
from lit_lossopt.training.cli import run_trainer
from lit_lossopt.training.distributed.collectives import lost_another
from lit_lossopt.training.distributed.launcher import LOST, processes_to_start
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.preflight import loss_is_mean_of_shares
from tests.support.places import ROOT

TWO = ["--trainer.accelerator=cpu", "--trainer.devices=2"]
SAME = ["--config=sgd_momentum", "--model.network.dropout=0", "--trainer.accelerator=cpu"]


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 60])
def test_shares_are_disjoint_in_order_and_as_equal_as_can_be(size: int, ranks: int) -> None:
    index = torch.randperm(size)
    shares = [Share(rank, ranks).of(index) for rank in range(ranks)]
    assert torch.equal(torch.cat(shares), index)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_shares_of_all_ranks_are_the_batches_of_one_device() -> None:
    images = torch.arange(23).repeat(3, 1).T.reshape(23, 3, 1, 1).to(torch.uint8)
    data = LabelledImages(images, torch.arange(23), [str(i) for i in range(23)])
    order, numbers = torch.randperm(23), torch.arange(23).view(23, 1)
    partners = torch.randperm(23)

    def loader(share: Share) -> BatchLoader:
        return BatchLoader(data, 6, lambda: Pass(order, numbers, partners), start=1, share=share)

    whole, shared = loader(Share()), [loader(Share(rank, 3)) for rank in range(3)]
    assert len(whole) == len(shared[0]) == 4
    for batch, *parts in zip(whole, *shared, strict=True):
        for column in (1, 2):
            own = [part[column].chunk(2) for part in parts]
            joined = torch.cat([*(images for images, _ in own), *(partners for _, partners in own)])
            assert torch.equal(joined, batch[column])
    # Five images are left for the last batch, two for each but the last share.
    assert [len(part[1]) // 2 for part in parts] == [2, 2, 1]


@pytest.mark.parametrize(
    ("criterion", "is_mean"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), True),
        (nn.BCEWithLogitsLoss(pos_weight=torch.full((10,), 3.0)), True),
        (nn.MSELoss(), True),
        (FocalLoss(), True),
        (nn.CrossEntropyLoss(weight=torch.arange(1.0, 11.0)), False),
    ],
)
def test_a_loss_that_is_no_mean_of_shares_is_known(criterion: nn.Module, *, is_mean: bool) -> None:
    module = LossOptModule(criterion=criterion, in_channels=1, image_size=8)
    assert loss_is_mean_of_shares(module, 2) == is_mean


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("", 0),
        ("--trainer.devices=1", 0),
        ("--trainer.devices 3", 3),
        ("--trainer.devices=[0,2]", 2),
        ("--trainer.devices=0,1", 2),
        ("--trainer.devices=2 --trainer.devices=1", 0),
        ("--trainer.devices=auto --trainer.accelerator=cpu", 0),
        ("--trainer.devices=2 --print_config", 0),
    ],
)
def test_how_many_processes_a_command_needs(words: str, count: int) -> None:
    assert processes_to_start(prepare("fit", words.split())) == count


def test_torchrun_and_the_settings_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes_to_start(prepare("fit", ["--trainer.devices=2"])) == 0
    with pytest.raises(UserError, match="torchrun has started 2 processes; the two must agree"):
        processes_to_start(prepare("fit", []))


def test_without_processes_of_their_own_several_devices_are_refused() -> None:
    prepared = prepare("fit", [*TWO, "--config=sgd", "--config=digits"])
    with pytest.raises(UserError, match="need one process each"):
        run_trainer(prepared)


def test_predict_is_done_by_one_device(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").touch()
    with pytest.raises(UserError, match=r"predict writes one table, on one device; add --trainer\.devices=1"):
        processes_to_start(prepare("predict", [*TWO, f"--ckpt_path={tmp_path / 'a.ckpt'}"]))


def test_other_errors_are_no_lost_rank() -> None:
    assert not lost_another(RuntimeError("loading state_dict"))
    assert not lost_another(ValueError("gloo/"))


class Devices(Attempts):
    """Runs of two ranks, each a child of the zygote, started as torchrun would."""

    def __init__(self, zygote: Zygote, folder: Path, *words: str) -> None:
        super().__init__(zygote, folder, *words, *TWO)

    def start_ranks(self, *more: str, **variables: str) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        common = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **variables,
        }  # fmt: skip
        return [
            self.zygote.start(
                [*self.words, *more], self.folder, self.output, {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            )
            for rank in range(2)
        ]

    def finish(self, *more: str, **variables: str) -> int:
        return max(self.statuses(self.start_ranks(*more, **variables)))

    def statuses(self, ranks: list[int]) -> list[int]:
        return [self.zygote.wait(rank) for rank in ranks]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every folder of a test begin with a store: making one takes seconds."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    for name in ("", "one", "two", "again", "run", "whole"):
        (tmp_path / name).mkdir(exist_ok=True)
        shutil.copy(empty_store, tmp_path / name / "mlflow.db")


def assert_close(devices: Attempts, alone: Attempts) -> None:
    """Compare every logged value and the weights, to what float32 rounds."""
    several, one = read_at(devices.folder), read_at(alone.folder)
    assert set(several.metrics) == set(one.metrics)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{devices.folder}/mlflow.db"
    for name in set(one.metrics) - {"time/train_seconds"}:
        read_at(devices.folder)
        mine = read_history(several.run_id, name)
        read_at(alone.folder)
        theirs = read_history(one.run_id, name)
        np.testing.assert_array_equal(mine.steps, theirs.steps)
        np.testing.assert_allclose(mine.values, theirs.values, rtol=2e-4, atol=2e-5, err_msg=name)
    for name, weight in one_weights(alone).items():
        torch.testing.assert_close(one_weights(devices)[name], weight, rtol=1e-3, atol=1e-4)


def one_weights(attempts: Attempts) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = last_state(attempts.folder)["state_dict"]
    return found


def test_two_devices_give_the_losses_of_one(zygote: Zygote, tmp_path: Path) -> None:
    # 179 validation images in batches of 89: the last is of one image, and one rank has no share of it.
    # Gradients are those of all ranks, and so is what is measured of them.
    words = [*SAME, "--trainer.max_epochs=2", "--data.eval_batch_size=89", "--diagnostics=norm,flow"]
    devices = Devices(zygote, tmp_path / "two", *words)
    assert devices.finish() == 0, devices.output.read_text()
    alone = Attempts(zygote, tmp_path / "one", *words)
    assert alone.finish() == 0, alone.output.read_text()
    assert_close(devices, alone)
    run = read_at(devices.folder)
    assert (run.params["data.batch_size"], run.params["data.batch_size_per_device"]) == ("160", "80")
    assert devices.output.read_text().count("epoch 2/2") == 1
    # The first rank measures the probe, each step once.
    np.testing.assert_array_equal(stored_points(run.run_id, "train/probe_loss").steps, np.arange(17))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--data.augmentation=[PadCrop,HorizontalFlip]", "--data.mixing=CutMix"],
        ["--trainer.accumulate_grad_batches=3", "--trainer.gradient_clip_val=0.5"],
        ["--model.frozen_epochs=1"],
        ["--config=plateau", "--model.lr_scheduler.patience=0"],
        ["--config=adam", "--config=mse", "--model.network.dropout=0", "--data.batch_size=86"],
    ],
)
def test_two_devices_give_what_one_gives(words: list[str], zygote: Zygote, tmp_path: Path) -> None:
    devices = Devices(zygote, tmp_path / "two", *SAME, *words)
    assert devices.finish() == 0, devices.output.read_text()
    alone = Attempts(zygote, tmp_path / "one", *SAME, *words)
    assert alone.finish() == 0, alone.output.read_text()
    assert_close(devices, alone)


@pytest.mark.slow
def test_ranks_have_dropout_of_their_own(zygote: Zygote, tmp_path: Path) -> None:
    devices = Devices(zygote, tmp_path / "two", "--config=sgd", "--trainer.max_epochs=1")
    again = Devices(zygote, tmp_path / "again", "--config=sgd", "--trainer.max_epochs=1")
    assert devices.finish() == again.finish() == 0
    assert_equal(again.folder, devices.folder)


@pytest.mark.slow
def test_test_and_validate_see_each_image_once(zygote: Zygote, tmp_path: Path) -> None:
    alone = Attempts(zygote, tmp_path, *SAME)
    assert alone.finish() == 0
    (best,) = alone.folder.rglob("best.ckpt")
    # 360 test images in batches of 7: the last is of three.
    options = [
        f"--ckpt_path={best}",
        "--data=DigitsDataModule",
        "--data.eval_batch_size=7",
        "--trainer.accelerator=cpu",
        "--allow-import=benchmarks",
    ]
    lines = {}
    for devices in (1, 2):
        ranks = Devices(zygote, tmp_path, "--trainer.accelerator=cpu") if devices == 2 else alone
        for command in ("test", "validate"):
            ranks.output = tmp_path / f"{command}_{devices}.txt"
            ranks.words = [command, *options, f"--trainer.devices={devices}"]
            assert ranks.finish() == 0, ranks.output.read_text()
            lines[command, devices] = [line for line in ranks.output.read_text().splitlines() if "accuracy" in line]
    for command in ("test", "validate"):
        assert len(lines[command, 2]) == 1
        assert lines[command, 2] == lines[command, 1]


@pytest.fixture(scope="session")
def whole_of_two(zygote: Zygote, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Devices:
    folder = tmp_path_factory.mktemp("two")
    shutil.copy(empty_store, folder / "mlflow.db")
    devices = Devices(zygote, folder, *EVERYTHING, OFTEN)
    assert devices.finish() == 0, devices.output.read_text()
    return devices


@pytest.mark.slow
@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("steps", [6, 14])
def test_killed_ranks_resume_bit_for_bit(
    steps: int,
    victims: tuple[int, ...],
    zygote: Zygote,
    whole_of_two: Devices,
    tmp_path: Path,
) -> None:
    devices = Devices(zygote, tmp_path / "run", *EVERYTHING, OFTEN)
    ranks = devices.start_ranks()
    wait_for_steps(devices, steps)
    for victim in victims:
        os.kill(ranks[victim], signal.SIGKILL)
    statuses = devices.statuses(ranks)
    assert statuses == [-signal.SIGKILL if rank in victims else LOST for rank in range(2)]
    if len(victims) == 1:
        assert "another process of this run has ended" in devices.output.read_text()
    if victims == (1,):
        run = read_at(devices.folder)
        assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    words = "--resume=auto" if steps == 6 else "--ckpt_path=last"
    assert devices.finish(words) == 0, devices.output.read_text()
    assert "attempt 2" in devices.output.read_text()
    assert_equal(devices.folder, whole_of_two.folder)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("validating", [False, True])
def test_a_signal_to_any_rank_saves_and_ends_all(
    number: int, status: int, rank: int, *, validating: bool, zygote: Zygote, tmp_path: Path,
) -> None:  # fmt: skip
    words = (
        ["--data.eval_batch_size=2", "--trainer.val_check_interval=1"] if validating else ["--trainer.max_epochs=60"]
    )
    devices = Devices(zygote, tmp_path / "run", *EVERYTHING, *words)
    ranks = devices.start_ranks()
    wait_for_steps(devices, 4)
    os.kill(ranks[rank], number)
    assert devices.statuses(ranks) == [status, status], devices.output.read_text()
    run = read_at(devices.folder)
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")
    step = last_state(devices.folder)["global_step"]
    history = read_history(run.run_id, "train/loss")
    np.testing.assert_array_equal(history.steps, np.arange(1, step + 1))
    if validating:
        assert devices.finish("--resume=auto") == 0, devices.output.read_text()
        undisturbed = Devices(zygote, tmp_path / "whole", *EVERYTHING, *words)
        assert undisturbed.finish() == 0
        assert_equal(devices.folder, undisturbed.folder)


@pytest.mark.slow
def test_divergence_ends_all_at_the_same_step(zygote: Zygote, tmp_path: Path) -> None:
    devices = Devices(zygote, tmp_path, "--config=sgd", "--config=mse", "--model.optimizer.lr=1e6")
    assert devices.statuses(devices.start_ranks()) == [3, 3], devices.output.read_text()
    assert read_at(devices.folder).tags["lossopt.verdict"] == "diverged"


@pytest.mark.slow
def test_saving_by_minutes_is_decided_by_the_first(zygote: Zygote, tmp_path: Path) -> None:
    devices = Devices(zygote, tmp_path, "--config=sgd", "--checkpoints.every_minutes=0.0001", "--trainer.max_epochs=10")
    assert devices.finish() == 0, devices.output.read_text()
    assert last_state(devices.folder)["global_step"] == 80


def mistakes() -> Iterator[tuple[str, str]]:
    yield "--data.batch_size=161", "data.batch_size=161: cannot be shared equally by 2 devices"
    yield "--data.batch_size=4 --data.drop_last=false", "the last of 1 images"
    yield "--data.eval_batch_size=1", "2 devices need at least one each"
    yield "--model.optimizer=LBFGS", "take --trainer.devices=1"
    yield "--model.criterion.weight=[1,2,3,4,5,6,7,8,9,10]", "is not the mean over the devices' shares"
    yield "--trainer.strategy=fsdp", "several devices train by ddp here"
    yield "--ckpt_path=last", "no run of the experiment"


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), list(mistakes()))
def test_what_cannot_be_shared_is_one_line_and_no_run(words: str, message: str, zygote: Zygote, tmp_path: Path) -> None:
    devices = Devices(zygote, tmp_path, "--config=sgd", *words.split())
    statuses = devices.statuses(devices.start_ranks())
    assert statuses[0] == 2, devices.output.read_text()
    assert message in devices.output.read_text()
    assert not list(tmp_path.glob("mlruns/journal/*"))


class Command:
    """``lossopt`` on two devices as a person types it: two ranks, and the process that was typed."""

    def __init__(self, folder: Path, *words: str, program: tuple[str, ...] = ("-m", "lit_lossopt")) -> None:
        self.folder = folder
        environment = {
            **os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self.output = folder / "output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *program, *words], cwd=folder, env=environment, stdout=output, stderr=output
            )

    def ranks(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]


FIT = ["fit", "--config=sgd_momentum", "--config=digits", "--threads=1", *TWO]


@pytest.mark.slow
def test_one_command_prints_once_and_makes_one_run(tmp_path: Path) -> None:
    command = Command(tmp_path, *FIT, "--trainer.max_epochs=2")
    assert command.process.wait(LONGEST) == 0, command.output.read_text()
    said = ["data: 10 classes ", "epoch 1/2 ", "epoch 2/2 ", "best val accuracy ", "run ", "compare its runs: "]
    said += ["look at them: ", "  http://"]
    for line, beginning in zip(lines := command.output.read_text().splitlines(), said, strict=True):
        assert line.startswith(beginning), lines
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    (run,) = read_runs("lit_lossopt")
    assert run.status == "FINISHED"
    assert len(list(tmp_path.glob("mlruns/journal/*"))) == 1
    assert len(list(tmp_path.rglob("best.ckpt"))) == 1
    (provenance,) = tmp_path.rglob("provenance.json")
    assert json.loads(provenance.read_text())["numerics"]["threads"] == 1


def pick_starter(command: Command) -> int:
    return command.process.pid


def pick_first(command: Command) -> int:
    return command.ranks()[0]


def pick_second(command: Command) -> int:
    return command.ranks()[1]


@pytest.mark.slow
@pytest.mark.parametrize("pick", [pick_starter, pick_first, pick_second])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whichever_process_a_signal_ends_none_is_left(
    number: int, pick: Callable[[Command], int], zygote: Zygote, tmp_path: Path
) -> None:
    command = Command(tmp_path, *FIT, "--trainer.max_epochs=2000", "--checkpoints.every_n_steps=5")
    attempts = Attempts(zygote, tmp_path)
    attempts.output = command.output
    # Steps are sent before each fifth is saved; after the sixth the file is there.
    wait_for_steps(attempts, 6)
    ranks = command.ranks()
    os.kill(pick(command), number)
    status = command.process.wait(LONGEST)
    assert not wait_until_dead(ranks), command.output.read_text()
    output = command.output.read_text()
    if number != signal.SIGKILL:
        assert status == 128 + number, output
        assert "Traceback" not in output
    elif pick is pick_starter:
        assert status == -signal.SIGKILL
    else:
        assert status == 128 + number
        assert f"rank {int(pick is pick_second)} was killed (SIGKILL), and the others have ended" in output
    assert list(tmp_path.rglob("last.ckpt"))
    if number != signal.SIGKILL or pick is not pick_first:
        assert read_at(attempts.folder).status == "KILLED"


@pytest.mark.slow
def test_torchrun_starts_the_ranks_too(tmp_path: Path) -> None:
    program = ("-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "lit_lossopt")
    command = Command(tmp_path, *FIT, "--trainer.max_epochs=1", program=program)
    assert command.process.wait(LONGEST) == 0, command.output.read_text()
    assert command.output.read_text().count("epoch 1/1") == 1
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    assert len(read_runs("lit_lossopt")) == 1
