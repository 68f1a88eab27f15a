"""What the diagnostics of a run say of it, in words.

Their histories come in, sentences go out. Every rule has one threshold, here and in docs/diagnostics.md, and is far
from what healthy runs show. Nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import hypot, isfinite
from statistics import median

from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import per_cent, significant

Histories = Mapping[str, tuple[Sequence[int], Sequence[float]]]

# What a loss learns itself, as a layer.
CRITERION = "criterion"
# A layer's gradient, as a share of the largest one of the layers behind it. Healthy runs of MiniCNN show 0.17 and more.
VANISHING = 1e-3
# A layer's gradient, as a multiple of the last layer's.
EXPLODING = 1e3
# Share of units. Healthy runs of MiniCNN show up to 0.45.
DEAD = 0.9
SATURATED = 0.5
# ‖Δw‖ / ‖w‖ of the layer that moves most: median of the first quarter of the run. Healthy runs show 1e-3 and more.
SMALL_UPDATE = 8e-4
# A run whose probe loss fell by a larger share has learned, however small its updates are.
LEARNED = 0.1
# ‖Δw‖ / ‖w‖ of all layers together, at the step that moves most. Healthy runs of RMSprop begin with 0.3.
LARGE_UPDATE = 1.0
# Share of steps after which their own batch's loss is higher. Healthy runs show up to an eighth. So many steps are
# needed, but for a run that has diverged, which ends early.
OVERSHOOTING, FEWEST_STEPS = 1 / 3, 8
# Changes of a loss that rounding makes.
ROUNDING = 1e-6
# Share of the weights that updates leave as they were.
LOST_DIGITS = 0.95


class Kind(StrEnum):
    """What can be found."""

    VANISHING = "vanishing gradients"
    EXPLODING = "exploding gradients"
    DEAD = "dead ReLUs"
    DYING = "ReLUs that die"
    SATURATED = "saturated activations"
    SATURATED_SOFTMAX = "saturated softmax"
    SMALL_UPDATES = "updates too small"
    LARGE_UPDATES = "updates too large"
    OVERSHOOTING = "overshooting steps"
    LOST_DIGITS = "lost digits"
    CAUSE = "cause of the run's end"


@dataclass(frozen=True)
class Finding:
    """Something that explains how a run behaves.

    Attributes:
        kind: which rule it follows from.
        sentence: what was seen, in words, with the number that decided.
    """

    kind: Kind
    sentence: str


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside its diagnostics.

    Attributes:
        criterion: the class of its loss.
        layers: their names, from the images to the outputs.
        verdict: how it ended.
        half: whether its weights have 16 bits.
    """

    criterion: str
    layers: tuple[str, ...]
    verdict: Verdict = Verdict.COMPLETED
    half: bool = False

    @property
    def network(self) -> tuple[str, ...]:
        """The layers without what the loss learns itself, whose gradients have a size of their own."""
        return tuple(layer for layer in self.layers if layer != CRITERION)


def findings(histories: Histories, facts: Facts) -> list[Finding]:
    """Return what was found, the cause of a collapse or divergence first.

    >>> found = findings({"flow/dead/conv1": ([1, 2], [1.0, 1.0])}, Facts("MSELoss", ("conv1",)))
    >>> found[0].sentence
    'dead ReLUs: 100 % of the units behind conv1 are zero for every example'
    """
    found = [finding for rule in RULES for finding in rule(histories, facts)]
    # Where something else stops the gradients, a higher rate would not help.
    if any(finding.kind in _STOPPING for finding in found):
        found = [finding for finding in found if finding.kind is not Kind.SMALL_UPDATES]
    kinds = {finding.kind for finding in found}
    cause = next((words for kind, words in _CAUSES.get(facts.verdict, {}).items() if kind in kinds), None)
    if cause:
        return [Finding(Kind.CAUSE, f"the run {facts.verdict}; the likely cause is {cause}"), *found]
    return found


