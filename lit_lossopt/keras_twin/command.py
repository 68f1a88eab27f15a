"""The commands ``lossopt twin`` and ``lossopt explain``."""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.keras_twin.framework import need_tensorflow


def twin(words: Sequence[str]) -> int:
    """Train in TensorFlow, or check it against torch. Return the exit status.

    Raises:
        UserError: TensorFlow is not installed, or something typed cannot be used.
    """
    need_tensorflow("twin")
    return _train(list(words))


def _train(words: list[str]) -> int:
    from lit_lossopt.config.twin import TWIN
    from lit_lossopt.config.words import Prepared, prepare
    from lit_lossopt.training.commands import start

    def run(prepared: Prepared) -> int:
        from lit_lossopt.keras_twin.cli import TwinCLI
        from lit_lossopt.training.cli import run_trainer

        return run_trainer(prepared, TwinCLI)

    return start(prepare(TWIN, words), run)
