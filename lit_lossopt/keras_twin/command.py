"""The commands ``lossopt twin`` and ``lossopt explain``."""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.config.twin import TWIN
from lit_lossopt.core.imports import import_for_good
from lit_lossopt.core.names import Exit
from lit_lossopt.keras_twin.checking.request import parse as parse_check
from lit_lossopt.keras_twin.checking.request import wants_check
from lit_lossopt.keras_twin.explaining.request import COMMAND
from lit_lossopt.keras_twin.explaining.request import parse as parse_explain
from lit_lossopt.keras_twin.framework import load_tensorflow, need_tensorflow


def twin(words: Sequence[str]) -> int:
    """Train in TensorFlow, or check it against torch. Return the exit status.

    Raises:
        UserError: TensorFlow is not installed, or something typed cannot be used.
    """
    need_tensorflow(TWIN)
    if not wants_check(words):
        return _train(list(words))
    request = parse_check(words)
    load_tensorflow(TWIN)
    from lit_lossopt.keras_twin.checking.command import check

    return check(request)


def explain(words: Sequence[str]) -> int:
    """Say why a training differs between the frameworks. Return the exit status.

    Raises:
        UserError: TensorFlow is not installed, or something typed cannot be used.
    """
    request = parse_explain(words)
    if request.known:
        from lit_lossopt.keras_twin.explaining.known import show_known

        show_known()
        return Exit.DONE
    need_tensorflow(COMMAND)
    load_tensorflow(COMMAND)
    from lit_lossopt.keras_twin.explaining.command import explain as explain_training

    return explain_training(request)


def _train(words: list[str]) -> int:
    from lit_lossopt.config.words import Prepared, prepare
    from lit_lossopt.training.commands import start

    def run(prepared: Prepared) -> int:
        load_tensorflow(TWIN)
        import_for_good("lit_lossopt.keras_twin.cli")
        from lit_lossopt.keras_twin.cli import TwinCLI
        from lit_lossopt.training.cli import run_trainer

        return run_trainer(prepared, TwinCLI)

    return start(prepare(TWIN, words), run)
