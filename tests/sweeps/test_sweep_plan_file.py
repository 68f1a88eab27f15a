"""What a plan says, and what is refused in one: one line, with the key and the file, before anything is imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.config.files import find_config, plan_names, shipped_folder, shipped_names, shipped_plans, summary
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.command import engine_for
from lit_lossopt.sweeps.engines.local import LocalEngine
from lit_lossopt.sweeps.options import read_options
from lit_lossopt.sweeps.plan.file import read_plan
from lit_lossopt.sweeps.plan.points import LEARNING_RATE, LogGrid, QuasiRandom, Range
from lit_lossopt.sweeps.plan.race import RacePlan
from lit_lossopt.sweeps.plan.trials import search_trials
from tests.config.test_command_line import HEAVY
from tests.support.plans import TWO_ARMS, plan, write_plan

RACE: dict[str, Any] = {"protocol": "race", "seeds": None}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"factor": {}}, r"sweep.factor: no such key \(did you mean 'factors'\?\)"),
    ({"base": 3}, r"sweep.base=3: give its parts"),
    ({"base": {"modle.optimizer": "SGD"}}, r"modle.optimizer: no such key \(did you mean 'model'\?\)"),
    ({"base": {"trainer": {"max_epochs": 1}, "trainer.max_epochs": 2}}, r"base.trainer.max_epochs=2: stands twice"),
    ({"base": {"config": "digitz"}}, r"did you mean 'digits'"),
    ({"base": {"config": 3}}, r"sweep.base.config=3: expected the name of a config"),
    ({"base": {"seed_everything": 3}}, r"sweep.base.seed_everything: set for the whole sweep by sweep.seeds"),
    ({"base": {"learning_rates": {"from": 1, "to": 2, "points": 2}}}, r"stand beside base"),
    ({"factors": {"optimizer": {}}}, r"sweep.factors.optimizer={}: expected levels"),
    ({"factors": {"optimizer": {"a": {"model.optimizer": "Adm"}}}}, r"arm a: model.optimizer=Adm: no such class"),
    ({"factors": {"optimizer": {"a": {"model.optimizer.lrr": 1}}}}, r"arm a: model.optimizer.lrr=1: Adam has no arg"),
    ({"factors": {"optimizer": {"a b": {}}}}, r"a level's name is one word"),
    ({"factors": {"x": {"a": {}, "b": {}}}}, r"a lr=0.001 and b lr=0.001 are the same training"),
    ({"learning_rates": 0.1}, r"sweep.learning_rates=0.1: give its parts"),
    (
        {"learning_rates": {"from": 0.1, "to": 0.01, "points": 3}},
        r"learning_rates.to=0.01: expected more than from=0.1",
    ),
    ({"learning_rates": {"from": 0.1, "points": 3}}, r"sweep.learning_rates.to is missing"),
    ({"learning_rates": {"from": 0.1, "to": 1, "points": 1}}, r"points=1: expected a whole number from 2"),
    ({"learning_rates": {"from": 0.1, "to": 1, "points": True}}, r"points=true: expected a whole number"),
    ({"learning_rates": {"from": "x", "to": 1, "points": 3}}, r"from=x: expected a number above 0"),
    ({"learning_rates": {"from": 0.1, "to": 0.1001, "points": 50}}, r"take fewer"),
    ({"learning_rates": {"from": 0.1, "to": float("inf"), "points": 5}}, r"not a finite number"),
    ({"quasi_random": {"points": 3, "space": {}}}, r"take one of them"),
    ({"learning_rates": None, "quasi_random": {"points": 3}}, r"space=nothing: expected hyperparameters"),
    ({"learning_rates": None}, r"nothing to tune"),
    (
        {
            "learning_rates": None,
            "quasi_random": {"points": 3, "space": {"a": {"from": "x", "to": 1, "scale": "linear"}}},
        },
        r"space.a.from=x: expected a number above 0",
    ),
    (
        {
            "learning_rates": None,
            "quasi_random": {"points": 3, "space": {"a": {"from": 1.5, "to": 9, "scale": "whole"}}},
        },
        r"space.a.from=1.5: expected a whole number",
    ),
    ({"protocol": "gird"}, r"expected tune-then-repeat, grid or race \(did you mean 'grid'\?\)"),
    ({"protocol": "grid", "tuning_seeds": 2}, r"a grid has no tuning"),
    ({"protocol": "grid", "test": "best"}, r"only repeats are tested"),
    ({"seeds": [0, 1]}, r"seed 0 was tuned on"),
    ({"seeds": [1, 1]}, r"a seed stands twice"),
    ({"seeds": [-1]}, r"expected whole numbers from 0"),
    ({"seeds": 0}, r"seeds=0: expected a whole number from 1"),
    ({"extend": 3}, r"extend=3: expected a whole number from 0 to 2"),
    ({"threads": 0}, r"threads=0"),
    ({"test": "first"}, r"expected best or last"),
    ({"experiment": "a/b"}, r"it names a folder below mlruns"),
    ({"limits": {"trials": 3}}, r"10 trials, more than sweep.limits.trials=3"),
    ({"limits": {"trial_minutes": 0}}, r"trial_minutes=0: expected a number above 0"),
    ({"limits": {"minuts": 3}}, r"did you mean 'minutes'"),
    ({"overlays": ["sweep_quick"]}, r"a plan of a sweep, not a config"),
    ({"race": {}}, r"sweep.race={}: it says how a race is decided, and this is none; add protocol: race"),
    ({"protocol": "race"}, r"sweep.seeds=2: a race takes as many as it needs; limit it by race.max_seeds"),
    ({**RACE, "race": 3}, r"sweep.race=3: give its parts"),
    ({**RACE, "race": {"margn": 1}}, r"sweep.race.margn: no such key \(did you mean 'margin'\?\)"),
    (
        {**RACE, "race": {"question": "sped"}},
        r"sweep.race.question=sped: expected final or speed \(did you mean 'speed'",
    ),
    ({**RACE, "race": {"margin": 1}}, r"race.margin=1: expected a share of accuracy below 1"),
    ({**RACE, "race": {"margin": 0}}, r"race.margin=0: expected a number above 0"),
    ({**RACE, "race": {"question": "speed", "margin": 0.9}}, r"race.margin=0.9: expected a ratio above 1"),
    ({**RACE, "race": {"target": 90}}, r"race.target=90: expected a share of accuracy below 1, as 0.9 for 90 %"),
    ({**RACE, "race": {"max_minutes": 0}}, r"race.max_minutes=0: expected a number above 0"),
    ({**RACE, "race": {"max_seeds": 0}}, r"race.max_seeds=0: expected a whole number from 1 to 1024"),
    ({**RACE, "race": {"max_seeds": 5}}, r"race.max_seeds=5: a race .* so take one of 3, 4, 6, 8, 12, 16, 24, 32, 48"),
    ({**RACE, "tuning_seeds": [7, 1, 900], "race": {"max_seeds": 96}, "limits": {"trials": 9}}, r"210 trials, more"),
    ({**RACE, "learning_rates": None, "limits": {"trials": 9}}, r"64 trials, more than sweep.limits.trials=9"),
    ({**RACE, "factors": None}, r"sweep.protocol=race: a race needs two arms; give factors"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_in_a_plan_is_one_line_with_key_and_file(
    changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(**changes)
    assert main(["sweep", "--config", "plan.yaml", "--dry-run"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)
    assert "plan.yaml" in shown.err or "experiment" in message or "a/b" in str(changes)
    assert not Path("mlruns").exists()


TYPED_WRONG = [
    ("sweep", "name a plan with --config NAME"),
    ("sweep --config sweep_quik", "did you mean 'sweep_quick'"),
    ("sweep --config adam", "a config of fit, not a plan"),
    ("sweep --config sweep_quick --config sweep_losses", "a second plan"),
    ("fit --config sweep_quick", "run it with: lossopt sweep --config sweep_quick"),
    ("sweep --config sweep_quick --engine slurm", "no such engine"),
    ("sweep --config sweep_quick --workers none", "expected a whole number"),
    ("sweep --config sweep_quick --gpus much", "the share of a GPU"),
    ("sweep --config sweep_quick --seed_everything=3", "not for a sweep"),
    ("sweep --config sweep_quick --tracking.run_name=x", "not for a sweep"),
    ("sweep --config sweep_quick --trainer.max_epoch=3", "did you mean 'max_epochs'"),
    ("sweep --config sweep_quick --model.optimizer.lr=3", "the factor|the search .* sets it for each arm"),
    ("sweep --config sweep_quick --model.optimizer=Adam", "the factor optimizer .* sets it for each arm"),
    ("sweep --config sweep_quick --tracking.experiment=journal", "it names a folder below mlruns"),
    ("sweep sweep_quick", "not a flag"),
    ("sweep --config sweep_race --seeds 5", "--seeds 5: a race .* so take one of 3, 4, 6, 8, 12, 16, 24, 32, 48"),
    ("sweep --config sweep_quick --until-decided --seeds 7", "--seeds 7: a race"),
    ("sweep --config sweep_landscape --until-decided", "sweep.protocol=grid: it repeats nothing, so nothing can race"),
    ("demo --fast", "a value is missing"),
]


@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_what_is_typed_wrong_is_one_line(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert re.search(message, shown.err)


def test_a_plan_reads_as_it_stands() -> None:
    read = read_plan(write_plan(base={"config": "sgd", "trainer": {"max_epochs": 2}, "data.classes": ["cat", "dog"]}))
    assert read.base.configs == ("sgd",)
    assert read.base.keys == {"trainer.max_epochs": "2", "data.classes": '["cat", "dog"]'}
    assert [level.name for level in read.factors["optimizer"]] == ["sgd", "adam"]
    assert read.search == LogGrid(0.001, 0.1, 3)
    assert (read.tuning_seeds, read.seeds) == ((0,), (1, 2))
    assert read.experiment == "plan"


def test_the_minutes_of_a_trial_are_its_engines_limit() -> None:
    read = plan(limits={"trial_minutes": 0.5})
    engine = engine_for(read, read_options(["--config", "plan.yaml"]), main)
    assert isinstance(engine, LocalEngine)
    assert engine.trial_seconds == 30
    with pytest.raises(UserError, match="--engine here cannot stop a trial"):
        plan("--engine=here", limits={"trial_minutes": 0.5})


def test_repeats_take_seeds_that_were_not_tuned_on() -> None:
    assert plan(tuning_seeds=[0, 7], seeds=3).seeds == (8, 9, 10)
    assert plan("--seeds=4", tuning_seeds=[4], seeds=[1, 2]).seeds == (1, 2, 0, 3)
    assert plan("--seeds=1", seeds=3).seeds == (1,)
    assert plan(protocol="grid", seeds=3).seeds == (0, 1, 2)


def test_a_race_reads_as_it_stands() -> None:
    read = plan(**RACE)
    assert read.race == RacePlan("final", 0.01, None, 32, None)
    assert read.seeds == tuple(range(1, 33))
    speed = plan(**RACE, race={"question": "speed", "target": 0.8, "max_seeds": 4, "max_minutes": 3, "margin": None})
    assert speed.race == RacePlan("steps_to_target", 1.1, 0.8, 4, 3)
    assert speed.seeds == (1, 2, 3, 4)


def test_any_plan_becomes_a_race_and_keeps_the_seeds_it_has() -> None:
    read = plan("--until-decided", "--seeds=4", tuning_seeds=[4], seeds=[9, 2])
    assert read.protocol == "race"
    assert read.race == RacePlan(max_seeds=4)
    assert read.seeds == (9, 2, 0, 1)
    assert plan("--seeds=48", **RACE).race == RacePlan(max_seeds=48)


RACES = [
    (
        {"race": {"max_seeds": 6}},
        "then the best of each arm again, with fresh seeds, ",
        "(final accuracy, within 0.01); one looks at 3, 4, 6 seeds",
        (
            "12 trials: 6 tuning trials, 6 repeats, and at most 4 more where a best point lies at the edge of the "
            "grid, and at most 6 more until the race is decided"
        ),
    ),
    (
        {"race": {"max_seeds": 4, "question": "speed"}, "learning_rates": None, "test": "best"},
        "then with more seeds, ",
        "(steps to the target, within a factor of 1.1); one looks at 3, 4 seeds",
        "6 trials: 6 repeat trials, 6 tests, and at most 2 more until the race is decided",
    ),
]


@pytest.mark.parametrize(("changes", "begin", "looks", "count"), RACES)
def test_a_dry_run_of_a_race_says_how_it_goes_and_how_long_it_may_take(
    changes: dict[str, Any], begin: str, looks: str, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(**{**RACE, "extend": 1, **changes})
    assert main(["sweep", "--config", "plan.yaml", "--dry-run", "--workers=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{begin}until every pair of arms is better, worse or equivalent {looks}" in lines
    assert count in lines
    most = int(count.rpartition("at most ")[2].split()[0])
    low, high = re.findall(r"about ([\d.]+) s to ([\d.]+) s", "\n".join(lines))[0]
    first, wider = int(count.split(maxsplit=1)[0]), 4 if "edge" in count else 0
    assert float(high) / float(low) == pytest.approx((first + most + wider) / first, rel=0.1)


def test_quasi_random_points_are_read() -> None:
    space = {"model.optimizer.lr": {"from": 0.001, "to": 1}, "model.network.dropout": {"to": 0.5, "scale": "linear"}}
    read = plan(learning_rates=None, quasi_random={"points": 5, "seed": 3, "space": space})
    wanted = {LEARNING_RATE: Range(0.001, 1.0), "model.network.dropout": Range(0.0, 0.5, "linear")}
    assert read.search == QuasiRandom(wanted, 5, 3)


def test_whole_numbers_are_searched_as_such() -> None:
    space = {"data.batch_size": {"from": 16, "to": 128, "scale": "whole"}}
    read = plan(learning_rates=None, quasi_random={"points": 9, "space": space})
    assert read.search is not None
    values = [point["data.batch_size"] for point in read.search.points()]
    assert all(type(value) is int and 16 <= value <= 128 for value in values)
    (word,) = (word for word in search_trials(read)[0].words if word.startswith("--data.batch_size="))
    assert word.partition("=")[2].isdigit()


def test_the_name_of_a_plan_is_one_word() -> None:
    path = write_plan().rename("o'neil.yaml")
    with pytest.raises(UserError, match="a plan is known by its file's name"):
        read_plan(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("trainer.max_epochs", "soon"), ("data.batch_size", "big"), ("trainer.val_check_interval", "often"),
     ("data.val_fraction", "half"), ("data.batch_size", 0)],
)  # fmt: skip
def test_a_dry_run_of_values_that_mean_nothing_tells_no_time(
    key: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(base={"data": "DigitsDataModule", key: value})
    assert main(["sweep", "--config", "plan.yaml", "--dry-run"]) == 0
    assert "time: not known" in capsys.readouterr().out


def test_plans_and_configs_are_told_apart() -> None:
    assert not set(shipped_names()) & set(shipped_plans())
    assert {"sweep_quick", "sweep_optimizers", "sweep_losses", "sweep_weight_decay", "sweep_binary"} <= set(
        shipped_plans()
    )
    Path("configs").mkdir()
    write_plan(TWO_ARMS).rename("configs/mine.yaml")
    assert "mine" in plan_names()


@pytest.mark.parametrize("name", shipped_plans())
def test_every_shipped_plan_is_sound_and_opens_with_what_it_shows(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(summary(shipped_folder() / f"{name}.yaml")) > 20
    assert main(["sweep", "--config", name, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    others = r"(?:, \d+ from which others begin)?"
    searched, grid = rf"\d+ tuning trials, \d+ repeats{others}(?:, and at most \d+ more)?", r"\d+ grid trials"
    assert re.search(rf"\n\d+ trials: (?:{searched}|{grid})", shown)
    assert "disk: about" in shown
    assert find_config(name).stem == name


def test_a_dry_run_writes_and_imports_nothing() -> None:
    program = (
        "import sys; from lit_lossopt.__main__ import main; main(['sweep', '--config', 'sweep_quick', '--dry-run']); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.splitlines()[-1].split())
    assert list(Path().iterdir()) == []
