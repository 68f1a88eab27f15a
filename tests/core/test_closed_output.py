from __future__ import annotations

import os
import sys

import pytest

from lit_lossopt.core.closed_output import LastingStream, outliving_readers


@pytest.mark.parametrize("buffered", [True, False])
def test_what_nobody_reads_is_no_error(buffered: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=-1 if buffered else 1, encoding="utf-8") as stream:
        lasting = LastingStream(stream)
        assert lasting.write("read\n") == 5
        lasting.flush()
        assert os.read(reading, 100) == b"read\n"
        os.close(reading)
        for _ in range(3):
            assert lasting.write("lost\n") == 5
            lasting.flush()
        assert lasting.encoding == "utf-8"
        assert not lasting.isatty()


def test_streams_are_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with outliving_readers():
        print("out")
        print("err", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("out\n", "err\n")
