"""Arms that begin from other arms: what a plan may say, in which order trials run, and what is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.plan.arms import arms as arms_of
from lit_lossopt.sweeps.plan.key import fingerprint
from lit_lossopt.sweeps.plan.points import LEARNING_RATE
from lit_lossopt.sweeps.plan.trials import check_plan, make_trial
from lit_lossopt.sweeps.protocol import Sweep
from lit_lossopt.sweeps.protocol import begin as begin_sweep
from lit_lossopt.sweeps.trial import with_trunks
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.tracking.sweeps import SweepRuns
from tests.support.plans import CurveEngine, plan, write_plan

pytestmark = pytest.mark.usefixtures("store")

BASE = {"data": "DigitsDataModule", "trainer.max_epochs": 2, "data.batch_size": 160, "diagnostics": "off"}
ADAM, MOMENTUM = {"config": "adam", **BASE}, {"config": "sgd_momentum", **BASE}


def levels(**arms: Any) -> dict[str, Any]:
    return {"base": {}, "factors": {"optimizer": arms}, "learning_rates": None, "protocol": "grid", "seeds": 2}


SWITCH = levels(adam=ADAM, switch={**MOMENTUM, "start": {"arm": "adam", "step": 5}})


def runs(experiment: str = "plan") -> list[Run]:
    found = read_runs(experiment, metrics=[names.TRAIN_LOSS, "val/accuracy"])
    return [run for run in found if names.TAG_SWEEP_KEY in run.tags]


def losses(run: Run) -> np.ndarray:
    return run.histories[names.TRAIN_LOSS].values


def test_an_arm_begins_from_the_run_of_another_arm_with_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(SWITCH)
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("grid adam seed=1: ") < shown.index("2 grid trials that begin from others to run")
    assert "switch lr=0.01 goes on from 5 steps of adam lr=0.001" in shown
    by_arm = {(run.tags[names.TAG_SWEEP_ARM], run.tags[names.TAG_SEED]): run for run in runs()}
    assert len(by_arm) == 4
    for seed in ("0", "1"):
        trunk, branch = by_arm["adam", seed], by_arm["switch", seed]
        assert branch.tags[names.TAG_BRANCH] == f"{trunk.run_id}@5"
        np.testing.assert_array_equal(losses(trunk)[:6], losses(branch)[:6])
        assert (losses(trunk)[7:] != losses(branch)[7:]).all()
    # Nothing is trained twice, and not even where the kept states are gone.
    for path in Path("mlruns").rglob("step-5.ckpt"):
        path.unlink()
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    assert "2 grid trials: 2 are done, 0 to run" in capsys.readouterr().out
    assert len(runs()) == 4
    # One more seed needs its own trunk; a trunk whose state is gone is trained again for the branch that lacks it.
    write_plan({**SWITCH, "seeds": 3})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    assert len(runs()) == 6


def test_a_trunk_that_has_not_kept_its_state_is_trained_again() -> None:
    write_plan(levels(adam=ADAM, momentum=MOMENTUM) | {"seeds": 1})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    write_plan({**SWITCH, "seeds": 1})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    arms = [run.tags[names.TAG_SWEEP_ARM] for run in runs()]
    assert sorted(arms) == ["adam", "adam", "momentum", "switch"]
    counted = [run for run in runs() if run.tags[names.TAG_PHASE] != names.ASIDE]
    assert sorted(run.tags[names.TAG_SWEEP_ARM] for run in counted) == ["adam", "switch"]


def test_trunks_are_trained_and_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    other = {**ADAM, "data.classes": ["0", "1", "2"], "trainer.max_epochs": 1}
    two = {**ADAM, "data.classes": ["3", "4"], "data.batch_size": 32}
    start = {"start": {"arm": "three", "take": "weights"}}
    content = levels(frozen={**two, **start, "model.frozen_epochs": 2}, alike={**two, **start}, scratch=two)
    write_plan({**content, "trunks": {"three": other}})
    assert main(["sweep", "--config", "plan.yaml", "--dry-run"]) == 0
    assert "8 trials: 6 grid trials, 2 from which others begin" in capsys.readouterr().out
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 grid and 2 trunk trials to run" in shown
    assert "Left out, trained for branches only: adam lr=0.001 CrossEntropyLoss batch_size=160 seed=" in shown
    assert "begin with the weights of 2 steps of adam lr=0.001 CrossEntropyLoss batch_size=160 classes=0,1,2" in shown
    assert {run.tags[names.TAG_PHASE] for run in runs()} == {"grid", names.TRUNK}
    keys = {run.params["weights"] for run in runs() if "weights" in run.params}
    assert keys == {"2 steps of adam lr=0.001 CrossEntropyLoss batch_size=160 classes=0,1,2"}
    assert len({run.params.get("data.classes") for run in runs()}) == 2


@pytest.mark.slow
def test_where_rates_are_searched_a_trunk_has_one() -> None:
    start = {"start": {"arm": "begin", "step": 5}}
    content = levels(adam=ADAM, switch={**MOMENTUM, **start})
    search = {"learning_rates": {"from": 0.001, "to": 0.01, "points": 2}, "protocol": None, "extend": 0, "seeds": 1}
    write_plan({**content, **search, "trunks": {"begin": ADAM}})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    phases = sorted((run.tags[names.TAG_PHASE], run.tags[names.TAG_SWEEP_ARM]) for run in runs())
    # Where the plan's own arm is the same training as a trunk, it is trained once.
    assert phases.count(("tuning", "switch")) == 2
    assert len([phase for phase in phases if phase[0] == "repeat"]) == 2
    branches = [run for run in runs() if run.tags[names.TAG_SWEEP_ARM] == "switch"]
    assert len({run.tags[names.TAG_BRANCH] for run in branches}) == 2


def test_a_trunk_that_diverges_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    wild = {**ADAM, "model.optimizer": "SGD", "model.optimizer.lr": 1e9}
    write_plan({**levels(wild=wild, calm=ADAM, switch={**ADAM, "start": {"arm": "wild", "step": 12}}), "seeds": 1})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 1
    assert "grid switch seed=0: it begins from grid wild seed=0, which diverged before that" in capsys.readouterr().out


def test_trials_of_a_chain_stand_in_their_order() -> None:
    chain = levels(
        third={**ADAM, "start": {"arm": "second", "step": 9}},
        second={**MOMENTUM, "start": {"arm": "first", "step": 4}},
        first=ADAM,
    )
    trials = with_trunks(check_plan(plan(**{**chain, "seeds": 1})))
    assert [trial.arm for trial in trials] == ["first", "second", "third"]
    assert f"--branch={trials[1].key}@9" in trials[2].words
    assert len({trial.key for trial in trials}) == 3


def test_the_key_of_a_branch_depends_on_its_trunk() -> None:
    def key(rate: float) -> str:
        content = levels(adam={**ADAM, "model.optimizer.lr": rate}, switch=SWITCH["factors"]["optimizer"]["switch"])
        read = plan(**content)
        return make_trial(read, arms_of(read)[1], {}, 0, "grid").key

    assert key(0.001) == key(0.001) != key(0.002)


@pytest.mark.parametrize(
    ("arms", "more", "said"),
    [
        ({"switch": {"start": {"arm": "adm", "step": 5}}}, {}, "no such arm (did you mean 'adam'?); there are: adam"),
        ({"switch": {"start": {"arm": "switch", "step": 5}}}, {}, "switch begin from each other"),
        (
            {"one": {"start": {"arm": "two", "step": 5}}, "two": {"start": {"arm": "one", "step": 5}}},
            {},
            "begin from each other; one must begin from scratch",
        ),
        ({"switch": {"start": {"arm": "adam"}}}, {}, "start.step=nothing: expected a whole number from 1"),
        ({"switch": {"start": {"arm": "adam", "step": 0}}}, {}, "start.step=0: expected a whole number from 1"),
        ({"switch": {"start": {"arm": "adam", "stp": 3}}}, {}, "stp: no such key (did you mean 'step'?)"),
        ({"switch": {"start": {"arm": "adam", "take": "weights", "step": 3}}}, {}, "takes those of the end"),
        ({"switch": {"start": {"arm": "adam", "take": "wieghts"}}}, {}, "expected state or weights (did you mean"),
        ({"switch": {"branch": "adam@5"}}, {}, "write it as start: {arm: NAME, step: N}"),
        (
            {"switch": {"start": {"arm": "adam", "step": 5}}},
            {"learning_rates": {"from": 0.001, "to": 0.1, "points": 2}, "protocol": None},
            "only one can be begun from; write a training with one rate into sweep.trunks",
        ),
        ({}, {"base": {**BASE, "start": {"arm": "adam", "step": 5}}}, "levels of factors begin from others"),
        (
            {"one": {"start": {"arm": "two", "step": 5}}, "two": {"start": {"arm": "adam", "step": 9}}},
            {},
            "step=5: two itself begins behind step 9; take a later one",
        ),
        (
            {"switch": {"start": {"arm": "adam", "step": 5}, "model.criterion": "MSELoss"}},
            {},
            "it begins behind a step of adam, which has another loss",
        ),
        (
            {"switch": {"start": {"arm": "adam", "step": 5}, "data.classes": [1, 2]}},
            {},
            "it begins behind a step of adam, which has other classes",
        ),
        (
            {"switch": {"start": {"arm": "a", "step": 5}}},
            {"trunks": {"a": {"start": {"arm": "b", "step": 2}}, "b": {"start": {"arm": "a", "step": 1}}}},
            "begin from each other",
        ),
        (
            {},
            {"trunks": {"begin": {"learning_rates": {"from": 0.1, "to": 1, "points": 2}}}},
            "arms begin from one training of it; give it one rate",
        ),
    ],
)  # fmt: skip
def test_what_a_start_cannot_be_is_said(arms: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        plan(**{**levels(adam=ADAM, **{name: {**ADAM, **arm} for name, arm in arms.items()}), **more})
    assert said in str(error.value)


def test_two_levels_of_an_arm_cannot_both_have_a_start() -> None:
    start = {"start": {"arm": "adam", "step": 5}}
    content = levels(adam=ADAM, switch={**ADAM, **start})
    content["factors"]["decay"] = {"no": {"model.decay_biases": False}, "late": {"start": {"arm": "no", "step": 5}}}
    with pytest.raises(UserError, match="switch and late both have a start"):
        plan(**content)


def test_plans_without_starts_are_known_by_what_they_were() -> None:
    # As the version before wrote it for this plan.
    assert fingerprint(plan()) == "1d3e033c1833b1f2f17203721120bf79d677fe007e28ea2a8aae592d3ad61644"


def test_what_a_trunk_sets_stands_against_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    start = {"start": {"arm": "three", "take": "weights"}}
    write_plan({**levels(alike={**ADAM, **start}), "trunks": {"three": {**ADAM, "data.classes": [0, 1, 2]}}})
    assert main(["sweep", "--config", "plan.yaml", "--dry-run", "--data.classes=[3,4]"]) == 2
    assert "--data.classes: the entry three of trunks of plan.yaml sets it" in capsys.readouterr().err
    assert main(["sweep", "--config", "plan.yaml", "--dry-run", "--branch=abc@5"]) == 2


def test_a_point_of_an_extension_is_an_arms_also_where_it_was_a_trunk() -> None:
    begin = {**ADAM, "model.optimizer.lr": 0.004}
    content = levels(adam=ADAM, switch={**ADAM, "start": {"arm": "begin", "step": 5}})
    search = {"learning_rates": {"from": 0.001, "to": 0.002, "points": 2}, "protocol": None, "extend": 1, "seeds": 1}
    engine = CurveEngine(lambda trial: 0.5 + 10 * trial.point.get(LEARNING_RATE, 0))
    read = plan(**{**content, **search, "trunks": {"begin": begin}})
    runs_of = SweepRuns(read.experiment, read.name)
    begin_sweep(read, runs_of, lambda _: None)
    sweep = Sweep(read, runs_of, engine, lambda _: None, lambda _: None)
    sweep.run()
    tried = {
        trial.point[LEARNING_RATE] for trial in sweep.trials.values() if (trial.arm, trial.phase) == ("adam", "tuning")
    }
    assert tried == {0.001, 0.002, 0.004}


def test_a_step_that_the_trunk_never_reaches_is_told_and_nothing_is_trained_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_plan({**levels(adam=ADAM, switch={**MOMENTUM, "start": {"arm": "adam", "step": 99}}), "seeds": 1})
    for _ in range(2):
        assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 1
        assert "it begins from grid adam seed=0, which ended at step" in capsys.readouterr().out
    assert len(runs()) == 1


def test_a_state_that_a_later_run_has_kept_is_used() -> None:
    for step in (5, 7):
        write_plan({**levels(adam=ADAM, switch={**MOMENTUM, "start": {"arm": "adam", "step": step}}), "seeds": 1})
        assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    trunks = [run for run in runs() if run.tags[names.TAG_SWEEP_ARM] == "adam"]
    assert len(trunks) == 2
    more = {"start": {"arm": "adam", "step": 7}, "model.optimizer.lr": 0.02}
    both = levels(adam=ADAM, switch={**MOMENTUM, "start": {"arm": "adam", "step": 7}}, other={**MOMENTUM, **more})
    write_plan({**both, "seeds": 1})
    assert main(["sweep", "--config", "plan.yaml", "--engine", "here"]) == 0
    assert len([run for run in runs() if run.tags[names.TAG_SWEEP_ARM] == "adam"]) == 2
