"""The examples in docstrings are run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import lit_lossopt

_ROOT = Path(lit_lossopt.__file__).parent
_FILES = [file for file in sorted(_ROOT.rglob("*.py")) if ">>> " in file.read_text(encoding="utf-8")]
_MODULES = [".".join(("lit_lossopt", *file.relative_to(_ROOT).with_suffix("").parts)) for file in _FILES]


@pytest.mark.parametrize("name", _MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
