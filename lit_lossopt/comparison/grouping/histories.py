"""The histories that a comparison reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lit_lossopt.comparison.grouping.loss_names import evaluation_losses, training_losses
from lit_lossopt.comparison.measures.clocks import LOGGED_EPOCH
from lit_lossopt.comparison.measures.diagnostics import is_shown
from lit_lossopt.comparison.measures.trial import YARDSTICK_METRICS
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, with_histories

# They tell where on an axis an evaluation lies.
_CLOCKS = (names.TRAIN_SECONDS, names.EXAMPLES, names.EPOCHS, LOGGED_EPOCH)


def with_curves(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return runs with the histories that a comparison needs.

    The training loss of each step gets our name for it, whatever its program called it.
    """
    known = dict.fromkeys(name for run in runs for name in run.metrics)
    losses = [names.metric(metric.partition("/")[0], "loss"), *training_losses(known), *evaluation_losses(known)]
    accuracies = [name for name in known if is_accuracy(name)]
    diagnostics = [name for name in known if is_shown(name)]
    wanted = {metric, names.PROBE_LOSS, *_CLOCKS, *losses, *accuracies, *YARDSTICK_METRICS, *diagnostics}
    return [_with_our_name(run) for run in with_histories(runs, wanted)]


def _with_our_name(run: Run) -> Run:
    known = training_losses(run.histories)
    return replace(run, histories={**run.histories, names.TRAIN_LOSS: run.histories[known[0]]}) if known else run
