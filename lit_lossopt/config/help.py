"""Help that a person can read.

What it speaks of is not imported for it.

Every flag named here is checked by a test against the real parser.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.config.files import shipped_folder, shipped_names, shipped_plans, summary
from lit_lossopt.config.merge import DEFAULTS
from lit_lossopt.config.signatures import class_paths, names_to_choose
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag
from lit_lossopt.core.names import Exit
from lit_lossopt.core.terminal_text import fitted, help_width

# Of the flags that this package adds to Lightning's parser. Its help says the same.
SEED = "seed of weights, split, batch order and dropout; runs that share it are paired"
THREADS = "CPU threads; recorded, because results differ in the last bits with it"
FP32_PRECISION = "how float32 numbers are multiplied: ieee, tf32 or bf16 (as torch does it)"
DIAGNOSTICS = "what is measured beside training: default, full, off, or names as flow,sharpness@log:20"
COMPILE = "compile the training step: true, or a mode of torch.compile; reduce-overhead is CUDA graphs"
BRANCH_HELP = "begin a new run from a kept state of another one (see --checkpoints.keep_steps)"
# A flag longer than this stands on a line of its own.
_WIDEST = 32


@dataclass(frozen=True)
class Command:
    """A row in the table of commands.

    Attributes:
        line: what it does, in one line.
        run: the function that does it, as ``module:function``. It takes the words behind the command and returns an
            exit status.
        usage: what stands behind the command.
        flags: the flags that the command declares, as ``module:name``.
        note: what else its help says.
        takes_settings: whether it takes the settings of ``fit``.
        runs_others: whether its function is also given the one that runs any command.
        outlives_readers: whether it goes on when nobody reads its output any more, because it does more than print.
    """

    line: str
    run: str
    usage: str = ""
    flags: str = ""
    note: str = ""
    takes_settings: bool = False
    runs_others: bool = False
    outlives_readers: bool = False


FLAGS: dict[str, tuple[tuple[str, str], ...]] = {
    "What to run": (
        (
            "--config NAME|FILE",
            "settings by bare name (see: lossopt configs) or path; several can be combined, the later wins",
        ),
        ("--seed_everything N", f"{SEED} (0)"),
        ("--threads N", THREADS),
        ("--compile BOOL|MODE", f"{COMPILE} (false)"),
        ("--fp32_precision WORD", FP32_PRECISION),
        ("--ckpt_path FILE|last", "trained weights (validate, test, predict); a run to go on with (fit)"),
        ("--branch RUN[@STEP]", BRANCH_HELP),
        ("--resume auto|force", "go on with an unfinished run of these settings; go on although settings changed"),
        ("--allow-import PKG", "let a config name classes of one more package"),
    ),
    "Loss, optimizer, network": (
        ("--model.criterion NAME", "{criterion}, or any loss with a contract"),
        (
            "--model.optimizer NAME",
            "SGD, Adam, AdamW, RMSprop, or any of torch.optim; arguments as --model.optimizer.lr=0.1",
        ),
        ("--model.lr_scheduler NAME", "any of torch.optim.lr_scheduler; --model.lr_scheduler_interval step|epoch"),
        ("--model.lr_warmup N", "steps or epochs of linear warm-up in front of it"),
        ("--model.decay_biases BOOL", "whether weight decay also acts on biases and norms (true, as in torch)"),
        (
            "--model.network CLASS",
            "MiniCNN (channels, hidden, dropout), TorchvisionNetwork (name, weights), or any nn.Module by class path",
        ),
        ("--model.frozen_epochs N", "first epochs in which only the network's head learns (0)"),
        ("--model.weights RUN[@STEP]", "begin with the weights of another run, in all but the head"),
        ("--model.backbone_lr_factor X", "learning rate in front of the head, as a multiple of the head's (1)"),
    ),
    "Data": (
        ("--data NAME", "{data}"),
        ("--data.folder PATH", "images in train/<class>/* and test/<class>/*, or the CIFAR-10 archive"),
        ("--data.classes LIST", "names of the classes to keep, as [cat,dog]"),
        ("--data.batch_size N", "images a batch (64)"),
        ("--data.augmentation LIST", "[PadCrop,HorizontalFlip,Cutout,ColorJitter], or torchvision's, image by image"),
        ("--data.mixing NAME", "MixUp or CutMix"),
        (
            "--data.resident auto|BOOL",
            "whether the images lie on the GPU (auto: if they fit into half of its free memory)",
        ),
        ("--data.validate_on_test BOOL", "train on all training images, evaluate on the test images"),
    ),
    "Training and tracking": (
        ("--trainer.max_epochs N", "passes over the training images (5); or --trainer.max_steps N"),
        ("--trainer.val_check_interval N", "evaluate every N steps, beside each epoch's end"),
        ("--trainer.accelerator NAME", "cpu, gpu, auto"),
        (
            "--tracking.experiment NAME",
            "MLflow experiment (lit_lossopt); the store is MLFLOW_TRACKING_URI or ./mlflow.db",
        ),
        ("--checkpoints.keep_steps LIST", "keep the states after these steps for branches, as [400,800]"),
        ("--checkpoints.every_n_steps N", "save between validations too; also --checkpoints.every_minutes (10)"),
        ("--probe.images N", "training images whose loss is measured beside training (256); 0: none"),
        ("--diagnostics WHAT", f"{DIAGNOSTICS} (default)"),
        ("--tracking.run_name NAME", "by default optimizer, rate, loss and seed"),
        ("--tracking false", "keep no record: checkpoints go to ./checkpoints, each run to a folder of its own"),
        ("--predictions.path FILE", "table that predict writes (predictions.csv)"),
    ),
    "Looking": (
        ("--print_config", "print the resolved settings and stop"),
        ("--model.optimizer.help NAME", "arguments of a class"),
        ("--help-all", "every flag of the Trainer too"),
    ),
}

EXAMPLES = """\
Examples
  lossopt demo
  lossopt fit --config sgd_momentum --config digits
  lossopt fit --config adam --config digits --model.optimizer.lr=3e-3
  lossopt fit --config sgd --model.criterion=MSELoss --data=DigitsDataModule
  lossopt compare --html report.html
  lossopt sweep --config sweep_quick --dry-run
  mlflow ui
