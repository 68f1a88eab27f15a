"""Objects in the place of names: what tells them apart, where they may stand, and what is said where they cannot."""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, ReduceLROnPlateau

from lit_lossopt import UserError, compare, fit, load, sweep
from lit_lossopt.core import names
from lit_lossopt.core.given import give, given, lent
from lit_lossopt.data import ArrayDataModule
from lit_lossopt.tracking.reading.runs import read_runs
from tests.api.test_api import IMAGES, LABELS, SHORT, Net

SGD = torch.optim.SGD
RATE = 0.1


class Scaled(nn.CrossEntropyLoss):
    """A loss whose text shows nothing of what it holds."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale


class Twice(Net):
    """A network whose base class is a person's own, too."""


def by_default(rate: float) -> Callable[..., Any]:
    return lambda params, rate=rate: SGD(params, lr=rate)


def by_global(rate: float) -> Callable[..., Any]:
    place = {"SGD": SGD, "RATE": rate}
    exec("def made(params): return SGD(params, lr=RATE)", place)  # noqa: S102  # as a cell of a notebook
    function: Callable[..., Any] = place["made"]  # type: ignore[assignment]  # as above
    return function


def written_in_a_cell(factor: int) -> type:
    text = f"class Cell:\n    def forward(self, x):\n        return {factor} * x\n"
    file = f"<cell {factor}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    place: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, file, "exec"), place)  # noqa: S102  # as a notebook does
    found: type = place["Cell"]
    return found


def array(value: float) -> np.ndarray[Any, Any]:
    return np.array([1.0, value])


# What makes an object of a number: the same number is the same object, another one is another.
TOLD_APART: dict[str, Callable[[float], Any]] = {
    "a default": by_default,
    "a global": by_global,
    "what is closed over": lambda rate: lambda params: SGD(params, lr=rate),
    "a partial": lambda rate: functools.partial(by_default(0.1), rate=rate),
    "a partial of a class": lambda rate: functools.partial(SGD, lr=rate),
    "an attribute": Scaled,
    "within a network": lambda rate: nn.Sequential(nn.ReLU(), Scaled(rate)),
    "a bound method": lambda rate: Scaled(rate).forward,
    "a class in a cell": lambda rate: written_in_a_cell(int(10 * rate)),
    "an array": array,
    "a tensor": lambda rate: torch.tensor([rate], dtype=torch.bfloat16),
    "a data module": lambda rate: ArrayDataModule(IMAGES + int(10 * rate), LABELS),
    "a dictionary": lambda rate: {"rate": [rate, {rate}]},
}


@pytest.mark.parametrize("kind", TOLD_APART)
def test_objects_are_told_apart_by_all_that_they_hold(kind: str) -> None:
    make = TOLD_APART[kind]
    with lent():
        assert give(make(0.1)) == give(make(0.1)) != give(make(0.2))


def test_data_are_the_same_with_every_seed_and_after_a_training() -> None:
    first, second = ArrayDataModule(IMAGES, LABELS, seed=1), ArrayDataModule(IMAGES, LABELS, seed=2)
    with lent():
        before = give(first)
        first.setup("fit")
        assert first.pool
        assert give(first) == give(second) == before


