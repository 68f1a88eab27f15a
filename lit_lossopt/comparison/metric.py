"""Which metric is compared, and whether more of it is better.

Names of metrics tell, unless a person says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.tracking.reading.runs import Run

# Parts of a metric's name, in lower case. Those that say "lower" win: a Brier score is a loss.
_LOWER = {"brier", "ece", "err", "error", "errors", "hinge", "kl", "logloss", "loss", "losses", "mae", "mse", "nll",
          "perplexity", "ppl", "rmse", "xent", "entropy"}  # fmt: skip
_HIGHER = {"acc", "accuracies", "accuracy", "ap", "auc", "auroc", "bleu", "dice", "f1", "iou", "kappa", "map", "mcc",
           "precision", "r2", "recall", "score", "top1", "top5"}  # fmt: skip
# DeepOBS logs ``valid_accuracies`` and ``valid_losses``.
_ACCURACIES = {"acc", "accuracies", "accuracy"}
_NOT_RESULTS = {"best", "epoch", "epochs", "examples", "lr", "seconds", "step", "steps", "system", "time", "train",
                "training"}  # fmt: skip
_VALIDATION = {"val", "valid", "validation", "dev", "eval"}
# What the loss is called among parameters, here and in other programs.
_CRITERIA = ("criterion", "loss", "loss_fn", "loss_function")


def choose_metric(runs: Sequence[Run], wanted: str | None = None) -> str:
    """Return the metric by which runs are compared.

    Without a wish it is ``val/accuracy`` if any run has it. Otherwise it is the one that looks like it. Accuracies of
    validation come first, then other accuracies, then what is of validation, then anything that is a result.

    Raises:
        UserError: no run has the wanted one, or several look alike.
    """
    known = sorted({name for run in runs for name in run.metrics})
    default = names.metric(names.VAL, "accuracy")
    if wanted is not None:
        if wanted in known or not known:
            return wanted
        raise UserError(f"--metric {wanted}: no run has it{did_you_mean(wanted, known)}; there are: {_listed(known)}")
    if default in known or not known:
        return default
    results = [name for name in known if not _parts(name) & _NOT_RESULTS]
    tiers = (
        [name for name in results if _parts(name) & _VALIDATION and _is_higher(name)],
        [name for name in results if _is_higher(name)],
        [name for name in results if _parts(name) & _VALIDATION],
        results,
    )
    plausible: list[str] = next((tier for tier in tiers if tier), [])
    if len(plausible) != 1:
        raise UserError(f"no run has {default}: name another with --metric; there are: {_listed(plausible or known)}")
    return plausible[0]


def higher_is_better(metric: str, wish: bool | None = None) -> bool:
    """Return True if more of a metric is better.

    A wish decides, or else its name.

    >>> higher_is_better("val/accuracy"), higher_is_better("valid_losses"), higher_is_better("odd", wish=True)
    (True, False, True)

    Raises:
        UserError: its name does not tell.
    """
    if wish is not None:
        return wish
    if _parts(metric) & _LOWER:
        return False
    if _is_higher(metric):
        return True
    raise UserError(
        f"--metric {metric}: its name does not tell whether more is better. Add --higher-is-better or --lower-is-better"
    )


def default_margin(metric: str) -> float:
    """Return what counts as equivalent unless a person says otherwise.

    It is one point of an accuracy, and nothing of metrics in unknown units.
    """
    return 0.01 if is_accuracy(metric) else 0.0


def is_accuracy(metric: str) -> bool:
    """Return True if a metric is by its name a share.

    One point of it is a hundredth.

    >>> is_accuracy("valAcc"), is_accuracy("valid_accuracies"), is_accuracy("val/nll")
    (True, True, False)
    """
    parts = _parts(metric)
    return bool(parts & _ACCURACIES) and not parts & _LOWER


def refuse_different_losses(arms: Sequence[ArmRuns], metric: str) -> None:
    """Refuse to rank loss values of different losses.

    Raises:
        UserError: the metric is a loss, and arms differ in it.
    """
    if re.split(r"[/_.]", metric)[-1] not in ("loss", "losses"):
        return
    criteria = sorted({_criterion(arm, run) for arm in arms for run in arm.runs} - {""})
    if len(criteria) > 1:
        shown = ", ".join(criteria[:3]) + (" …" if len(criteria) > 3 else "")
        raise UserError(
            f"{metric} of different losses ({shown}) cannot be compared, since their values have different units. Take "
            f"{names.metric(names.VAL, 'accuracy')} or {names.metric(names.VAL, 'nll')}"
        )


def _criterion(arm: ArmRuns, run: Run) -> str:
    """Return the loss with all arguments that the run names."""
    settings = {**run.params, **arm.settings}
    parts = [(key.partition("."), settings[key]) for key in sorted(settings) if key.partition(".")[0] in _CRITERIA]
    return " ".join(f"{argument}={value}" if argument else value for (_, _, argument), value in parts)


def _is_higher(name: str) -> bool:
    return bool(_parts(name) & _HIGHER) and not _parts(name) & _LOWER


def _parts(name: str) -> set[str]:
    """Return the words of a name.

    ``valAccuracy`` and ``val/accuracy`` have the same two.
    """
    return set(re.findall(r"[a-z]+[0-9]*|[0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()))


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
