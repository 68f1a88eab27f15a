"""From which other training the trials of a level begin.

``start: {arm: adam, step: 400}`` begins behind a step of another arm, as a branch of it. ``start: {arm: eight, take:
weights}`` begins with the weights that the other training ends with, in all but the head.
"""

from __future__ import annotations

from dataclasses import dataclass

from lit_lossopt.config.branch import BRANCH, WEIGHTS
from lit_lossopt.sweeps.plan.section import Section

START = "start"


@dataclass(frozen=True)
class Start:
    """Where trials begin.

    Attributes:
        arm: the level of the same factor, or the entry of ``trunks``, whose trainings they begin from.
        step: behind which they begin. None: they begin with the weights of its end.
    """

    arm: str
    step: int | None = None

    def words(self, key: str) -> dict[str, str]:
        """Return the settings of a trial that begins from the one with a key."""
        return {f"model.{WEIGHTS}": key} if self.step is None else {BRANCH: f"{key}@{self.step}"}


def read_start(section: Section) -> Start | None:
    """Return what a level says of its start.

    Args:
        section: below the level's key ``start``. It is empty where the level begins from scratch.

    Raises:
        UserError: it is none.
    """
    if not section.tree:
        return None
    section.refuse_others(("arm", "step", "take"))
    arm = section.text("arm", "")
    if section.choice("take", ("state", WEIGHTS), "state") == WEIGHTS:
        if "step" in section.tree:
            raise section.wrong("step", f"take: {WEIGHTS} takes those of the end; leave one of them out")
        return Start(arm)
    return Start(arm, section.whole("step", 0, 1, 2**31))
