"""What was typed after ``lossopt export``.

It is checked before anything heavy is imported.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, cast

from lit_lossopt.config.check import EXPORT_EXTRA
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.flags import Flag, add_flags
from lit_lossopt.core.paths import given_path

# Ending -> the packages that write the format and read it back.
PACKAGES = {
    ".safetensors": ("safetensors",),
    ".onnx": ("onnx", "onnxscript", "onnxruntime"),
    ".pt2": (),
}

FLAGS = (
    Flag(
        "--to",
        "FILE",
        "the file; its ending decides: .safetensors (weights), .onnx or .pt2 (a graph, any batch size)",
        {"metavar": "FILE"},
    ),
    Flag(
        "--which",
        "best|last",
        "weights with the best validation accuracy (default), or the last ones",
        {"choices": ("best", "last"), "default": "best"},
    ),
    Flag(
        "--outputs",
        "NAME",
        "logits (default), or probabilities where the loss implies them",
        {"choices": ("logits", "probabilities"), "default": "logits"},
    ),
    Flag("--overwrite", "", "replace a file that exists", {"action": "store_true"}),
    Flag("--log", "", "log it as an MLflow model in its run", {"action": "store_true"}),
    Flag(
        "--allow-import",
        "PKG",
        "let the run's config name classes of one more package",
        {"metavar": "PKG", "action": "append", "default": []},
    ),
)


@dataclass(frozen=True)
class Request:
    """What to export, and where to.

    Attributes:
        run: a run's id or the beginning of one, its folder, or a checkpoint.
        to: the file, whose ending decides the format. None writes no file, and the model is only logged.
        which: the weights with the best validation accuracy, or the last ones.
        outputs: what the exported graph returns.
        overwrite: whether a file that exists may be replaced.
        log: whether the model is logged in its run.
        allow: packages whose classes the config may name.
    """

    run: str
    to: Path | None
    which: Literal["best", "last"]
    outputs: Literal["logits", "probabilities"]
    overwrite: bool
    log: bool
    allow: tuple[str, ...]


def parse_request(words: Sequence[str]) -> Request:
    """Return what the words ask for.

    >>> parse_request(["RUN_ID", "--log", "--which", "last"]).which
    'last'

    Raises:
        UserError: the words do not make sense, the file exists, or a package is missing.
    """
    parser = _Parser(prog="lossopt export", add_help=False, allow_abbrev=False)
    parser.add_argument("run", metavar="RUN")
    add_flags(parser, FLAGS)
    typed = parser.parse_args(words)
    request = Request(
        run=cast("str", typed.run),
        to=given_path(typed.to) if typed.to else None,
        which=typed.which,
        outputs=typed.outputs,
        overwrite=typed.overwrite,
        log=typed.log,
        allow=tuple(typed.allow_import),
    )
    if request.to is not None:
        _check_target(request, request.to)
    elif not request.log:
        raise UserError(f"export: name the file with --to FILE ({', '.join(PACKAGES)}), or log the model with --log")
    return request


class _Parser(argparse.ArgumentParser):
    """argparse, with errors in the form of the other commands."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"export: {message}; lossopt export --help lists its flags")


def _check_target(request: Request, target: Path) -> None:
    if target.suffix not in PACKAGES:
        near = did_you_mean(target.suffix, PACKAGES) if target.suffix else ""
        raise UserError(f"--to {target}: no format has that ending{near}; there are: {', '.join(PACKAGES)}")
    if target.suffix == ".safetensors" and request.outputs != "logits":
        raise UserError(f"--to {target}: holds weights and no graph, so it has no --outputs; take .onnx or .pt2")
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise UserError(f"--to {target}: {'a folder' if target.is_dir() else 'its folder does not exist'}")
    if target.exists() and not request.overwrite:
        raise UserError(f"--to {target}: exists; replace it with --overwrite, or take another name")
    missing = [package for package in PACKAGES[target.suffix] if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f"--to {target}: {', '.join(missing)} not installed; {EXPORT_EXTRA}")
