"""The page "Losses and optimizers", read from the code, so that it cannot fall behind it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from lit_lossopt.config.signatures import class_paths, names_to_choose
from lit_lossopt.losses import (
    binary_or_one_hot,
    class_indices,
    clipped_normalised,
    log_softmax,
    one_hot,
    one_if_binary,
    plus_minus_one,
    registered_losses,
    sigmoid_normalised,
    softmax,
)

NOTE = "<!-- Rendered from benchmarks/results by `make docs`; run the benchmark anew, do not edit this page. -->\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def between_marks(page: str, name: str, section: str) -> str:
    """Return a page with a section between the two marks of its name, in place of what stood there."""
    begin, end = f"<!-- {name}: rendered by make docs -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{section}\n{end}{after}"


def reference_page() -> str:
    """Return the page on losses and optimizers, read from the code."""
    losses = [
        [
            f"`{name}`",
            _named(contract.encode_targets),
            _named(contract.num_outputs),
            _named(contract.encode_outputs),
            _named(contract.probabilities) if contract.probabilities else "none",
            contract.source,
        ]
        for name, contract in registered_losses().items()
        if name in class_paths("model.criterion")
    ]
    ours = [
        [f"`{name}`", _description(optimizer), _source(optimizer)]
        for name, path in class_paths("model.optimizer").items()
        if name in names_to_choose("model.optimizer")
        if path.startswith("lit_lossopt.")
        for optimizer in (getattr(importlib.import_module(path.rpartition(".")[0]), name),)
    ]
    of_torch = ", ".join(f"`{name}`" for name, path in class_paths("model.optimizer").items() if "torch.optim" in path)
    schedules = ", ".join(f"`{name}`" for name in names_to_choose("model.lr_scheduler"))
    return f"""{NOTE}# Losses and optimizers

## Losses

A loss is chosen with `--model.criterion=NAME`. Arguments are given as `--model.criterion.label_smoothing=0.1`,
weights as lists (`--model.criterion.weight=[1, 2, …]`, `pos_weight`). Labels are always class indices. Each loss says
what it makes of them, how many outputs M it needs for K classes, and which probabilities its outputs imply. If it
implies none, `val/nll`, `val/brier` and `val/ece` stay empty.

{table(["loss", "targets", "outputs M", "outputs given as", "probabilities", "source"], losses)}
{_glossary()}
A first batch is tried before training. Shapes that would broadcast, targets outside a loss's range, raw outputs where
log-probabilities belong, and labels that are no classes or all ignored are refused with the reason. A loss averages
over the batch (`reduction: mean`). A loss that adds up, on whatever level, is refused. `L1Loss` is least at the
median, which is 0 for any class rarer than half, so on ten classes it collapses.

Another loss needs one registration, in a module that `--allow-import` names:

```python
from lit_lossopt.losses import LossContract, one_hot, one_per_class, register_loss, softmax

register_loss(MyLoss, LossContract(one_hot, one_per_class, probabilities=softmax, source="…"))
```

**What a loss learns itself**, such as a temperature or a direction for each class (ArcFace, ProxyAnchor), is trained
with the network: in a parameter group of its own, `criterion`, at the optimizer's rate and without weight decay. It is
kept in checkpoints, and a resumed run goes on with it to the bit. The predicted class is the largest of the network's K
outputs. A loss on embeddings takes K of them (`embedding_size`), and if its own directions decide the class, accuracy
tells little.
Buffers that a loss changes at each call are changed by training alone, not by evaluations.

## Optimizers

An optimizer is chosen with `--model.optimizer=NAME`, and arguments as `--model.optimizer.lr=0.1`. Of torch:
{of_torch}. (`SparseAdam` needs sparse gradients, and is refused.) Of this package:

{table(["optimizer", "what it is", "source"], ours)}
With `pip install 'lit_lossopt[optimizers]'` also those of pytorch_optimizer by their own names: `Lion`, `SOAP`,
`ScheduleFreeAdamW` and many more. Schedule-Free is switched between training and evaluation, and a checkpoint holds
the weights that were evaluated. Schedule-Free optimizers also train with a schedule or a warm-up, and one line says
that they average in place of a schedule. An optimizer without a learning rate (`AliG`) logs none, and takes no
schedule.

Optimizer, loss and network are tried before a run exists, on copies, on the training's device and in its precision:
one step, or a dozen for an optimizer of another package, whose state must also pass through a checkpoint. Any error of
theirs becomes one line that names the setting. (`LOSSOPT_TRACEBACK=1` shows the traceback.)

**Weight decay.** `SGD`, `Adam` and `RMSprop` add it to the gradient (L2). `SGDW`, `AdamW` and `Muon` shrink the weights
apart from the gradient (decoupled). `--model.decay_biases=false` keeps it off biases and norms.

**A step** is one update. With `--trainer.accumulate_grad_batches=4` there is one step in four batches. `LBFGS` looks
at a batch several times in one step, with the same dropout each time. Gradients are clipped by
`--trainer.gradient_clip_val`.

## Schedules

`--model.lr_scheduler=NAME`, counted in epochs or, with `--model.lr_scheduler_interval=step`, in steps: {schedules}.
(`ChainedScheduler` and `SequentialLR` are made of other schedules, and `LambdaLR` and `MultiplicativeLR` of a
function. These four work from Python only.) `--model.lr_warmup=N` puts a linear warm-up in front, in the same unit.
`ReduceLROnPlateau` follows a metric, and is refused after a warm-up.

**A schedule as long as the training**: `T_max`, `total_steps` and `total_iters` may be the word `training`. It stands
for the steps or epochs that the training leaves behind the warm-up, on any data:
`--model.lr_scheduler=CosineAnnealingLR --model.lr_scheduler.T_max=training`. The config `warmup_cosine` does so. If a
training goes on to more epochs, it takes the rates that the longer training has from there on. If optimizer and
schedule begin afresh, the word stands for what is left. A number that does not fit is said in one line before
training (a cosine that ends at 99 % of its peak), or refused where the schedule would fail on the way (`OneCycleLR`
with too few steps).
"""


def _named(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", " ")


def _glossary() -> str:
    functions: list[Callable[..., Any]] = [class_indices, one_hot, binary_or_one_hot, plus_minus_one, one_if_binary]
    functions += [log_softmax, softmax, sigmoid_normalised, clipped_normalised]
    return "".join(f"- *{_named(one)}*: {_description(one).removeprefix('Return ')}\n" for one in functions)


def _description(documented: Any) -> str:
    """Return the sentences of a docstring, without its example and its sections."""
    return " ".join(re.split(r">>>|Args:|Raises:|Source:", str(documented.__doc__))[0].split())


def _source(documented: Any) -> str:
    return " ".join(str(documented.__doc__).partition("Source: ")[2].split())
