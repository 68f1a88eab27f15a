"""Memory that is freed and taken again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about the GNU C library")

# Counts the pages that the system hands out while a tensor of 64 MiB is made and freed twenty times.
COUNT = """
import resource, sys, torch
from lit_lossopt.core.heap import keep_freed_memory
took = keep_freed_memory() if sys.argv[1] == "kept" else 0
make = lambda: torch.ones(1 << 24)
for _ in range(20):
    make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    make()
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str, **environment: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    took, count = map(int, done.stdout.split())
    return took, count


def test_a_tensor_that_is_made_again_takes_no_pages_from_the_system() -> None:
    took, kept = pages("kept")
    if took < 1 << 26:
        pytest.skip("an old C library gives back tensors of more than 32 MiB, or it is another one")
    _, given_back = pages("given back")
    # Small or huge pages: those of a single tensor at most, in place of those of twenty.
    assert given_back > 0
    assert kept * 10 <= given_back


def test_what_a_person_has_set_is_left_alone() -> None:
    took, _ = pages("kept", MALLOC_TOP_PAD_="131072")
    assert not took
