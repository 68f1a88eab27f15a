"""The code paths of the benchmark of GPUs, tried on the CPU. What they measure there is no result."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import GRAPHS, LOADER, OURS, TUNED, TUNED_FLOAT32, main
from benchmarks.gpu_section import gpu_section
from benchmarks.harness import RESULTS

SMALL = ["--device=cpu", "--steps=2", "--warm-up=1", "--repeats=1", "--batches=8,16"]


def cell(page: str, row: str) -> str:
    found = re.search(rf"^\| {re.escape(row)} \| ([^|]+) \|", page, re.MULTILINE)
    assert found, row
    return found[1]


def test_every_loop_and_flag_is_timed_and_shown(tmp_path: Path) -> None:
    out = tmp_path / "tried.json"
    assert main([*SMALL, "--shared=", "--no-compile", f"--out={out}"]) == 0
    content = json.loads(out.read_text())
    assert [result["batch"] for result in content["results"]] == [8, 16]
    for result in content["results"]:
        assert {LOADER, TUNED, TUNED_FLOAT32, OURS, "Trainer in bf16", "Trainer, not fused"} < result["wall"].keys()
        assert result["wall"].keys() == result["processor"].keys()
        assert all(rate > 0 for rates in result["wall"].values() for rate in rates)
        (one,) = [ratio for ratio in result["ratios"] if ratio["name"] == f"{OURS} / {LOADER}"]
        assert one["median"] == result["wall"][OURS][0] / result["wall"][LOADER][0]
    page = gpu_section(content)
    assert "Measured on **no GPU, but " in page
    assert cell(page, LOADER).startswith(f"{content['results'][0]['wall'][LOADER][0]:.0f} [")
    content["machine"] |= {"gpu": "Some GPU", "gpu_memory_gib": 8.0, "cuda": "13.0"}
    assert "Measured on **Some GPU** (8.0 GiB, CUDA 13.0)" in gpu_section(content)


@pytest.mark.slow
def test_compiled_arms_and_trials_that_share_a_device_are_timed(tmp_path: Path) -> None:
    out = tmp_path / "tried.json"
    assert main([*SMALL, "--batches=8", "--shared=1,2", f"--out={out}"]) == 0
    content = json.loads(out.read_text())
    assert GRAPHS in content["results"][0]["wall"]
    assert content["shared"]["wall"].keys() == {"1", "2"}
    assert "trials at once" in gpu_section(content)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    before = (RESULTS / "gpu.json").is_file()
    assert main([]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "torch finds no GPU here, so nothing was measured" in line
    assert (RESULTS / "gpu.json").is_file() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_named(tmp_path: Path) -> None:
    out = tmp_path / "tried.json"
    assert main(["--steps=5", "--warm-up=3", "--repeats=1", "--batches=64", "--shared=2", f"--out={out}"]) == 0
    content = json.loads(out.read_text())
    assert content["machine"]["gpu"] == torch.cuda.get_device_name()
    assert GRAPHS in content["results"][0]["wall"]
