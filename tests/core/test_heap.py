"""Memory that is freed and taken again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about the GNU C library")

# Counts the pages that the system hands out while a tensor of 64 MiB is made and freed twenty times.
COUNT = """
import ctypes, resource, sys, torch
from lit_lossopt.core.heap import keep_freed_memory
took = 0
if sys.argv[1] == "kept":
    took = keep_freed_memory()
elif sys.argv[1] == "trained":
    from lit_lossopt.__main__ import main
    sys.stdout, shown = sys.stderr, sys.stdout
    assert main(["fit", "--config=digits", "--trainer.max_steps=1", "--trainer.logger=false"]) == 0
    sys.stdout = shown
elif sys.argv[1] == "asked":
    # Of the C library itself, whether it can keep as much as a tensor has.
    ask = getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)
    print(ask(-3, 1 << 30), 0)
    sys.exit()
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
    if not pages("asked")[0]:
        pytest.skip("an old C library gives back tensors of more than 32 MiB, or it is another one")
    took, kept = pages("kept")
    assert took >= 1 << 26
    _, given_back = pages("given back")
    # Small or huge pages: those of a single tensor at most, in place of those of twenty.
    assert given_back > 0
    assert kept * 10 <= given_back


def test_a_training_keeps_its_memory() -> None:
    if not pages("asked")[0]:
        pytest.skip("an old C library gives back tensors of more than 32 MiB, or it is another one")
    assert pages("trained")[1] * 10 <= pages("given back")[1]


def test_what_a_person_has_set_is_left_alone() -> None:
    took, _ = pages("kept", MALLOC_TOP_PAD_="131072")
    assert not took
