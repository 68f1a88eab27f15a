"""Lightning's callbacks in a config.

Some of them a run cannot have. The others get their full path.

``benchmarks.lightning_callbacks`` tries all of them, killed and resumed too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from lit_lossopt.config.merge import COMMAND_LINE, Settings, with_init_args
from lit_lossopt.config.signatures import exported_names
from lit_lossopt.config.strict_yaml import dump_yaml, load_value
from lit_lossopt.core.errors import UserError

KEY = "trainer.callbacks"
MODULE = "lightning.pytorch.callbacks"
_PLACE = "lightning/pytorch/callbacks/__init__.py"
# Why a run cannot have it, and what to do instead.
REFUSED = {
    "BackboneFinetuning": "it needs a network that has nothing but a backbone and a head of its kind. Take "
    "--model.frozen_epochs=N and --model.backbone_lr_factor=F",
    "BatchSizeFinder": "it would train with another batch size than the settings say. Set --data.batch_size=N",
    "LearningRateFinder": "it would train at another rate than the settings say. lossopt lr-find suggests a rate",
    "ModelPruning": "a checkpoint lacks its masks or cannot be loaded, and an interrupted run could not go on. Prune "
    "the trained network, which load(RUN) returns, with torch.nn.utils.prune",
    "OnExceptionCheckpoint": "Lightning would begin the next run from its file without being asked. Each run keeps a "
    "last checkpoint anyway, and --ckpt_path=last goes on from it",
    "SpikeDetection": "Lightning cannot load its state again, and an interrupted run could not go on. A run that "
    "diverges is stopped without it",
    "StochasticWeightAveraging": "its average is made after the last evaluation, and would be in no metric and no "
    "checkpoint. Take WeightAveraging or EMAWeightAveraging, which are evaluated, kept and exported",
}
_BASE = "it is a base class, which does nothing by itself. "
BASES = {
    "BaseFinetuning": _BASE + "Take --model.frozen_epochs=N, or name a class of your own that is derived from it",
    "BasePredictionWriter": _BASE + "lossopt predict writes its table to --predictions.path",
    "Callback": _BASE + "Name a class that is derived from it",
    "Checkpoint": _BASE + "Take ModelCheckpoint, beside the best and the last checkpoint that each run keeps",
    "ProgressBar": _BASE + "Take TQDMProgressBar or RichProgressBar",
}
Flags = Sequence[tuple[str, str | None]]


def check_named(settings: Settings, flags: Flags) -> None:
    """Refuse callbacks that a run cannot have, by name.

    They are some of Lightning's.

    Args:
        settings: merged from configs and flags.
        flags: of the command line that are not part of ``settings``.

    Raises:
        UserError: names the first.
    """
    sources = [(settings.value(KEY), settings.origin(KEY))]
    sources += [(load_value(text, f"--{key}"), COMMAND_LINE) for key, text in flags if text and _names_classes(key)]
    for value, source in sources:
        for path in _class_paths(value):
            module, _, name = path.rpartition(".")
            if module in ("", MODULE) and (why := (REFUSED | BASES).get(name)):
                raise UserError(f"{KEY}={name} from {source}: {why}")


def check_built(callbacks: Sequence[object]) -> None:
    """Refuse callbacks that are made of a refused one.

    Raises:
        UserError: names the first.
    """
    for callback in callbacks:
        for kind in type(callback).__mro__:
            if kind.__module__.startswith(MODULE) and kind.__name__ in REFUSED:
                raise UserError(
                    f"{KEY}={type(callback).__name__}: it is derived from {kind.__name__}: {REFUSED[kind.__name__]}"
                )


def settings_for_parser(settings: Settings) -> dict[str, Any]:
    """Return settings with callbacks as the parser knows them.

    It needs full paths, and arguments as ``init_args``.

    Raises:
        UserError: an argument stands twice.
    """
    tree, trainer = settings.tree, settings.tree.get("trainer") or {}
    if not trainer.get("callbacks"):
        return tree
    form = _for_parser(copy.deepcopy(trainer["callbacks"]), settings.origin(KEY))
    return {**tree, "trainer": {**trainer, "callbacks": form}}


def flag_for_parser(key: str, text: str) -> str:
    """Return the text of a flag, likewise.

    Raises:
        UserError: an argument stands twice.
    """
    if not _names_classes(key):
        return text
    value = _for_parser(load_value(text, f"--{key}"), COMMAND_LINE)
    return value if isinstance(value, str) else dump_yaml(value, in_braces=True)


def _names_classes(key: str) -> bool:
    return key.removesuffix(".class_path").removesuffix("+") == KEY


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _class_paths(value.get("class_path"))
    elif isinstance(value, list):
        for item in value:
            yield from _class_paths(item)


def _for_parser(value: Any, source: str) -> Any:
    if isinstance(value, str) and value in exported_names(_PLACE):
        return f"{MODULE}.{value}"
    if isinstance(value, dict) and isinstance(value.get("class_path"), str):
        return with_init_args(KEY, {**value, "class_path": _for_parser(value["class_path"], source)}, source)
    return [_for_parser(item, source) for item in value] if isinstance(value, list) else value