def _vanishing(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for layers that hardly any gradient reaches from the layers behind them."""
    sizes = _by_layer(histories, names.FLOW_GRADIENT, facts.network)
    below: dict[str, float] = {}
    last = behind = next(reversed(sizes.values()), 0.0)
    for name, size in reversed(sizes.items()):
        if size < VANISHING * behind:
            below[name] = size / behind
        # Beside a layer that explodes the others are small, and do not vanish.
        if not last or size <= EXPLODING * last:
            behind = max(behind, size)
    if below:
        share = min(below.values())
        left = f"they are down to {significant(share)} of those behind it" if share else "nothing is left of them"
        yield Finding(Kind.VANISHING, f"gradients vanish at {_listed(list(reversed(below)))}: {left}")


def _exploding(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for layers whose gradient is much larger than the last layer's."""
    sizes = _by_layer(histories, names.FLOW_GRADIENT, facts.network)
    last = next(reversed(sizes.values()), 0.0)
    above = [name for name, size in sizes.items() if last and size > EXPLODING * last]
    if above:
        times = max(sizes[name] for name in above) / last
        yield Finding(
            Kind.EXPLODING,
            f"gradients explode towards {_listed(above)}: they are up to {significant(times)} times the last layer's",
        )


def _dead(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for layers of which nearly all ReLUs are zero, and whether they were so from the start."""
    shares = _by_layer(histories, names.FLOW_DEAD, facts.layers, _late)
    for name, share in shares.items():
        first = _finite(histories, f"{names.FLOW_DEAD}/{name}")[0]
        units = f"{per_cent(share)} of the units behind {name} are zero for every example"
        if share >= DEAD > first:
            yield Finding(Kind.DYING, f"ReLUs died in training: {units}, and at first {per_cent(first)} were")
        elif share >= DEAD:
            yield Finding(Kind.DEAD, f"dead ReLUs: {units}")


def _saturated(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for layers of which most activations are flat."""
    for name, share in _by_layer(histories, names.FLOW_SATURATED, facts.layers).items():
        if share >= SATURATED:
            yield Finding(Kind.SATURATED, f"saturated: {per_cent(share)} of the activations behind {name} are flat")


def _saturated_softmax(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for a squared error behind a softmax that is sure of itself before it has learned."""
    # Its own at the end, not those of an attention.
    for name in facts.network[-1:]:
        values = _finite(histories, f"{names.FLOW_SOFTMAX}/{name}")
        early = bool(values) and (
            values[0] >= SATURATED or (facts.verdict == Verdict.COLLAPSED and median(values) >= SATURATED)
        )
        if early and "MSE" in facts.criterion:
            share = per_cent(max(values[0], median(values)))
            yield Finding(
                Kind.SATURATED_SOFTMAX,
                f"a squared error behind a softmax has hardly any slope: {share} of examples have a class above 97 %",
            )


def _small_updates(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for updates that are too small for the weights, in a run that does not learn."""
    moves = _by_layer(histories, names.FLOW_UPDATE, facts.layers, _early)
    if not moves:
        return
    most = max(moves.values())
    probe = _finite(histories, names.PROBE_LOSS)
    learned = bool(probe) and probe[0] > 0 and min(probe) < (1 - LEARNED) * probe[0]
    if most < SMALL_UPDATE and probe and not learned:
        yield Finding(
            Kind.SMALL_UPDATES,
            "updates are too small for the weights: in the first quarter of the run no layer moves by more than "
            f"{significant(most)} of its size, in the median; the learning rate may be too low",
        )


def _large_updates(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for a step that moves all weights together by more than their size."""
    most = max(filter(isfinite, _moves_together(histories, facts)), default=0.0)
    if most > LARGE_UPDATE:
        yield Finding(
            Kind.LARGE_UPDATES,
            f"updates are too large: a step moved the weights by {significant(most)} times their own size; "
            "the learning rate may be too high",
        )


def _moves_together(histories: Histories, facts: Facts) -> list[float]:
    """Return ‖Δw‖ / ‖w‖ of all layers together, for each measured step."""
    layers: dict[int, list[tuple[float, float]]] = {}
    for name in facts.network:
        sizes = dict(zip(*histories.get(f"{names.FLOW_WEIGHT}/{name}", ((), ())), strict=True))
        for step, ratio in zip(*histories.get(f"{names.FLOW_UPDATE}/{name}", ((), ())), strict=True):
            if isfinite(ratio) and step in sizes:
                layers.setdefault(step, []).append((ratio * sizes[step], sizes[step]))
    return [
        hypot(*(moved for moved, _ in own)) / hypot(*(size for _, size in own))
        for own in layers.values()
        if any(size > 0 for _, size in own)
    ]


def _overshooting(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for steps that raise the loss of their own batch time and again."""
    changes = _finite(histories, names.LOSS_CHANGE)
    above = sum(change > ROUNDING for change in changes)
    enough = len(changes) >= (1 if facts.verdict == Verdict.DIVERGED else FEWEST_STEPS)
    if enough and above >= OVERSHOOTING * len(changes):
        yield Finding(
            Kind.OVERSHOOTING,
            f"steps overshoot: {above} of {len(changes)} measured steps raised the loss of their own batch",
        )


def _lost_digits(histories: Histories, facts: Facts) -> Iterator[Finding]:
    """Look for updates that half precision cannot hold."""
    shares = _by_layer(histories, names.FLOW_LOST, facts.layers)
    if facts.half and shares and median(shares.values()) >= LOST_DIGITS:
        share = per_cent(median(shares.values()))
        yield Finding(
            Kind.LOST_DIGITS,
            f"half precision loses the updates: {share} of the weights with a gradient stay as they were; keep them in "
            "32 bits (--trainer.precision=bf16-mixed)",
        )


Rule = Callable[[Histories, Facts], Iterator[Finding]]
# A new rule is one function, one row here, one row of the table in docs/diagnostics.md, and a test that provokes it.
RULES: tuple[Rule, ...] = (
    _dead, _saturated_softmax, _vanishing, _exploding, _saturated, _lost_digits, _overshooting, _large_updates,
    _small_updates,
)  # fmt: skip
_STOPPING = (Kind.VANISHING, Kind.DEAD, Kind.DYING, Kind.SATURATED_SOFTMAX, Kind.SATURATED, Kind.LOST_DIGITS)
_TOO_HIGH = "a learning rate that is too high"
# What may explain how a run ended, the most telling first, and in what words. ReLUs are seen behind the first step,
# which may have killed them. So a step that is far too large comes before them.
_CAUSES: Mapping[Verdict, Mapping[Kind, str]] = {
    Verdict.DIVERGED: {
        Kind.LARGE_UPDATES: _TOO_HIGH,
        Kind.OVERSHOOTING: _TOO_HIGH,
        Kind.DYING: _TOO_HIGH,
        Kind.EXPLODING: "gradients that explode",
        Kind.LOST_DIGITS: "the digits that half precision loses",
    },
    Verdict.COLLAPSED: {
        Kind.DYING: _TOO_HIGH,
        Kind.LARGE_UPDATES: _TOO_HIGH,
        Kind.OVERSHOOTING: _TOO_HIGH,
        Kind.SATURATED_SOFTMAX: "a saturated squared error",
        Kind.DEAD: "ReLUs that were dead from the start",
        Kind.LOST_DIGITS: "the digits that half precision loses",
        Kind.EXPLODING: "gradients that explode",
        Kind.VANISHING: "gradients that vanish",
        Kind.SATURATED: "saturated activations",
        Kind.SMALL_UPDATES: "a learning rate that is too low",
    },
}


def _finite(histories: Histories, name: str) -> list[float]:
    return [value for value in histories.get(name, ((), ()))[1] if isfinite(value)]


def _whole(values: list[float]) -> list[float]:
    return values


def _early(values: list[float]) -> list[float]:
    """Return the first quarter, in which a run has the most to learn."""
    return values[: max(1, len(values) // 4)]


def _late(values: list[float]) -> list[float]:
    """Return the second half."""
    return values[len(values) // 2 :]


def _by_layer(
    histories: Histories, name: str, layers: Sequence[str], part: Callable[[list[float]], list[float]] = _whole
) -> dict[str, float]:
    """Return layer → median of a quantity, for the layers that have it."""
    known = {layer: _finite(histories, f"{name}/{layer}") for layer in layers}
    return {layer: median(part(values)) for layer, values in known.items() if values}


def _listed(layers: Sequence[str]) -> str:
    if len(layers) < 3:
        return " and ".join(layers)
    return f"{len(layers)} layers from {layers[0]} to {layers[-1]}"