def test_an_optimizer_is_the_same_after_it_was_used() -> None:
    class Own(SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    with lent():
        before = give(Own)
        # torch puts a function of its own around its step.
        Own([torch.zeros(1)])
        assert hasattr(Own.step, "hooked")
        assert give(Own) == before


def test_what_holds_itself_and_what_is_nested_deeply_has_a_key() -> None:
    itself: list[Any] = []
    itself.append(itself)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with lent():
        assert give(itself) == give(itself) != give(deep)


def test_the_sources_of_all_that_is_a_persons_own_are_recorded() -> None:
    with lent():
        source = given(give(nn.Sequential(Twice(1, 8, 3), Scaled(0.5)))).source
        cell = given(give(written_in_a_cell(7))).source
    for own in ("class Twice(Net)", "A network of one layer.", "class Scaled(", "scale"):
        assert own in source
    assert "class Sequential" not in source
    assert source.count("def forward(") == 1
    assert "return 7 * x" in cell


@pytest.mark.usefixtures("store")
def test_a_schedule_as_an_object_trains_as_its_name() -> None:
    settings = {**SHORT, "model.lr_scheduler_interval": "step"}
    by_name = fit("adam", data="digits", lr_scheduler="ExponentialLR", **settings, **{"lr_scheduler.gamma": 0.5})
    by_object = fit("adam", data="digits", lr_scheduler=lambda opt: ExponentialLR(opt, gamma=0.5), **settings)
    np.testing.assert_array_equal(by_object.losses, by_name.losses)
    rates = by_object.histories[names.TRAIN_LR].values
    np.testing.assert_allclose(rates, 0.001 * 0.5 ** np.arange(len(rates)))
    assert by_object.params["lr_scheduler"] == "lambda"
    assert "lambda opt" in Path(f"mlruns/lit_lossopt/{by_object.run_id}/artifacts/{names.GIVEN_ARTIFACT}").read_text()


def plan(**changes: Any) -> dict[str, Any]:
    base = {"data": (IMAGES, LABELS), "data.batch_size": 16, "trainer.max_epochs": 1, "trainer.limit_train_batches": 3}
    return {"experiment": "objects", "base": base, "protocol": "grid", "seeds": 3, **changes}


@pytest.mark.usefixtures("store")
def test_a_plan_of_objects_trains_here_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    own: Any = lambda params, lr: SGD(params, lr=lr, momentum=0.5)  # noqa: E731  # as a person writes it
    levels = {"own": {"optimizer": own, "network": Net}, "adam": {"model": {"optimizer": torch.optim.Adam}}}
    factors = {"optimizer": {name: {**level, "model.optimizer.lr": np.float32(0.25)} for name, level in levels.items()}}
    found = sweep(plan(factors=factors, seeds=2))
    assert "so its trials run in this process, one by one" in capsys.readouterr().out
    assert {arm.name.split()[0] for arm in found.arms} == {"own", "adam"}
    runs = [run for run in read_runs("objects") if names.TAG_SWEEP_KEY in run.tags]
    assert {(run.params["optimizer"], run.params["optimizer.lr"]) for run in runs} == {
        ("lambda", "0.25"),
        ("Adam", "0.25"),
    }
    assert {run.params["data.batch_size"] for run in runs} == {"16"}
    # The same objects are the same trials, and another one is another.
    sweep(plan(factors=factors, seeds=2))
    assert "4 are done, 0 to run" in capsys.readouterr().out
    factors["optimizer"]["own"]["optimizer"] = lambda params, lr: SGD(params, lr=lr, momentum=0.6)
    sweep(plan(factors=factors, seeds=2))
    assert "2 are done, 2 to run" in capsys.readouterr().out


PLANS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another engine": ({}, {"engine": "local"}, "--engine local: the plan holds objects (tuple-"),
    "one seed": ({"base": {"data": ArrayDataModule(IMAGES, LABELS)}}, {}, "give images and labels, or a function"),
    "twice": ({"factors": {"n": {"a": {"network": Net}, "b": {"network": Net}}}}, {}, "the plan: a and b are the same"),
    "misspelled": ({"factors": {"n": {"a": {"netwrok": Net}}}}, {}, "no value of a config (did you mean 'network'?)"),
    "no levels": ({"factors": [1]}, {}, "the plan: sweep.factors=[1]: give its parts"),
    "a limit": ({"limits": {"trial_minutes": 1}}, {}, "cannot stop a trial; leave it out"),
    "a dry run": ({}, {"dry_run": True}, "dry_run: it trains nothing"),
}  # fmt: skip


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("case", PLANS)
def test_a_plan_that_cannot_be_run_is_one_line(case: str) -> None:
    changes, settings, said = PLANS[case]
    with pytest.raises(UserError) as error:
        sweep(plan(**changes), **settings)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.usefixtures("store")
def test_a_trial_that_fails_says_why_and_names_no_command_that_nobody_can_type(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Small(Net):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("only small images")

    with pytest.raises(RuntimeError, match="nothing can be compared"):
        sweep(plan(base={**plan()["base"], "network": Small}, seeds=1))
    said = capsys.readouterr().out
    assert "failed (exit 2): lossopt: model.network=Small fails on a first batch: only small images" in said
    assert "by hand" not in said


def plateau(optimizer: Any) -> LRScheduler:
    return ReduceLROnPlateau(optimizer)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no network": ({"network": 3}, "network: int is no network; give a module"),
    "nothing made": ({"network": lambda **_: None}, "network: lambda has returned NoneType"),
    "a function for a loss": ({"criterion": nn.functional.cross_entropy}, "criterion: cross_entropy is no module"),
    "an optimizer that is built": ({"optimizer": SGD([torch.zeros(1)])}, "optimizer: SGD does not make one; give a"),
    "no optimizer": ({"optimizer": lambda _: None}, "optimizer: lambda has returned NoneType"),
    "no rate": ({"optimizer": lambda one: SGD(one, 0.1), "optimizer.lr": 1.0}, "unexpected keyword argument 'lr'"),
    "no schedule": ({"lr_scheduler": 0.9}, "lr_scheduler: float does not make one; give a class or function"),
    "nothing scheduled": ({"lr_scheduler": lambda _: None}, "lr_scheduler: lambda has returned NoneType"),
    "another optimizer's": (
        {"lr_scheduler": lambda _: ExponentialLR(SGD([torch.zeros(1)]), 0.9)}, "lambda schedules another optimizer",
    ),
    "no metric to follow": ({"lr_scheduler": plateau}, "ReduceLROnPlateau must know its metric"),
    "images alone": ({"data": IMAGES}, "data: Tensor is no data of this package; give (images, labels)"),
    "a dataset": ({"data": torch.utils.data.TensorDataset(IMAGES, LABELS)}, "data: TensorDataset is no data"),
    "a mapping": ({"data": {"images": IMAGES.float(), "labels": LABELS}}, "Tensor is no value of a config"),
    "a callback": ({"trainer.callbacks": [object()]}, "object is no value of a config; give a name, a number, or"),
    "a network for a name": ({"config": nn.ReLU()}, "config: ReLU is no name of a config"),
}  # fmt: skip


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("case", REFUSED)
def test_what_an_object_cannot_be_is_one_line(case: str) -> None:
    settings, said = REFUSED[case]
    long: Any = {"network": Net, "data": (IMAGES.repeat(90, 1, 1, 1), LABELS.repeat(90)), **settings, **SHORT}
    with pytest.raises(UserError) as error:
        fit(**long)
    assert said in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.usefixtures("store")
def test_a_class_that_a_config_can_name_is_named() -> None:
    run = fit(data=(IMAGES, LABELS), optimizer=torch.optim.SGD, criterion=nn.MSELoss, **SHORT, **{"optimizer.lr": 0.5})
    assert (run.params["optimizer"], run.params["optimizer.lr"], run.params["criterion"]) == ("SGD", "0.5", "MSELoss")
    assert "given" not in str([name for name in run.params if not name.startswith("data")])


@pytest.mark.usefixtures("store")
def test_a_function_makes_data_of_the_seed() -> None:
    make = functools.partial(ArrayDataModule, IMAGES, LABELS)
    by_function = fit(data=make, seed=3, **SHORT, **{"data.batch_size": 20})
    by_arrays = fit(data=(IMAGES, LABELS), seed=3, **SHORT, **{"data.batch_size": 20})
    np.testing.assert_array_equal(by_function.losses, by_arrays.losses)


@pytest.mark.usefixtures("store")
def test_a_network_that_was_handed_over_is_loaded_into_again() -> None:
    run = fit(data=(IMAGES, LABELS), network=Net, criterion=Scaled(0.5), **SHORT)
    for parts, missing in (({}, "network"), ({"network": Net}, "criterion")):
        with pytest.raises(UserError, match=rf"load\(run, {missing}=…\) takes it again"):
            load(run, **parts)  # type: ignore[arg-type]  # of one kind
    again = load(run, network=Net, criterion=Scaled(0.5))
    twin = load(run.run_id, network=Net(1, 8, 3), criterion=Scaled(0.5))
    assert torch.equal(again(IMAGES[:9]).labels, twin(IMAGES[:9]).labels)
    with pytest.raises(UserError, match="its weights do not fit its network"):
        load(run, network=Net(1, 8, 4), criterion=Scaled(0.5))


@pytest.mark.usefixtures("store")
def test_runs_of_different_objects_are_different_arms() -> None:
    for seed in range(2):
        for scale in (0.5, 2.0):
            fit(data=(IMAGES, LABELS), network=Net, criterion=Scaled(scale), seed=seed, quiet=True, **SHORT)
    found = compare(html="made.html")
    assert [arm.name.rpartition("-")[0] for arm in found.arms] == ["Scaled", "Scaled"]
    assert [len(arm.trials) for arm in found.arms] == [2, 2]
    assert "<title>" in Path("made.html").read_text(encoding="utf-8")
