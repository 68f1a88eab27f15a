"""The table of commands, and what runs one.

Only what the command needs is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from lit_lossopt.config.help import Command, command_help, overview
from lit_lossopt.core.closed_output import outliving_readers
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.flags import Flag
from lit_lossopt.core.imports import import_for_good
from lit_lossopt.core.names import Exit
from lit_lossopt.core.paths import settle_home
from lit_lossopt.core.program import find_modules_here
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell

SETTINGS = "[--config NAME] [--key=value ...]"
# Name → what it does and where. A new command is one row here, and its own module.
COMMANDS = {
    "fit": Command(
        "train, and record every step's loss in MLflow",
        "lit_lossopt.training.commands:fit", SETTINGS, takes_settings=True, outlives_readers=True,
    ),
    "twin": Command(
        "train the same in TensorFlow, on the same data, order and weights",
        "lit_lossopt.keras_twin.command:twin", SETTINGS, "lit_lossopt.keras_twin.checking.request:FLAGS",
        "With --check nothing is trained, and only the flags of this command count. A training takes the settings, and "
        "also --twin.rule=keras|torch and --twin.dropout=own|shared.",
        takes_settings=True, outlives_readers=True,
    ),
    "validate": Command(
        "evaluate trained weights on the validation images",
        "lit_lossopt.training.commands:validate", SETTINGS, takes_settings=True, outlives_readers=True,
    ),
    "test": Command(
        "evaluate trained weights on the test images, recorded in their run",
        "lit_lossopt.training.commands:test", SETTINGS, takes_settings=True, outlives_readers=True,
    ),
    "predict": Command(
        "write a table of predictions: file, class, probabilities",
        "lit_lossopt.training.commands:predict", SETTINGS, takes_settings=True, outlives_readers=True,
    ),
    "lr-find": Command(
        "find a learning rate: a range test of what fit would train, its suggestion and its picture",
        "lit_lossopt.training.commands:lr_find", SETTINGS, "lit_lossopt.training.lr_find.request:FLAGS",
        takes_settings=True, outlives_readers=True,
    ),
    "bench": Command(
        "the fastest safe setting of this machine for a training: threads, fused optimizer; bf16 beside",
        "lit_lossopt.training.commands:bench", SETTINGS, "lit_lossopt.training.speed.request:FLAGS",
        "Nothing is recorded or kept. A setting is recommended if it was faster in each of at least 3 repetitions, and "
        "by at least 3 % in the median.",
        takes_settings=True,
    ),
    "compare": Command(
        "which arm converges faster, which oscillates: one table, one page, with intervals",
        "lit_lossopt.comparison.command:compare",
        "[--experiment NAME] [--by NAME,NAME] [--html FILE]", "lit_lossopt.comparison.flags:FLAGS",
        "Diverged and collapsed runs count. Interrupted, failed and running ones are listed and left out.",
    ),
    "verify": Command(
        "check a page or its JSON: computed again from the store, and some trials run again",
        "lit_lossopt.verify.command:verify",
        "FILE [--sample N]", "lit_lossopt.verify.request:FLAGS",
        "FILE is a page or a JSON file that compare or sweep has written. The exit status is 4 where something does "
        "not hold, and 5 where nothing contradicts, but something could not be checked.",
        runs_others=True, outlives_readers=True,
    ),
    "inspect": Command(
        "why one run behaves so: findings, gradient flow, step geometry, curves",
        "lit_lossopt.comparison.inspection.command:inspect",
        "[RUN] [--html FILE]", "lit_lossopt.comparison.inspection.request:FLAGS",
        "RUN is a run's id or the beginning of one. Without it, the newest training is meant.",
    ),
    "landscape": Command(
        "the loss as a landscape with the paths of optimizers: a map, and a page in 3-D",
        "lit_lossopt.landscape.command:landscape",
        "[RUN ...] [--config PLAN] [--picture FILE]", "lit_lossopt.landscape.request:FLAGS",
        "RUN is a run's id or the beginning of one. Without it, the newest experiment's runs of one seed are taken. "
        "Runs need snapshots of their weights: train with --diagnostics=trajectory, or full.",
        runs_others=True, outlives_readers=True,
    ),
    "explain": Command(
        "why a training differs between PyTorch and TensorFlow: each difference and its share",
        "lit_lossopt.keras_twin.command:explain", SETTINGS, "lit_lossopt.keras_twin.explaining.request:FLAGS",
        takes_settings=True,
    ),
    "export": Command(
        "write a trained network for other programs: .safetensors, .onnx, .pt2; or log it as an MLflow model",
        "lit_lossopt.inference.export.command:export",
        "RUN --to FILE", "lit_lossopt.inference.export.request:FLAGS",
        "RUN is a run's id or the beginning of one, its folder, or a checkpoint. A graph takes uint8 images "
        "[N, C, H, W], pixels 0 to 255, and normalises them itself. What was written is read back and compared before "
        "it gets its name.",
    ),
    "sweep": Command(
        "compare losses, optimizers, rates and seeds by a plan, resumable",
        "lit_lossopt.sweeps.command:sweep",
        "--config PLAN [--config NAME ...] [--key=value ...]", "lit_lossopt.sweeps.options:FLAGS",
        runs_others=True, outlives_readers=True,
    ),
    "sync": Command(
        "deliver to MLflow what a killed run or a lost server left behind",
        "lit_lossopt.tracking.sync:sync",
        "[RUN ...]",
        note="RUN is a run's id or the beginning of one. Without RUN, all runs are delivered. It is safe to repeat. "
        "A run whose process was killed is marked KILLED.", outlives_readers=True,
    ),
    "import": Command(
        "bring in runs of other programs: Lightning, TensorBoard, Keras, W&B, any table",
        "lit_lossopt.tracking.importing.command:import_runs",
        "PATH [PATH ...] [--params NAME=VALUE,...]", "lit_lossopt.tracking.importing.request:FLAGS",
        "PATH is a file, or a folder that is searched for logs. It is safe to repeat: a run whose content is there "
        "already is not imported again.", outlives_readers=True,
    ),
    "demo": Command(
        "the sweep of four optimizers on the embedded digits, by the plan sweep_quick",
        "lit_lossopt.sweeps.command:demo",
        "[--workers N] [--dry-run] …",
        note="It takes the flags of sweep and lasts less than three minutes.", runs_others=True, outlives_readers=True,
    ),
    "configs": Command(
        "list the shipped configs and plans, and what each shows", "lit_lossopt.config.help:show_configs",
    ),
    "completion": Command(
        "print the shell completion script for bash or zsh",
        "lit_lossopt.config.completion:show_script",
        "bash|zsh",
        note='In ~/.bashrc, or with zsh in ~/.zshrc:\n\n  eval "$(lossopt completion bash)"',
    ),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status, one of ``names.Exit``."""
    if argv is None:
        find_modules_here()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        settle_home()
        return _dispatch(words)
    except BrokenPipeError:
        # Whoever read the output has had enough (lossopt configs | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt as stop:
        # What had something to save has said so before.
        status = int(getattr(stop, "status", Exit.INTERRUPTED))
        print(f"lossopt: stopped by {'SIGTERM' if status == Exit.TERMINATED else 'Ctrl-C'}", file=sys.stderr)
        return status
    except UserError as error:
        if os.environ.get("LOSSOPT_TRACEBACK"):
            raise
        tell(redact(f"lossopt: {error}"), sys.stderr)
        return Exit.MISTAKE


def _dispatch(words: list[str]) -> int:
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in ("-h", "--help", "help"):
        print(overview(COMMANDS))
    elif name == "--version":
        from lit_lossopt.core.version import __version__

        print(__version__)
    elif name == "__complete":
        from lit_lossopt.config.completion import candidates

        print("\n".join(candidates(rest, COMMANDS, flags_of)))
    elif name not in COMMANDS:
        raise UserError(f"{name}: no such command{did_you_mean(name, COMMANDS)}; there are: {', '.join(COMMANDS)}")
    elif "-h" in rest or "--help" in rest:
        print(command_help(name, COMMANDS[name], flags_of(COMMANDS[name])))
    else:
        command = COMMANDS[name]
        run = _named(command.run)
        with outliving_readers() if command.outlives_readers else nullcontext():
            return int(run(rest, main) if command.runs_others else run(rest))
    return Exit.DONE


def flags_of(command: Command) -> Sequence[Flag]:
    """Return the flags that a command declares."""
    flags: Sequence[Flag] = _named(command.flags) if command.flags else ()
    return flags


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_for_good(module), name)


if __name__ == "__main__":
    sys.exit(main())
