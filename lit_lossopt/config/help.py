"""Help that a person can read.

What it speaks of is not imported for it.

Every flag named here is checked by a test against the real parser.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from lit_lossopt.config.files import shipped_folder, shipped_names, shipped_plans, summary
from lit_lossopt.config.merge import DEFAULTS
from lit_lossopt.config.signatures import class_paths
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.terminal_text import fitted, help_width

COMMANDS = {
    "fit": "train, and record every step's loss in MLflow",
    "validate": "evaluate trained weights on the validation images",
    "test": "evaluate trained weights on the test images, recorded in their run",
    "predict": "write a table of predictions: file, class, probabilities",
    "lr-find": "find a learning rate: a range test of what fit would train, its suggestion and its picture",
    "compare": "which arm converges faster, which oscillates: one table, one page, with intervals",
    "export": "write a trained network for other programs: .safetensors, .onnx, .pt2; or log it as an MLflow model",
    "sweep": "compare losses, optimizers, rates and seeds by a plan, resumable",
    "sync": "deliver to MLflow what a killed run or a lost server left behind",
    "demo": "the sweep of four optimizers on the embedded digits, by the plan sweep_quick",
    "configs": "list the shipped configs and plans, and what each shows",
    "completion": "print the shell completion script for bash or zsh",
}

FLAGS: dict[str, tuple[tuple[str, str], ...]] = {
    "What to run": (
        ("--config NAME|FILE", "settings by bare name (see: lossopt configs) or path; several compose, the later wins"),
        ("--seed_everything N", "seed of weights, split, batch order and dropout; runs that share it are paired (0)"),
        ("--threads N", "CPU threads; recorded, because results differ in the last bits with it"),
        ("--ckpt_path FILE|last", "trained weights (validate, test, predict); a run to go on with (fit)"),
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
        ("--model.backbone_lr_factor X", "learning rate in front of the head, as a multiple of the head's (1)"),
    ),
    "Data": (
        ("--data NAME", "{data}"),
        ("--data.folder PATH", "images in train/<class>/* and test/<class>/*, or the CIFAR-10 archive"),
        ("--data.classes LIST", "names of the classes to keep, as [cat,dog]"),
        ("--data.batch_size N", "images a batch (64)"),
        ("--data.augmentation LIST", "[PadCrop,HorizontalFlip,Cutout,ColorJitter], or torchvision's, image by image"),
        ("--data.mixing NAME", "MixUp or CutMix"),
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
        ("--checkpoints.every_n_steps N", "save between validations too; also --checkpoints.every_minutes (10)"),
        ("--probe.images N", "training images whose loss is measured beside training (256); 0: none"),
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

LR_FLAGS = (
    ("--min-lr X", "the first rate of the test (1e-7)"),
    ("--max-lr X", "its last rate (10)"),
    ("--steps N", "steps in between, each at a higher rate by the same factor (150)"),
    ("--png FILE", "where the picture goes; the run keeps it in any case"),
)

COMPARE_FLAGS: tuple[tuple[str, str], ...] = (
    ("--experiment NAME", "MLflow experiment; by default the one whose latest run started last"),
    ("--filter TEXT", "only runs that it leaves, in MLflow's syntax: \"params.optimizer = 'SGD'\""),
    ("--runs ID,ID", "only these runs, of any experiment; beginnings of ids will do"),
    ("--by NAME,NAME", "what makes an arm, as criterion,optimizer,lr; by default whatever differs but for the seed"),
    ("--ignore NAME,NAME", "parameters that set no arm apart, as run_number; repeatable"),
    ("--seed-name NAME", "the parameter or tag that pairs runs; by default what is a seed by its name"),
    ("--metric NAME", "compared at each evaluation (val/accuracy)"),
    ("--higher-is-better", "of the metric, where its name does not tell; or --lower-is-better"),
    ("--lower-is-better", "of the metric, where its name does not tell"),
    ("--target VALUE", "what counts as reached (95 % of the best arm's median final value)"),
    ("--margin VALUE", "differences of the final value within it are equivalent (0.01, one point of accuracy)"),
    ("--all-pairs", "every arm against every other, not only against the best"),
    ("--html FILE", "the page: curves, differences, every number; works without a network"),
    ("--png DIR", "figures for a paper"),
    ("--csv DIR", "tables of arms, runs, contrasts and curves"),
    ("--log", "keep page, figures and tables in MLflow, as a run of the experiment"),
)
EXPORT_FLAGS = (
    ("--to FILE", "the file; its ending decides: .safetensors (weights), .onnx or .pt2 (a graph, any batch size)"),
    ("--which best|last", "weights with the best validation accuracy (default), or the last ones"),
    ("--outputs NAME", "logits (default), or probabilities where the loss implies them"),
    ("--overwrite", "replace a file that exists"),
    ("--log", "log it as an MLflow model in its run"),
    ("--allow-import PKG", "let the run's config name classes of one more package"),
)
EXPORT_NOTE = """\
RUN is a run's id or the beginning of one, its folder, or a checkpoint. A graph takes uint8 images [N, C, H, W], pixels
0 to 255, and normalises them itself. What was written is read back and compared before it gets its name."""

SWEEP_FLAGS = (
    ("--config PLAN", "a plan by bare name (see: lossopt configs) or path; docs/sweeps.md says what stands in one"),
    ("--config NAME", "further ones: configs laid over all trials, as digits"),
    ("--key=value", "any flag of fit, for all trials, as --trainer.max_epochs=2"),
    ("--dry-run", "print the trials, their number, time and disk; write nothing"),
    ("--workers N", "trials at once (as many as there are cores)"),
    ("--threads N", "CPU threads of each trial (as the plan has it, 1)"),
    ("--gpus X", "share of a GPU that each trial takes, as 0.25 (1 where there are GPUs, else 0)"),
    ("--engine local|ray|here", "processes on this machine, a Ray cluster, or this process, one by one (local)"),
    ("--ray-address HOST:PORT", "of a Ray cluster that is running"),
    ("--seeds N", "repeats of each winner, or runs of each cell of a grid"),
    ("--tracking.experiment NAME", "MLflow experiment (the plan's name); another one starts afresh"),
    ("--keep-checkpoints", "of every trial, not of repeats only"),
    ("--html FILE", "where the page of the comparison goes"),
)

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


COMPARE_NOTE = "Diverged and collapsed runs count; interrupted, failed and running ones are listed and left out."
# The whole help of commands without flags.
USAGES = {
    "demo": "Usage: lossopt demo [--workers N] [--dry-run] …\n\nFlags as sweep takes them. Under three minutes.",
    "sync": (
        "Usage: lossopt sync [RUN ...]\n\nRUN is a run's id or the beginning of one; without any, all there are. "
        "Safe to repeat. A run whose process was killed is marked KILLED."
    ),
    "configs": "Usage: lossopt configs",
    "completion": 'Usage: eval "$(lossopt completion bash)"\n\nIn ~/.bashrc; or zsh in ~/.zshrc.',
}
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


def _own_help(command: str) -> str:
    """Return the help of a command without settings of ``fit``.

    It is empty for the other commands.
    """
    match command:
        case "sweep":
            usage = "Usage: lossopt sweep --config PLAN [--config NAME ...] [--key=value ...]\n"
            return _listed(usage, SWEEP_FLAGS)
        case "compare":
            usage = "Usage: lossopt compare [--experiment NAME] [--by NAME,NAME] [--html FILE]\n"
            return f"{_listed(usage, COMPARE_FLAGS, 20)}\n\n{COMPARE_NOTE}"
        case "export":
            return _listed("Usage: lossopt export RUN --to FILE\n", EXPORT_FLAGS, 20) + f"\n\n{EXPORT_NOTE}"
        case _:
            return USAGES.get(command, "")


def overview() -> str:
    """Return the answer to ``lossopt --help``."""
    text = (
        "Which loss, which optimizer, at which learning rate: controlled experiments on a small CNN.\n\n"
        "Usage: python -m lit_lossopt COMMAND [--config NAME] [--key=value ...]\n"
        "       lossopt COMMAND ...     (the same)\n\n"
        f"{_listed('Commands', COMMANDS.items(), 12)}\n\n{EXAMPLES}\nCOMMAND --help tells its flags."
    )
    return _within(text)


def command_help(command: str) -> str:
    """Return the answer to ``lossopt COMMAND --help``."""
    head = f"{command}: {COMMANDS[command]}\n"
    if own := _own_help(command):
        return _within(f"{head}\n{own}")
    choices = {key.rpartition(".")[2]: ", ".join(class_paths(key)) for key in ("data",)}
    ours = [name for name, path in class_paths("model.criterion").items() if path.startswith("lit_lossopt.")]
    choices["criterion"] = ", ".join(["CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", *ours])
    sections = {"The range test": LR_FLAGS, **FLAGS} if command == "lr-find" else FLAGS
    listed = [
        _listed(title, [(flag, text.format(**choices)) for flag, text in flags]) for title, flags in sections.items()
    ]
    default = DEFAULTS["model"]
    given = f"Without a config: {default['optimizer']['class_path']}, {default['criterion']}, the embedded digits."
    return _within("\n\n".join([f"{head}\nUsage: lossopt {command} [--config NAME] [--key=value ...]", *listed, given]))


def config_list() -> str:
    """Return one entry a shipped config or plan."""
    shown = {
        "Shipped configs (fit --config NAME; several compose, the later wins):": shipped_names(),
        "Shipped plans (sweep --config NAME):": shipped_plans(),
    }
    return "\n\n".join(
        _listed(title, [(name, summary(shipped_folder() / f"{name}.yaml")) for name in names], 28)
        for title, names in shown.items()
    )


def _within(text: str) -> str:
    """Return a text within the terminal's width."""
    return fitted(text, help_width())


def check_bare(command: str, rest: list[str]) -> None:
    """Refuse words after a command that takes none.

    Raises:
        UserError: there are some.
    """
    if rest:
        raise UserError(f"{command} takes no arguments, got: {' '.join(rest)}")
