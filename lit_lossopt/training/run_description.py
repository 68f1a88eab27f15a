"""What a run says of itself in MLflow.

It is name, parameters, tags, where it comes from, and what repeats it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import SaveConfigCallback

from lit_lossopt.config.branch import BRANCH, WEIGHTS
from lit_lossopt.config.description import GIVEN, flat_parameters, trial_key
from lit_lossopt.core.checksum import checksum
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.given import Given, given
from lit_lossopt.core.machine import source_digest, versions
from lit_lossopt.core.names import (
    CONFIG_ARTIFACT,
    DIFF_ARTIFACT,
    GIVEN_ARTIFACT,
    PROVENANCE_ARTIFACT,
    TAG_ARM,
    TAG_COMMAND,
    TAG_COMMIT,
    TAG_CONFIG_SHA256,
    TAG_FRAMEWORK,
    TAG_GIVEN,
    TAG_SEED,
    TAG_TRIAL_KEY,
)
from lit_lossopt.core.redaction import redact, redact_leaves
from lit_lossopt.data import ImageDataModule
from lit_lossopt.data.summary import data_parameters
from lit_lossopt.networks.mini_cnn import count_parameters
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.training.arm import arm_in_words, imported
from lit_lossopt.training.fused import fused
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.numerics import fp32_precision
from lit_lossopt.training.provenance import PACKAGES, as_text, code_state, machine, typed_command

# Where a run comes from, and the word in front of that in its name.
_BEHIND = {BRANCH: "after", WEIGHTS: "from"}
_OF_A_SWEEP = ("--tracking.tags=", "--tracking.parent=")


class RunDescription(SaveConfigCallback):
    """Starts the MLflow run with readable parameters and tags.

    Resolved config and provenance become artifacts.

    Args:
        words: what was typed.
        record: the tag of a run that is no training to compare or to go on with; empty: it is one.
        *args: Lightning's.
        **options: Lightning's.
    """

    def __init__(self, *args: Any, words: Sequence[str] = (), record: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.words = words
        self.record = record

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Describe the run, and where this attempt comes from.

        The run is described only if it is new.
        """
        logger = trainer.logger
        if not isinstance(pl_module, LossOptModule):
            return
        # What was parsed is not checked a second time.
        text = self.parser.dump(_without_sweep(self.config), skip_unset=False, skip_validation=True)
        lost = re.search(r"(\S+): Unable to serialize instance (.{0,60})", text)
        if lost:
            raise UserError(f"{lost[1]}={lost[2]}: cannot be written to config.yaml, so the run could not be repeated")
        config = resolved_config(self.parser, self.config)
        pl_module.keep_config(json.dumps(redact_leaves(config)))
        if not isinstance(logger, RunLogger) or not trainer.is_global_zero:
            return
        if logger.version:
            self._describe_attempt(trainer, logger, text)
            return
        origins = _origins(pl_module)
        # A trunk's words say already what that began with.
        told = next((f" {_BEHIND[name]} {words}" for name, words in origins.items()), "")
        arm = f"{arm_in_words(config)}{told}"
        seed = config["seed_everything"]
        kind = {self.record: "true"} if self.record else {TAG_TRIAL_KEY: trial_key(config)}
        with ThreadPoolExecutor(1) as beside:
            # While the store makes the run.
            code = beside.submit(_code)
            logger.start(
                run_name=f"{self.words[0]} {arm} seed={seed}" if self.record else f"{arm} seed={seed}",
                params=flat_parameters(
                    config, {**_built(pl_module, trainer.strategy.root_device), **_data_facts(trainer), **origins}
                ),
                tags={TAG_ARM: arm, TAG_SEED: str(seed), TAG_FRAMEWORK: pl_module.framework, **kind},
            )
            provenance = _provenance(trainer, text, code.result(), attempt=1)
        self._describe_origin(logger, text, provenance, _handed_over(config))

    def _describe_origin(
        self, logger: RunLogger, text: str, provenance: dict[str, Any], handed_over: Sequence[Given]
    ) -> None:
        """Keep the config, where the run comes from, and what repeats it."""
        logger.log_text(text, CONFIG_ARTIFACT)
        diff = provenance["code"].pop("diff", "")
        logger.log_text(as_text(provenance), PROVENANCE_ARTIFACT)
        if diff:
            logger.log_text(diff, DIFF_ARTIFACT)
        commit = {TAG_COMMIT: provenance["code"]["commit"]} if provenance["code"] else {}
        typed = typed_words(self.words)
        command = json.dumps([redact(word) for word in typed])
        objects = {TAG_GIVEN: json.dumps([one.key for one in handed_over])} if handed_over else {}
        logger.log_tags({**commit, TAG_CONFIG_SHA256: provenance["config_sha256"], TAG_COMMAND: command, **objects})
        repeats = "" if self.record else f"The artifact `{CONFIG_ARTIFACT}` repeats it."
        if handed_over:
            logger.log_text("\n\n".join(one.source for one in handed_over), GIVEN_ARTIFACT)
            # Only the program that has handed them over can.
            named = ", ".join(one.key for one in handed_over)
            repeats = f"It trains objects that a Python program has handed over ({named}): `{GIVEN_ARTIFACT}`."
        changed = " Files differed from the commit (`changes.diff`)." if provenance["code"].get("dirty") else ""
        logger.describe(f"`{typed_command(typed)}`\n\n{repeats}{changed}".strip())

    def _describe_attempt(self, trainer: pl.Trainer, logger: RunLogger, text: str) -> None:
        provenance = _provenance(trainer, text, _code(), attempt=logger.attempt)
        provenance["code"].pop("diff", "")
        logger.log_text(as_text(provenance), PROVENANCE_ARTIFACT.replace(".", f"_{logger.attempt}."))


