from __future__ import annotations

import itertools
from typing import Any

import pytest

from lit_lossopt.config.merge import DEFAULTS, Settings, merge_flags
from lit_lossopt.config.words import prepare
from lit_lossopt.core.errors import UserError

SGD = {"class_path": "SGD", "init_args": {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}}
ADAMW = {"class_path": "AdamW", "init_args": {"lr": 1e-3}}


def merged(*trees: dict[str, Any], flags: list[tuple[str, str]] | None = None) -> Settings:
    settings = Settings()
    for index, tree in enumerate(trees):
        settings.merge(tree, f"source {index}")
    merge_flags(settings, flags or [])
    return settings


def optimizer(settings: Settings) -> dict[str, Any]:
    chosen: dict[str, Any] = settings.tree["model"]["optimizer"]
    return chosen


def model(**choices: Any) -> dict[str, Any]:
    return {"model": choices}


def as_sources(first: Any, second: Any) -> list[tuple[list[dict[str, Any]], list[tuple[str, str]]]]:
    """The same two choices of a class as config and config, and as config and flags."""
    flags = [("model.optimizer", second["class_path"])]
    flags += [(f"model.optimizer.{name}", str(value)) for name, value in second.get("init_args", {}).items()]
    return [
        ([model(optimizer=first), model(optimizer=second)], []),
        ([model(optimizer=first)], flags),
        ([model(optimizer=first)], flags[::-1]),
    ]


@pytest.mark.parametrize(("trees", "flags"), as_sources(SGD, ADAMW))
def test_a_changed_class_starts_from_its_own_defaults(trees: Any, flags: Any) -> None:
    assert optimizer(merged(*trees, flags=flags)) == {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}


@pytest.mark.parametrize(("trees", "flags"), as_sources(SGD, {"class_path": "SGD", "init_args": {"lr": 0.5}}))
def test_the_same_class_keeps_its_arguments(trees: Any, flags: Any) -> None:
    assert optimizer(merged(*trees, flags=flags))["init_args"] == {"lr": 0.5, "momentum": 0.9, "weight_decay": 5e-4}


@pytest.mark.parametrize("name", ["SGD", "torch.optim.SGD", "torch.optim.sgd.SGD"])
def test_a_class_is_the_same_under_each_of_its_names(name: str) -> None:
    assert optimizer(merged(model(optimizer=SGD), model(optimizer=name)))["init_args"]["momentum"] == 0.9


def test_a_class_of_the_same_name_elsewhere_is_another_class() -> None:
    chosen = optimizer(merged(model(optimizer=SGD), model(optimizer="pytorch_optimizer.SGD")))
    assert chosen == {"class_path": "pytorch_optimizer.SGD"}


def test_defaults_are_a_source_like_any_other() -> None:
    assert optimizer(merged(DEFAULTS, model(optimizer="SGD"))) == {"class_path": "torch.optim.SGD"}
    assert optimizer(merged(DEFAULTS, flags=[("model.optimizer.lr", "1e-2")]))["init_args"] == {"lr": 0.01}


def test_arguments_without_a_class_belong_to_the_class_so_far() -> None:
    assert optimizer(merged(model(optimizer=SGD), model(optimizer={"lr": 1.0})))["init_args"]["lr"] == 1.0
    assert (
        optimizer(merged(model(optimizer=SGD), model(optimizer={"init_args": {"lr": 2.0}})))["init_args"]["lr"] == 2.0
    )


def test_between_flags_a_changed_class_starts_anew_too() -> None:
    flags = [("model.optimizer", "SGD"), ("model.optimizer.momentum", "0.9"), ("model.optimizer", "RMSprop")]
    assert optimizer(merged(DEFAULTS, flags=flags)) == {"class_path": "torch.optim.RMSprop"}


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("criterion", {"class_path": "CrossEntropyLoss", "init_args": {"reduction": "sum"}}, "BCEWithLogitsLoss"),
        ("lr_scheduler", {"class_path": "StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}, "ExponentialLR"),
        ("network", {"class_path": "MiniCNN", "init_args": {"hidden": 8}}, "torchvision.models.ResNet"),
    ],
)
def test_the_rule_holds_for_every_class(key: str, first: Any, second: str) -> None:
    assert "init_args" not in merged(model(**{key: first}), model(**{key: second})).tree["model"][key]
    assert "init_args" not in merged(model(**{key: first}), flags=[(f"model.{key}", second)]).tree["model"][key]


def test_the_class_may_be_typed_as_class_path_and_behind_its_arguments() -> None:
    words = ["--model.optimizer.lr=0.1", "--model.optimizer.class_path=SGD"]
    assert optimizer(prepare("fit", words).settings) == {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}


def test_keywords_that_a_class_takes_unnamed_go_with_it_too() -> None:
    first = {"class_path": "SGD", "dict_kwargs": {"extra": 1}}
    assert optimizer(merged(model(optimizer=first), model(optimizer="Adam"))) == {"class_path": "torch.optim.Adam"}
    assert optimizer(merged(model(optimizer=first), model(optimizer="SGD")))["dict_kwargs"] == {"extra": 1}


