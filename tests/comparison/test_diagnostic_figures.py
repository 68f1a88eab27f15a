from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.sample_comparison import LAYERS, comparison
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.measures.diagnostics import by_layer, findings_of, findings_of_arm, median_at
from lit_lossopt.comparison.report.diagnostic_figures import gradient_flow, stability, step_geometry, update_ratio
from lit_lossopt.comparison.report.verdict.answer import reasons
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run


def run(tags: dict[str, str] | None = None, **histories: dict[int, float]) -> Run:
    """Return a run with these histories; ``__`` stands for a slash."""
    made = {
        name.replace("__", "/"): History(np.array(list(points)), np.array(list(points.values())))
        for name, points in histories.items()
    }
    return Run("0", "one", "FINISHED", {}, tags or {}, {}, histories=made)


def changed(made: Comparison, place: int, name: str, history: History | None) -> Comparison:
    """Return the comparison with another history in every run of an arm, or without one."""
    arm = made.arms[place]
    trials = []
    for trial in arm.trials:
        histories = {key: one for key, one in trial.run.histories.items() if key != name}
        trials.append(
            replace(trial, run=replace(trial.run, histories={**histories, **({name: history} if history else {})}))
        )
    arms = list(made.arms)
    arms[place] = replace(arm, trials=tuple(trials))
    return replace(made, arms=tuple(arms))


def test_layers_stand_in_the_order_of_their_network_and_without_it_by_name() -> None:
    flow: Any = {f"flow__grad_norm__{layer}": {1: 1.0} for layer in ("b", "c", "a")}
    assert by_layer([run(**flow)], names.FLOW_GRADIENT).layers == ("a", "b", "c")
    told = run({names.TAG_LAYERS: json.dumps(["c", "a", "x"])}, **flow)
    assert by_layer([told], names.FLOW_GRADIENT).layers == ("c", "a", "b")
    assert by_layer([run({names.TAG_LAYERS: "no json"}, **flow)], names.FLOW_GRADIENT).layers == ("a", "b", "c")


def test_each_colour_is_the_median_of_the_runs_that_measured_it() -> None:
    runs = [run(flow__grad_norm__a={1: 1.0, 5: 2.0}), run(flow__grad_norm__a={1: 3.0}), run(), run(other={1: 7.0})]
    found = by_layer(runs, names.FLOW_GRADIENT)
    assert found.steps.tolist() == [1, 5]
    assert found.values.tolist() == [[2.0, 2.0]]
    unknown = median_at(runs, "flow/grad_norm/a", np.array([1.0, 3.0, 5.0]))
    assert np.array_equal(unknown, [2.0, np.nan, 2.0], equal_nan=True)


def test_all_arms_share_one_scale_and_the_first_layers_are_at_the_bottom() -> None:
    figure = gradient_flow(comparison())
    assert figure is not None
    heats = [panel.heat for panel in figure.panels]
    assert len({heat.ends for heat in heats if heat}) == 1
    for heat in heats:
        assert heat is not None
        assert heat.rows == LAYERS
        assert heat.ends[0] <= np.nanmin(heat.values)
        assert np.nanmax(heat.values) <= heat.ends[1]
    assert "least at conv1" in figure.conclusion


def test_a_layer_without_any_gradient_is_named() -> None:
    steps = np.array([1, 60, 119])
    dead = changed(comparison(), 0, "flow/grad_norm/conv1", History(steps, np.zeros(3)))
    figure = gradient_flow(dead)
    assert figure is not None
    assert f"In {dead.arms[0].name} it is 0 at conv1." in figure.conclusion


def test_what_was_not_measured_has_no_figure() -> None:
    bare = comparison(arms=2)
    for place in range(2):
        for name in list(bare.arms[place].trials[0].run.histories):
            bare = changed(bare, place, name, None)
    assert [make(bare) for make in (gradient_flow, update_ratio, step_geometry, stability)] == [None] * 4


def test_alphas_far_beyond_are_there_and_not_shown_at_first() -> None:
    steps = np.array([1, 2, 3])
    figure = step_geometry(changed(comparison(), 0, names.ALPHA, History(steps, np.array([0.0, 10.0, np.nan]))))
    assert figure is not None
    (panel,) = figure.panels
    assert panel.y_range == (-1.1, 2.0)
    assert max(np.nanmax(line.y) for line in panel.lines) == 10
    assert not panel.y_log


def test_the_edge_is_marked_where_a_needle_is_known() -> None:
    figure = stability(comparison())
    assert figure is not None
    assert [panel.y_label for panel in figure.panels] == ["stability needle", "sharpness λ"]
    assert figure.panels[0].marks[0].start[1] == 1


@pytest.mark.parametrize("tag", ["", "no json", "7", '["one", "two"]', '{"kind": 1}', "null"])
def test_a_tag_of_another_program_is_no_finding(tag: str) -> None:
    # Words of three letters would unpack into three.
    assert findings_of(run({names.TAG_FINDINGS: tag})) == []


def test_findings_of_an_arm_are_counted_over_its_runs() -> None:
    first = {names.TAG_FINDINGS: json.dumps([["cause", "it diverged"], ["dead", "behind a"], ["dead", "behind b"]])}
    second = {names.TAG_FINDINGS: json.dumps([["dead", "behind c"]])}
    # One more found nothing, and another one was not measured.
    found = findings_of_arm([run(first), run(second), run({names.TAG_FINDINGS: "[]"}), run()])
    assert [(one.kind, one.runs, one.of, one.sentence) for one in found] == [
        ("dead", 2, 3, "behind a"),
        ("cause", 1, 3, "it diverged"),
    ]
    made = comparison(arms=2, seeds=2)
    trials = made.arms[0].trials
    told = replace(made.arms[0], trials=(replace(trials[0], run=replace(trials[0].run, tags=first)), trials[1]))
    said = f"Diagnostics of {told.name}: it diverged. Also: behind a."
    assert reasons(replace(made, arms=(told, made.arms[1]))) == [said]