"""


# Columns that a text needs beside its flag.
_LEAST_TEXT = 40


def _listed(title: str, rows: Iterable[tuple[str, str]], width: int = 33) -> str:
    """Return rows of two columns within the terminal's width.

    On a small terminal they stand one below the other.
    """
    room = help_width()
    place = width + 2 if room >= width + 2 + _LEAST_TEXT else 6
    return "\n".join([title, *(_row(f"  {name}", text, place, room) for name, text in rows)])


def _row(head: str, text: str, place: int, room: int) -> str:
    """Return a row whose text begins at a column.

    The text stands below the head where the head is longer.
    """
    beside = len(head) < place
    begin = f"{head:<{place}}" if beside else " " * place
    filled = textwrap.fill(
        text, room, initial_indent=begin, subsequent_indent=" " * place, break_long_words=False, break_on_hyphens=False
    )
    return filled if beside else f"{head}\n{filled}"


def overview(commands: Mapping[str, Command]) -> str:
    """Return the answer to ``lossopt --help``."""
    rows = [(name, command.line) for name, command in commands.items()]
    text = (
        "Which loss, which optimizer, at which learning rate: controlled experiments on a small CNN.\n\n"
        "Usage: python -m lit_lossopt COMMAND [--config NAME] [--key=value ...]\n"
        "       lossopt COMMAND ...     (the same)\n\n"
        f"{_listed('Commands', rows, 12)}\n\n{EXAMPLES}\nCOMMAND --help tells its flags."
    )
    return _within(text)


def command_help(name: str, command: Command, own: Sequence[Flag]) -> str:
    """Return the answer to ``lossopt COMMAND --help``.

    Args:
        name: of the command.
        command: its row in the table.
        own: the flags that it declares.
    """
    rows = [(flag.head, flag.text) for flag in own]
    usage = f"Usage: lossopt {name} {command.usage}".rstrip()
    if command.takes_settings:
        body = _settings_help(usage, rows)
    else:
        width = max((len(head) for head, _ in rows if len(head) < _WIDEST), default=0)
        body = _listed(f"{usage}\n", rows, width + 4) if rows else usage
    note = f"\n\n{command.note}" if command.note else ""
    return _within(f"{name}: {command.line}\n\n{body}{note}")


def _settings_help(usage: str, own: Sequence[tuple[str, str]]) -> str:
    """Return usage, a command's own flags, and the flags of the settings."""
    choices = {"data": ", ".join(names_to_choose("data"))}
    paths = class_paths("model.criterion")
    ours = [name for name in names_to_choose("model.criterion") if paths[name].startswith("lit_lossopt.")]
    choices["criterion"] = ", ".join(["CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", *ours])
    sections = {title: [(flag, text.format(**choices)) for flag, text in flags] for title, flags in FLAGS.items()}
    sections = {"Of this command": list(own), **sections} if own else sections
    default = DEFAULTS["model"]
    given = f"Without a config: {default['optimizer']['class_path']}, {default['criterion']}, the embedded digits."
    return "\n\n".join([usage, *(_listed(title, rows) for title, rows in sections.items()), given])


def config_list() -> str:
    """Return one entry a shipped config or plan."""
    shown = {
        "Shipped configs (fit --config NAME; several can be combined, the later wins):": shipped_names(),
        "Shipped plans (sweep --config NAME):": shipped_plans(),
    }
    return "\n\n".join(
        _listed(title, [(name, summary(shipped_folder() / f"{name}.yaml")) for name in names], 28)
        for title, names in shown.items()
    )


def _within(text: str) -> str:
    """Return a text within the terminal's width."""
    return fitted(text, help_width())


def show_configs(words: Sequence[str]) -> int:
    """Print the shipped configs and plans, and return the exit status.

    Raises:
        UserError: there are words after the command.
    """
    if words:
        raise UserError(f"configs takes no arguments, got: {' '.join(words)}")
    print(config_list())
    return Exit.DONE