def test_none_takes_a_scheduler_away() -> None:
    assert merged(model(lr_scheduler="StepLR"), model(lr_scheduler=None)).tree["model"]["lr_scheduler"] is None


def test_whether_biases_decay_goes_with_the_optimizer_it_was_said_of() -> None:
    assert "decay_biases" not in prepare("fit", ["--config", "adamw", "--config", "sgd"]).settings.tree["model"]
    tree = prepare("fit", ["--config", "adamw", "--model.optimizer.lr=0.1"]).settings.tree
    assert tree["model"]["decay_biases"] is False
    mine = merged(DEFAULTS, model(decay_biases=False), model(optimizer=SGD))
    assert mine.tree["model"]["decay_biases"] is False
    later = merged(model(optimizer=ADAMW, decay_biases=False), model(decay_biases=False, optimizer="SGD"))
    assert later.tree["model"]["decay_biases"] is False


def test_data_keep_only_what_all_data_modules_share() -> None:
    arguments = {"batch_size": 32, "classes": ["cat", "dog"], "download": False, "folder": "x"}
    first = {"data": {"class_path": "CIFAR10DataModule", "init_args": arguments}}
    chosen = merged(first, {"data": "ImageFolderDataModule"}).tree["data"]
    assert chosen["init_args"] == {"batch_size": 32, "classes": ["cat", "dog"]}


def test_other_keys_merge_deeply_and_lists_replace() -> None:
    first = {"trainer": {"max_epochs": 1, "devices": [0, 1]}}
    assert merged(first, {"trainer": {"devices": [2]}}).tree == {"trainer": {"max_epochs": 1, "devices": [2]}}
    assert merged(first, {"trainer": {"devices+": [2]}}).tree["trainer"]["devices"] == [0, 1, 2]


def test_dotted_keys_of_a_file_are_the_same_as_nested_ones() -> None:
    tree = {"model.optimizer": SGD, "model.optimizer.dampening": 0.5, "trainer.max_epochs": 2}
    settings = merged(DEFAULTS, tree)
    assert optimizer(settings)["init_args"] == {**SGD["init_args"], "dampening": 0.5}  # type: ignore[dict-item]  # one
    assert settings.tree["trainer"] == {"max_epochs": 2}
    assert optimizer(merged(DEFAULTS, {"model": {"optimizer.lr": 2.0}}))["init_args"] == {"lr": 2.0}


def test_the_order_of_keys_within_a_file_means_nothing() -> None:
    wanted = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.3}}
    parts: list[dict[str, Any]] = [{"model.optimizer.lr": 0.3}, {"model": {"optimizer": "SGD"}}]
    for first, second in (parts, parts[::-1]):
        assert optimizer(merged(DEFAULTS, {**first, **second})) == wanted


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"model.optimizer.lr": 1.0, "model": {"optimizer": {"lr": 2.0}}}, "model.optimizer.lr"),
        ({"model": {"optimizer.lr": 1.0, "optimizer": {"lr": 1.0}}}, "model.optimizer.lr"),
        ({"model.optimizer": SGD, "model.optimizer.lr": 1.0}, "model.optimizer.lr"),
        ({"model.optimizer": SGD, "model": {"optimizer": "Adam"}}, "model.optimizer"),
        ({"model.optimizer.class_path": "SGD", "model": {"optimizer": {"class_path": "SGD"}}}, "model.optimizer.class"),
        ({"trainer.max_epochs": 2, "trainer": {"max_epochs": 2}}, "trainer.max_epochs"),
        ({"data.batch_size": 2, "data": {"init_args": {"batch_size": 2}}}, "data.batch_size"),
        ({"tracking": {"tags": {"a": 1}}, "tracking.tags": {"a": 2}}, "tracking.tags.a"),
    ],
)
def test_a_key_that_stands_twice_in_two_forms_is_refused(tree: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=rf"^{key}.* from source 1: stands twice"):
        merged(DEFAULTS, tree)


def test_dots_in_the_names_of_tags_are_no_keys() -> None:
    assert merged({"tracking": {"tags": {"team.name": "x"}}}).tree == {"tracking": {"tags": {"team.name": "x"}}}


def test_the_source_of_each_value_is_known() -> None:
    settings = merged(model(optimizer=SGD), model(optimizer={"lr": 1.0}))
    assert settings.origin("model.optimizer.lr") == "source 1"
    assert settings.origin("model.optimizer.momentum") == "source 0"


def test_sources_are_not_changed_by_merging() -> None:
    trees = [model(optimizer=SGD), model(optimizer=ADAMW)]
    for order in itertools.permutations(trees):
        merged(*order)
    assert trees == [model(optimizer=SGD), model(optimizer=ADAMW)]


@pytest.mark.parametrize("value", ["2024", "true", "1e3", "null"])
def test_a_folder_may_be_named_like_a_number(value: str) -> None:
    words = ["--data=ImageFolderDataModule", f"--data.folder={value}"]
    assert prepare("fit", words).settings.tree["data"]["init_args"]["folder"] == value
