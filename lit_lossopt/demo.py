"""The first minute: four optimizers on the embedded digits, a table, and the line that opens the curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lit_lossopt import names
from lit_lossopt.errors import UserError

ARMS = ("sgd", "sgd_momentum", "adam", "rmsprop")
EXPERIMENT = "demo"


def demo(words: Sequence[str], main: Callable[[list[str]], int]) -> int:
    """Train each arm by its shipped config, then show accuracy, loss and time; return the exit status."""
    epochs = _epochs(words)
    for arm in ARMS:
        print(f"\n— {arm} —", flush=True)
        command = ["fit", "--config", arm, "--config", "digits", f"--trainer.max_epochs={epochs}", "--threads=1"]
        print(f"lossopt {' '.join(command)}")
        status = main([*command, f"--tracking.experiment={EXPERIMENT}"])
        if status:
            return status
    _show()
    return 0


def _epochs(words: Sequence[str]) -> int:
    text = " ".join(words).replace("=", " ").split()
    if not text:
        return 20
    if len(text) != 2 or text[0] != "--epochs" or not text[1].isdigit() or int(text[1]) < 1:
        raise UserError(f"demo takes only --epochs N, got: {' '.join(words)}")
    return int(text[1])


def _show() -> None:
    from rich.console import Console
    from rich.table import Table

    from lit_lossopt.tracking.runs import charts_page, read_runs

    runs = read_runs(EXPERIMENT)[-len(ARMS) :]
    table = Table(title="MiniCNN on digits, one seed each: a first look, not yet a verdict", title_justify="left")
    table.add_column("optimizer", no_wrap=True)
    for heading in ("val accuracy", "best", "val loss", "train loss", "seconds"):
        table.add_column(heading, justify="right", min_width=len(heading.split()[-1]))
    for run in runs:
        value = run.metrics
        shown = [names.metric(names.VAL, "accuracy"), names.BEST_VAL_ACCURACY, names.metric(names.VAL, "loss")]
        numbers = [f"{value[name]:.3f}" for name in (*shown, names.TRAIN_LOSS)]
        arm = run.tags[names.TAG_ARM].removesuffix(f" {run.params['criterion']}")
        table.add_row(arm, *numbers, f"{value[names.TRAIN_SECONDS]:.1f}")
    console = Console()
    console.print("\n", table)
    print(
        "Every step's loss of each run is kept in ./mlflow.db. To see the curves: make ui (or: mlflow ui), then open\n"
        f"http://127.0.0.1:5000{charts_page(EXPERIMENT)}"
    )
