"""Which optimizers and losses are special cases of others.

A new relation is a new row of ``RELATIONS``. Tests train the exact ones against each other, and check the limits.

Sources: Choi et al. 2019, "On Empirical Comparisons of Optimizers for Deep Learning" (arXiv 1910.05446), inclusion
relations. All rows without a source of their own follow from the definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CHOI = "Choi et al. 2019"


@dataclass(frozen=True)
class Need:
    """What a parameter of the general method must be to give the special one.

    Attributes:
        parameter: of the general method. Of several numbers (``betas``) the first counts.
        value: what it must be.
        like: the special method's parameter that it must equal, in place of ``value``.
        at_least: whether it must reach ``value``, on its way to infinity.
    """

    parameter: str
    value: float = 0.0
    like: str = ""
    at_least: bool = False


@dataclass(frozen=True)
class Relation:
    """One method that contains another.

    Attributes:
        choice: ``optimizer`` or ``criterion``.
        general: class that contains the other. Empty means any class.
        special: the contained class. Empty means the same class.
        case: which case of the general method it is, in words.
        needs: what the general method's parameters must be.
        fixed: what the special method's parameters must be.
        fades: parameters that have no effect in this case.
        limit: whether the special method is only a limit of the general one.
        over: parameter by which the general learning rate is divided to get the special one.
        averaged: whether it is also multiplied by 1 − β₁, since the general method averages gradients.
        source: where the relation is from.
    """

    choice: str
    general: str
    special: str
    case: str
    needs: tuple[Need, ...]
    fixed: Mapping[str, str] = field(default_factory=dict)
    fades: tuple[str, ...] = ()
    limit: bool = False
    over: str = ""
    averaged: bool = False
    source: str = "by definition"

    @property
    def same_class(self) -> bool:
        """Whether both methods are of one class."""
        return self.special in ("", self.general)


# An epsilon of 1 is above the root mean square of nearly all gradients, so that it decides the steps.
_EPSILON = Need("eps", 1.0, at_least=True)
_NO_DECAY = Need("weight_decay")
_LARGE = "the limit of a large epsilon"
_PLAIN = {"momentum": "0", "nesterov": "False"}
_HEAVY_BALL = {"nesterov": "False", "dampening": "0"}

RELATIONS: tuple[Relation, ...] = (
    Relation("optimizer", "", "", "weight decay 0", (_NO_DECAY,), {"weight_decay": "0"}, ("decay_biases",)),
    Relation("optimizer", "AdamW", "Adam", "weight decay 0", (_NO_DECAY,), {"weight_decay": "0"}, ("decay_biases",)),
    Relation("optimizer", "SGDW", "SGD", "weight decay 0", (_NO_DECAY,), {"weight_decay": "0"}, ("decay_biases",)),
    Relation(
        "optimizer", "SGD", "SGD", "momentum 0", (Need("momentum"),), _PLAIN, ("nesterov", "dampening"), source=CHOI
    ),
    Relation("optimizer", "SGDW", "SGDW", "momentum 0", (Need("momentum"),), _PLAIN, ("nesterov",), source=CHOI),
    Relation("optimizer", "RMSprop", "RMSprop", "momentum 0", (Need("momentum"),), {"momentum": "0"}),
    Relation(
        "optimizer", "RMSprop", "SGD", _LARGE, (_EPSILON, Need("momentum", like="momentum")), _HEAVY_BALL,
        ("alpha", "centered"), limit=True, over="eps", source=CHOI,
    ),
    Relation(
        "optimizer", "Adam", "SGD", _LARGE, (_EPSILON, Need("betas", like="momentum")), _HEAVY_BALL,
        ("amsgrad", "beta_2"), limit=True, over="eps", averaged=True, source=CHOI,
    ),
    Relation(
        "optimizer", "AdamW", "SGD", _LARGE, (_EPSILON, Need("betas", like="momentum"), _NO_DECAY),
        {**_HEAVY_BALL, "weight_decay": "0"}, ("amsgrad", "beta_2"), limit=True, over="eps", averaged=True, source=CHOI,
    ),
    # torch warms NAdam's momentum up, the faster the larger its momentum_decay is.
    Relation(
        "optimizer", "NAdam", "SGD", _LARGE,
        (_EPSILON, Need("betas", like="momentum"), Need("momentum_decay", 1.0, at_least=True)),
        {"nesterov": "True", "dampening": "0"}, ("beta_2",), limit=True, over="eps", averaged=True, source=CHOI,
    ),
    Relation(
        "optimizer", "NAdam", "SGD", _LARGE, (_EPSILON, Need("betas")), {**_HEAVY_BALL, "momentum": "0"},
        ("beta_2", "momentum_decay"), limit=True, over="eps", averaged=True, source=CHOI,
    ),
    Relation("criterion", "FocalLoss", "CrossEntropyLoss", "γ = 0", (Need("gamma"),), source="Lin et al. 2017"),
    Relation("criterion", "", "", "label smoothing 0", (Need("label_smoothing"),), {"label_smoothing": "0"}),
    Relation("criterion", "SmoothL1Loss", "L1Loss", "beta 0", (Need("beta"),)),
)  # fmt: skip
