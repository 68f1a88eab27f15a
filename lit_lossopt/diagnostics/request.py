"""Which diagnostics a person asks for, and when they are measured.

The text of ``--diagnostics`` comes in: a bundle, quantities, or several joined by commas, each with its moments behind
an ``@``. Nothing heavy is imported for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.diagnostics.schedule import Moments, parse_moments

_SPREAD = (Moments("spread"),)
_EACH = (Moments("every", 1),)
# Quantity → when it is measured, unless something else is asked for, and what it is.
QUANTITIES: Mapping[str, tuple[tuple[Moments, ...], str]] = {
    "norm": (_EACH, "norm of the whole gradient"),
    "flow": (_SPREAD, "by layer: gradient norm, weight norm, update ratio, lost digits"),
    "activations": (_SPREAD, "by layer: dead ReLUs, saturated activations"),
    "alpha": (_SPREAD, "where a step ends on its own batch, and by how much it changes that loss"),
    "cosine": (_SPREAD, "angle between consecutive updates"),
    "noise": (_SPREAD, "gradient noise scale, from the halves of a batch"),
    "sharpness": (_SPREAD, "largest eigenvalue of the Hessian, and the stability needle"),
    "layer-sharpness": (_SPREAD, "largest eigenvalue of each layer's block of the Hessian"),
    "trajectory": ((Moments("log", 12), Moments("spread", 12)), "snapshots of the weights"),
}
BUNDLES: Mapping[str, tuple[str, ...]] = {
    "off": (),
    # The gradient is read from memory for its norm, which takes up to a fiftieth of a step.
    "default": ("norm@every:10", "flow", "activations", "alpha"),
    "full": ("norm", "flow", "activations", "alpha", "cosine", "noise", "sharpness", "trajectory"),
}
Request = Mapping[str, tuple[Moments, ...]]


def parse_request(text: str | bool) -> Request:
    """Return quantity → when it is measured.

    >>> sorted(parse_request("default"))
    ['activations', 'alpha', 'flow', 'norm']
    >>> parse_request("flow@every:10")
    {'flow': (Moments(kind='every', count=10),)}

    Args:
        text: as typed. YAML reads ``off`` as false.

    Raises:
        UserError: a word names nothing.
    """
    spelled = {"False": "off", "True": "default"}.get(str(text).capitalize(), str(text))
    request: dict[str, tuple[Moments, ...]] = {}
    for word in spelled.replace(" ", "").split(","):
        name, at, moments = word.partition("@")
        asked = BUNDLES.get(name, (name,))
        for member in asked:
            quantity, _, usual = member.partition("@")
            if quantity not in QUANTITIES:
                known = (*BUNDLES, *QUANTITIES)
                raise UserError(
                    f"diagnostics={spelled}: there is no {name!r}{did_you_mean(name, known)}; there are: "
                    f"{', '.join(known)}"
                )
            given = moments if at else usual
            request[quantity] = parse_moments(given, spelled) if at or usual else QUANTITIES[quantity][0]
    return request
