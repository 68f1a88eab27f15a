"""Snapshots are read from a folder as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.trajectory import encoded
from lit_lossopt.landscape.trajectory_files import MOST, Place, read_trajectory, start_differs
from lit_lossopt.tracking.reading.runs import Run

RUN = Run("id", "name", "FINISHED", {}, {}, {})
START = {"w": torch.tensor([1.0, 2.0])}


def write(folder: Path, step: int, weights: dict[str, Tensor]) -> None:
    torch.save(encoded(weights, START if step else {}), folder / f"step_{step:08}.pt")


def test_what_was_written_is_read_in_the_order_of_steps(tmp_path: Path) -> None:
    for step in (300, 0, 20):
        write(tmp_path, step, {"w": START["w"] + step})
    (tmp_path / "step_00000001.pt.part").write_bytes(b"half")
    found = read_trajectory(RUN, "adam", [Place(tmp_path)])
    assert found is not None
    assert found.steps == (0, 20, 300)
    assert [found.weights(place)["w"].tolist() for place in range(3)] == [[1.0, 2.0], [21.0, 22.0], [301.0, 302.0]]


def test_a_path_ends_before_weights_that_are_not_finite(tmp_path: Path) -> None:
    for step, value in ((0, 0.0), (1, 1.0), (2, float("inf")), (3, 1.0)):
        write(tmp_path, step, {"w": START["w"] + value})
    found = read_trajectory(RUN, "sgd", [Place(tmp_path)])
    assert found is not None
    assert found.steps == (0, 1)


def test_of_many_snapshots_some_are_taken_with_both_ends(tmp_path: Path) -> None:
    for step in range(3 * MOST):
        write(tmp_path, step, {"w": START["w"] + step})
    found = read_trajectory(RUN, "sgd", [Place(tmp_path)])
    assert found is not None
    assert len(found) == MOST
    assert (found.steps[0], found.steps[-1]) == (0, 3 * MOST - 1)
    assert max(after - before for before, after in zip(found.steps, found.steps[1:], strict=False)) <= 4


def test_a_branch_has_the_snapshots_of_its_trunk_before_its_own(tmp_path: Path) -> None:
    trunk, branch = tmp_path / "trunk", tmp_path / "branch"
    for folder, steps in ((trunk, (0, 10, 20, 30)), (branch, (15, 25))):
        folder.mkdir()
        for step in steps:
            write(folder, step, {"w": START["w"] + step})
    found = read_trajectory(RUN, "switch", [Place(trunk, until=12), Place(branch, behind=12)])
    assert found is not None
    assert found.steps == (0, 10, 15, 25)
    assert torch.equal(found.weights(2)["w"], START["w"] + 15)


def test_a_folder_without_any_is_none(tmp_path: Path) -> None:
    assert read_trajectory(RUN, "sgd", [Place(tmp_path / "missing")]) is None


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, 0, START)
    whole = (tmp_path / "step_00000000.pt").read_bytes()
    (tmp_path / "step_00000005.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"step_00000005\.pt: not a whole snapshot") as caught:
        read_trajectory(RUN, "sgd", [Place(tmp_path)])
    assert "\n" not in str(caught.value)


def test_starts_that_differ_in_one_bit_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder, start in zip(folders, (START, {"w": torch.tensor([1.0, 2.0000002])}), strict=True):
        folder.mkdir()
        write(folder, 0, start)
    walks = [read_trajectory(RUN, folder.name, [Place(folder)]) for folder in folders]
    first, other = walks
    assert first
    assert other
    assert start_differs(first, other) == "do not begin with the same weights"
    assert start_differs(first, first) == ""
