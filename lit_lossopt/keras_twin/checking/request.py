"""What was typed after ``lossopt twin --check``. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.flags import Flag, parse_flags
from lit_lossopt.core.paths import given_path

STEPS = 20
TOLERANCE = 1e-10
LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss")
OPTIMIZERS = (
    "SGD", "momentum", "Nesterov", "SGD L2", "SGDW", "Adam", "AdamW", "RMSprop", "NAdam", "Adagrad", "Adadelta",
    "Adamax",
)  # fmt: skip
# What the images are called, and their channels and side.
IMAGES: Mapping[str, tuple[int, int]] = {"digits": (1, 8), "colour": (3, 32)}
FLAGS = (
    Flag("--check", "", "train nothing; compare torch and TensorFlow step by step", {"action": "store_true"}),
    Flag("--steps", "N", f"steps of each comparison ({STEPS})", {"type": int, "default": STEPS}),
    Flag("--losses", "LIST", f"of {', '.join(LOSSES)} (all)", {"default": ",".join(LOSSES)}),
    Flag("--optimizers", "LIST", f"of {', '.join(OPTIMIZERS)} (all)", {"default": ",".join(OPTIMIZERS)}),
    Flag("--images", "LIST", "digits of 8×8 pixels, colour images of 32×32 pixels (both)",
         {"default": ",".join(IMAGES)}),
    Flag("--html", "FILE", "the tables as a page, with curves"),
    Flag("--markdown", "FILE", "the tables in Markdown"),
    Flag("--json", "FILE", "every number"),
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A check that is asked for.

    Attributes:
        steps: of each comparison.
        losses: names of losses in torch.
        optimizers: names in ``OPTIMIZERS``.
        images: names in ``IMAGES``.
        page: where the page goes; None: nowhere.
        markdown: where the tables go; None: nowhere.
        numbers: where the JSON goes; None: nowhere.
    """

    steps: int
    losses: tuple[str, ...]
    optimizers: tuple[str, ...]
    images: tuple[str, ...]
    page: Path | None
    markdown: Path | None
    numbers: Path | None


def wants_check(words: Sequence[str]) -> bool:
    """Return whether a check is asked for, and no training."""
    return "--check" in words


def parse(words: Sequence[str]) -> Request:
    """Return what was asked for.

    >>> parse(["--check", "--losses=MSELoss", "--steps=5"]).losses
    ('MSELoss',)

    Raises:
        UserError: something else was typed, or a name that is not known.
    """
    given = parse_flags("twin", words, FLAGS)
    if given.steps < 1:
        raise UserError(f"twin --steps {given.steps}: must be at least 1")
    return Request(
        steps=given.steps,
        losses=_named("losses", given.losses, LOSSES),
        optimizers=_named("optimizers", given.optimizers, OPTIMIZERS),
        images=_named("images", given.images, tuple(IMAGES)),
        page=given_path(given.html) if given.html else None,
        markdown=given_path(given.markdown) if given.markdown else None,
        numbers=given_path(given.json) if given.json else None,
    )


def _named(flag: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    for word in wanted:
        if word not in known:
            raise UserError(f"twin --{flag} {word}{did_you_mean(word, known)}; there are: {', '.join(known)}")
    if not wanted:
        raise UserError(f"twin --{flag}: name at least one of {', '.join(known)}")
    return tuple(name for name in known if name in wanted)
