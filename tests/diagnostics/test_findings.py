from __future__ import annotations

import pytest

from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.diagnostics.findings import Facts, Histories, Kind, findings

LAYERS = ("conv1", "conv2", "linear")


def healthy(**changed: list[float]) -> dict[str, tuple[list[int], list[float]]]:
    """Return the histories of a run in which nothing is wrong, some of them replaced (``quantity_layer``)."""
    steps = list(range(1, 13))
    histories = {
        f"{quantity}/{layer}": (steps, [value] * 12)
        for quantity, value in (
            (names.FLOW_GRADIENT, 0.3), (names.FLOW_WEIGHT, 5.0), (names.FLOW_UPDATE, 2e-3), (names.FLOW_LOST, 0.0),
            (names.FLOW_DEAD, 0.3),
        )
        for layer in LAYERS
    }  # fmt: skip
    histories |= {names.LOSS_CHANGE: (steps, [-0.01] * 11 + [0.01]), names.PROBE_LOSS: (steps, [2.3] * 6 + [0.4] * 6)}
    return {**histories, **{name: (steps[: len(values)], values) for name, values in changed.items()}}


def kinds(histories: Histories, **facts: object) -> list[Kind]:
    """Return which kinds are found."""
    return [one.kind for one in findings(histories, Facts("CrossEntropyLoss", LAYERS, **facts))]  # type: ignore[arg-type]


def test_a_healthy_run_has_none_whatever_its_verdict() -> None:
    for verdict in Verdict:
        assert kinds(healthy(), verdict=verdict) == []
    assert kinds({}) == []


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({f"{names.FLOW_GRADIENT}/conv1": [2e-4] * 12}, Kind.VANISHING),
        ({f"{names.FLOW_GRADIENT}/conv1": [0.0] * 12}, Kind.VANISHING),
        ({f"{names.FLOW_GRADIENT}/conv2": [400.0] * 12}, Kind.EXPLODING),
        ({f"{names.FLOW_DEAD}/linear": [0.95] * 12}, Kind.DEAD),
        ({f"{names.FLOW_DEAD}/linear": [0.2] * 4 + [1.0] * 8}, Kind.DYING),
        ({f"{names.FLOW_SATURATED}/conv1": [0.6] * 12}, Kind.SATURATED),
        ({names.LOSS_CHANGE: [-0.1, 0.1, -0.1] * 4}, Kind.OVERSHOOTING),
    ],
)  # fmt: skip
def test_each_rule_at_its_threshold(changed: dict[str, list[float]], kind: Kind) -> None:
    assert kinds(healthy(**changed)) == [kind]


def test_what_explodes_makes_nothing_vanish_and_may_be_the_cause() -> None:
    explodes = healthy(**{f"{names.FLOW_GRADIENT}/conv1": [1e5] * 12})
    assert kinds(explodes, verdict=Verdict.DIVERGED) == [Kind.CAUSE, Kind.EXPLODING]


def test_what_cannot_make_a_run_diverge_is_not_its_cause() -> None:
    vanishes = healthy(**{f"{names.FLOW_GRADIENT}/conv1": [1e-6] * 12})
    assert kinds(vanishes, verdict=Verdict.DIVERGED) == [Kind.VANISHING]
    assert kinds(vanishes, verdict=Verdict.COLLAPSED) == [Kind.CAUSE, Kind.VANISHING]


def test_what_the_loss_learns_is_no_layer_of_the_network() -> None:
    learned = healthy() | {f"{names.FLOW_GRADIENT}/criterion": ([1, 2], [1e-7, 1e-7])}
    assert findings(learned, Facts("Temperature", (*LAYERS, "criterion"))) == []


def test_relus_that_the_first_step_killed_point_to_the_rate() -> None:
    killed = {f"{names.FLOW_DEAD}/linear": [1.0] * 12}
    large = {f"{names.FLOW_UPDATE}/{layer}": [50.0] + [0.0] * 11 for layer in LAYERS}
    found = findings(healthy(**killed, **large), Facts("MSELoss", LAYERS, Verdict.COLLAPSED))
    assert found[0].sentence.endswith("a learning rate that is too high")


