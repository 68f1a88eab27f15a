"""What can be measured of a step.

A new quantity is one function here, one row of ``MEASURES``, and one row of ``request.QUANTITIES``. Its formula is a
pure function in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import torch
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.diagnostics.gradient_flow import lost_digits, norm, update_ratio
from lit_lossopt.diagnostics.noise_scale import noise_and_signal
from lit_lossopt.diagnostics.sharpness import Eigenvalue, Product, hessian_product, largest_eigenvalue
from lit_lossopt.diagnostics.stability import stability_of
from lit_lossopt.diagnostics.step_geometry import alpha, slope_along
from lit_lossopt.diagnostics.step_view import StepView

Values = Iterator[tuple[str, Tensor | float]]


def flow(view: StepView) -> Values:
    """Yield each layer's norms, update ratio and lost digits."""
    gradients, before = dict(view.by_layer(view.gradients)), dict(view.by_layer(view.before))
    for name, own in view.layers.items():
        # A layer that the loss does not depend on has no gradient that could vanish.
        if name not in view.idle:
            yield f"{names.FLOW_GRADIENT}/{name}", norm(gradients[name])
            yield f"{names.FLOW_LOST}/{name}", lost_digits(gradients[name], before[name], own)
        yield f"{names.FLOW_WEIGHT}/{name}", norm(before[name])
        yield f"{names.FLOW_UPDATE}/{name}", update_ratio(before[name], own)


def activations(view: StepView) -> Values:
    """Yield the share of idle units behind each layer, with the weights behind the step."""
    for (quantity, layer), share in view.behind.shares.items():
        yield f"{names.FLOW}/{quantity}/{layer}", share


def step_alpha(view: StepView) -> Values:
    """Yield α of the step, and how much the step changes the loss of its own batch."""
    behind = view.behind
    slopes = (
        view.missing * slope_along(view.gradients, view.update, view.length),
        slope_along(behind.gradients, view.update, view.length),
    )
    yield names.ALPHA, alpha((view.loss, behind.loss), slopes, view.length)
    yield names.LOSS_CHANGE, behind.loss - view.loss


def noise(view: StepView) -> Values:
    """Yield the two parts of the gradient noise scale, with the weights behind the step."""
    with closing(view.halves()) as losses:
        halves = [view.gradients_of(loss) for loss in losses]
    if halves:
        trace, square = noise_and_signal(halves[0], halves[1], view.batch_size)
        yield names.NOISE_TRACE, trace
        yield names.GRADIENT_SQUARE, square


def sharpness(view: StepView) -> Values:
    """Yield the largest eigenvalue of the Hessian with its residual, and the stability needle where it is known."""
    used = view.used_parameters
    with torch.enable_grad():
        product = hessian_product(view.fixed_loss(), used)
    start = view.start(sum(parameter.numel() for parameter in used))
    found = largest_eigenvalue(product, start)
    yield names.SHARPNESS, found.value
    yield names.SHARPNESS_RESIDUAL, found.residual
    yield from _needle(view, product, start, found)


def _needle(view: StepView, product: Product, start: Tensor, found: Eigenvalue) -> Values:
    """Yield the stability needle and its residual, if the optimizer's edge is known."""
    stability = stability_of(view.optimizer, view.used_parameters)
    if stability is not None:
        needle = stability.needle(found.value)
        if needle is None:
            found = largest_eigenvalue(stability.product(product, view.used_parameters), start)
            needle = found.value / stability.edge
        yield names.NEEDLE, needle
        yield names.NEEDLE_RESIDUAL, found.residual


def layer_sharpness(view: StepView) -> Values:
    """Yield the largest eigenvalue of each layer's block of the Hessian."""
    for name, own in view.layers.items():
        with torch.enable_grad():
            product = hessian_product(view.fixed_loss(), own)
        found = largest_eigenvalue(product, view.start(sum(parameter.numel() for parameter in own)))
        yield f"{names.SHARPNESS}/{name}", found.value


# Quantity → what measures it around a step. The others (``norm``, ``cosine``, ``trajectory``) are not of one step.
MEASURES: Mapping[str, Callable[[StepView], Values]] = {
    "flow": flow,
    "activations": activations,
    "alpha": step_alpha,
    "noise": noise,
    "sharpness": sharpness,
    "layer-sharpness": layer_sharpness,
}
# They compute the step's batch, or other images, anew, which several devices would have to do together.
ANEW = ("activations", "alpha", "noise", "sharpness", "layer-sharpness")