def _origins(module: LossOptModule) -> dict[str, str]:
    """Return what was trained before a run, in words that do not depend on its seed."""
    trunk = module.continuation.trunk if module.continuation else ""
    return {name: words for name, words in ((BRANCH, trunk), (WEIGHTS, module.weights_from)) if words}


def typed_words(words: Sequence[str]) -> list[str]:
    """Return words without those that nest a sweep's trial.

    What repeats it is no trial.
    """
    return [word for word in words if not word.startswith(_OF_A_SWEEP)]


def _handed_over(config: Any) -> list[Given]:
    """Return what a resolved config names of objects that were handed over from Python."""
    if isinstance(config, list):
        return [one for item in config for one in _handed_over(item)]
    if not isinstance(config, dict):
        return []
    own = [given(config[GIVEN])] if isinstance(config.get(GIVEN), str) else []
    return [*own, *_handed_over(list(config.values()))]


def _without_sweep(config: Any) -> Any:
    """Return a config that repeats a run outside of its sweep.

    It is parsed.
    """
    alone = _without_functions(config)
    alone.tracking.tags = alone.tracking.parent = None
    return alone


def resolved_config(parser: Any, config: Any) -> dict[str, Any]:
    """Return a parsed config as plain values, defaults included."""
    plain = _without_functions(config)
    resolved: dict[str, Any] = json.loads(parser.dump(plain, skip_unset=False, format="json", skip_validation=True))
    return resolved


def _without_functions(config: Any) -> Any:
    """Return a parsed config without defaults that are no text.

    A function is one. The config is a copy.

    Left out, they are the same again when the config is read.
    """
    copied = config.clone()
    for key, node in list(copied.items(branches=True)):
        if key.endswith("init_args") and isinstance(node, Namespace):
            signature = inspect.signature(imported(copied[f"{key.removesuffix('init_args')}class_path"])).parameters
            for name, parameter in signature.items():
                if callable(parameter.default) and node.get(name) is parameter.default:
                    del node[name]
    return copied


def _code() -> dict[str, Any]:
    return code_state(Path.cwd()) or code_state(Path(__file__).parent)


def _provenance(trainer: pl.Trainer, config: str, code: dict[str, Any], attempt: int) -> dict[str, Any]:
    """Return what a run depends on beside its config.

    The environment is not among it, as it may hold passwords.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
    device = trainer.strategy.root_device
    return {
        "code": code,
        "packages": versions(PACKAGES),
        "source_sha256": source_digest(),
        "machine": {
            **machine(),
            "accelerators": [torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)],
        },
        "numerics": {
            "threads": torch.get_num_threads(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "fp32_precision": fp32_precision(),
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "precision": str(trainer.precision),
            "processes": trainer.world_size,
        },
        # Of what is stored, which holds no password.
        "config_sha256": checksum(redact(config).encode()),
        "data_sha256": data.checksums() if isinstance(data, ImageDataModule) else {},
        "attempt": attempt,
    }


def _data_facts(trainer: pl.Trainer) -> dict[str, Any]:
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageDataModule):
        return {}
    shares = {"batch_size_per_device": data.batch_size // trainer.world_size} if trainer.world_size > 1 else {}
    return {
        f"data.{name}": value
        for name, value in {**data_parameters(data.class_names, data.sizes()), **data.facts(), **shares}.items()
    }


def _built(module: LossOptModule, device: torch.device) -> dict[str, Any]:
    """Return what is known once things are built.

    It is the optimizer's defaults, sizes, threads, and a digest of weights.
    """
    defaults = fused(module.new_optimizer(), device).defaults
    digest = getattr(module.network, "weights_sha256", None)
    return {
        **({"network.weights_sha256": digest} if digest else {}),
        **{f"optimizer.{name}": value for name, value in defaults.items() if value is not None},
        "parameters": count_parameters(module.network),
        **({"criterion.parameters": learned} if (learned := count_parameters(module.criterion)) else {}),
        "threads": torch.get_num_threads(),
    }