def test_updates_of_all_layers_are_joined_by_their_steps() -> None:
    # The others are frozen at first, and begin when the head has moved.
    late = {
        f"{quantity}/{layer}": ([9, 12], values)
        for layer in LAYERS[:2]
        for quantity, values in ((names.FLOW_UPDATE, [0.01, 0.01]), (names.FLOW_WEIGHT, [5.0, 5.0]))
    }
    head = healthy(**{f"{names.FLOW_UPDATE}/linear": [3.0] + [0.01] * 11}) | late
    assert kinds(head) == [Kind.LARGE_UPDATES]


def test_changes_that_rounding_makes_are_no_overshoot() -> None:
    assert kinds(healthy(**{names.LOSS_CHANGE: [1e-9] * 12})) == []


def test_small_updates_are_none_where_the_run_has_learned() -> None:
    small = {f"{names.FLOW_UPDATE}/{layer}": [1e-4] * 12 for layer in LAYERS}
    assert kinds(healthy(**small)) == []
    assert kinds(healthy(**small, **{names.PROBE_LOSS: [2.3] * 11 + [2.25]})) == [Kind.SMALL_UPDATES]
    # Where another cause is known, a higher rate is no advice.
    dead = {f"{names.FLOW_DEAD}/conv1": [1.0] * 12}
    assert kinds(healthy(**small, **dead, **{names.PROBE_LOSS: [2.3] * 12})) == [Kind.DEAD]
    # Without the probe nobody knows.
    assert kinds(healthy(**small, **{names.PROBE_LOSS: []})) == []


def test_a_layer_of_tiny_weights_may_move_by_more_than_its_size() -> None:
    scale = {f"{names.FLOW_WEIGHT}/conv1": [1e-6] * 12, f"{names.FLOW_UPDATE}/conv1": [1000.0] * 12}
    assert kinds(healthy(**scale)) == []
    born_zero = {f"{names.FLOW_WEIGHT}/conv1": [0.0] * 12, f"{names.FLOW_UPDATE}/conv1": [float("nan")] * 12}
    assert kinds(healthy(**born_zero)) == []
    large = {f"{names.FLOW_UPDATE}/{layer}": [1.5] + [0.01] * 11 for layer in LAYERS}
    assert kinds(healthy(**large)) == [Kind.LARGE_UPDATES]


def test_steps_that_raise_their_loss_are_counted_only_where_they_are_enough() -> None:
    assert kinds(healthy(**{names.LOSS_CHANGE: [0.1] * 7})) == []
    assert kinds(healthy(**{names.LOSS_CHANGE: [0.1] * 8})) == [Kind.OVERSHOOTING]
    # A run that diverges ends before it has many.
    assert kinds(healthy(**{names.LOSS_CHANGE: [0.1]}), verdict=Verdict.DIVERGED) == [Kind.CAUSE, Kind.OVERSHOOTING]


def test_digits_are_lost_in_half_precision_alone() -> None:
    lost = {f"{names.FLOW_LOST}/{layer}": [0.99] * 12 for layer in LAYERS}
    assert kinds(healthy(**lost)) == []
    assert kinds(healthy(**lost), half=True) == [Kind.LOST_DIGITS]
    assert kinds(healthy(**{f"{names.FLOW_LOST}/conv1": [1.0] * 12}), half=True) == []


def test_a_squared_error_behind_a_softmax_that_learns_may_become_sure() -> None:
    learned = {f"{names.FLOW_SOFTMAX}/linear": [0.0] * 3 + [0.9] * 9}
    early = {f"{names.FLOW_SOFTMAX}/linear": [0.8] * 12}
    squared, other = Facts("MSELoss", LAYERS), Facts("CrossEntropyLoss", LAYERS)
    assert findings(healthy(**learned), squared) == []
    assert [one.kind for one in findings(healthy(**early), squared)] == [Kind.SATURATED_SOFTMAX]
    assert findings(healthy(**early), other) == []
    collapsed = Facts("MSELoss", LAYERS, Verdict.COLLAPSED)
    assert findings(healthy(**learned), collapsed)[0].sentence.endswith("the likely cause is a saturated squared error")


def test_the_most_telling_cause_is_named_first() -> None:
    died = {f"{names.FLOW_DEAD}/linear": [0.2] + [1.0] * 11, f"{names.FLOW_GRADIENT}/conv1": [0.0] * 12}
    found = findings(healthy(**died), Facts("MSELoss", LAYERS, Verdict.COLLAPSED))
    assert found[0].sentence == "the run collapsed; the likely cause is a learning rate that is too high"
    assert {one.kind for one in found} == {Kind.CAUSE, Kind.DYING, Kind.VANISHING}
