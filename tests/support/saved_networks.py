"""Checkpoints of networks that were never trained: what `load` and `export` need of them is there all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lit_lossopt.training.checkpoint_file import write_checkpoint

MINI = "lit_lossopt.networks.MiniCNN"


def write_network(
    path: Path,
    network: nn.Module,
    class_path: str = MINI,
    init_args: dict[str, Any] | None = None,
    criterion: str = "torch.nn.CrossEntropyLoss",
    data: dict[str, Any] | None = None,
    classes: tuple[str, ...] = ("cat", "dog", "frog"),
    channels: int = 3,
    image_size: int = 16,
) -> Path:
    """Write the checkpoint that a run of this network would leave, and return its path."""
    model = {
        "network": {"class_path": class_path, "init_args": init_args or {}},
        "criterion": {"class_path": criterion},
    }
    config = {"model": model, "data": data or {"class_path": "lit_lossopt.data.CIFAR10DataModule"}}
    content = {
        "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        "pytorch-lightning_version": "2.6.6",
        "global_step": 7,
        "lossopt_run": "",
        "lossopt_config": json.dumps(config),
        "AnyDataModule": {
            "scale": torch.linspace(0.01, 0.02, channels).view(1, -1, 1, 1),
            "shift": torch.linspace(-1, -2, channels).view(1, -1, 1, 1),
            "image_size": image_size,
            "class_names": list(classes),
        },
    }
    write_checkpoint(content, path)
    return path
