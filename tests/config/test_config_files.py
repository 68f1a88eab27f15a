from __future__ import annotations

from pathlib import Path

import pytest

from lit_lossopt.config.files import find_config, shipped_folder, shipped_names, summary
from lit_lossopt.core.errors import UserError


@pytest.mark.parametrize("name", ["sgd_momentum", "sgd_momentum.yaml"])
def test_bare_name_finds_the_shipped_config_from_any_folder(name: str) -> None:
    assert find_config(name) == shipped_folder() / "sgd_momentum.yaml"


def test_the_users_file_comes_first_then_their_configs_folder(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sgd.yaml").write_text("{}")
    assert find_config("sgd").resolve() == (tmp_path / "configs" / "sgd.yaml").resolve()
    (tmp_path / "sgd.yaml").write_text("{}")
    assert find_config("sgd").resolve() == (tmp_path / "sgd.yaml").resolve()


def test_a_folder_named_like_a_config_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sgd").mkdir()
    assert find_config("sgd") == shipped_folder() / "sgd.yaml"


def test_a_path_with_a_folder_is_not_looked_up_elsewhere() -> None:
    with pytest.raises(UserError, match="no such file"):
        find_config("elsewhere/sgd.yaml")


def test_unknown_name_lists_what_there_is_and_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'sgd_momentum'.*adam, adamw.*sgd_nesterov"):
        find_config("sgd_momentun.yaml")


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_config_opens_with_what_it_shows(name: str) -> None:
    assert len(summary(shipped_folder() / f"{name}.yaml")) > 20
