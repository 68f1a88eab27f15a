"""What a run says of itself in MLflow: name, parameters, tags and the config that repeats it."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import SaveConfigCallback

from lit_lossopt.data import ImageDataModule
from lit_lossopt.errors import UserError
from lit_lossopt.model import count_parameters
from lit_lossopt.module import LossOptModule
from lit_lossopt.names import CONFIG_ARTIFACT, TAG_ARM, TAG_SEED, TAG_TRIAL_KEY
from lit_lossopt.tracking.description import arm_name, flat_parameters, trial_key
from lit_lossopt.tracking.logger import RunLogger


class RunDescription(SaveConfigCallback):
    """Starts the MLflow run with readable parameters and tags, and keeps the resolved config as an artifact."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Describe the run, if it is new."""
        logger = trainer.logger
        if not isinstance(logger, RunLogger) or not isinstance(pl_module, LossOptModule) or logger.version:
            return
        text = self.parser.dump(self.config, skip_unset=False)
        lost = re.search(r"(\S+): Unable to serialize instance (.{0,60})", text)
        if lost:
            raise UserError(f"{lost[1]}={lost[2]}: cannot be written to config.yaml, so the run could not be repeated")
        config = json.loads(self.parser.dump(self.config, skip_unset=False, format="json"))
        arm = arm_name(config, class_defaults([config["model"], config["data"]]))
        seed = config["seed_everything"]
        logger.start(
            run_name=f"{arm} seed={seed}",
            params=flat_parameters(config, {**_built(pl_module), **_data_facts(trainer)}),
            tags={TAG_ARM: arm, TAG_SEED: str(seed), TAG_TRIAL_KEY: trial_key(config)},
        )
        logger.log_text(text, CONFIG_ARTIFACT)


def class_defaults(config: Any) -> dict[str, dict[str, Any]]:
    """Return, for the path of each class that a resolved config names, its arguments' defaults."""
    if isinstance(config, list):
        return {path: found for item in config for path, found in class_defaults(item).items()}
    if not isinstance(config, dict):
        return {}
    below = class_defaults(list(config.values()))
    path = config.get("class_path")
    if not isinstance(path, str):
        return below
    arguments = inspect.signature(_imported(path)).parameters
    return {**below, path: {name: item.default for name, item in arguments.items()}}


def _imported(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _data_facts(trainer: pl.Trainer) -> dict[str, Any]:
    data = getattr(trainer, "datamodule", None)
    return {f"data.{name}": value for name, value in data.facts().items()} if isinstance(data, ImageDataModule) else {}


def _built(module: LossOptModule) -> dict[str, Any]:
    """Return what is known once things are built: the optimizer's defaults, sizes, threads, digest of weights."""
    defaults = module.new_optimizer().defaults
    digest = getattr(module.network, "weights_sha256", None)
    return {
        **({"network.weights_sha256": digest} if digest else {}),
        **{f"optimizer.{name}": value for name, value in defaults.items() if value is not None},
        "parameters": count_parameters(module.network),
        "threads": torch.get_num_threads(),
    }
