"""Nothing is imported on the way to the first step without a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import startup_watch
from benchmarks.startup_reasons import REASONS, packages

# What was imported once, or would be first: half a second or more each, and of no use before the first step.
HEAVY = {"mlflow", "sqlalchemy", "alembic", "sklearn", "pandas", "pyarrow", "fastapi", "plotly", "tensorflow", "keras"}
FIT = ["fit", "--config=digits", "--config=augmented", "--trainer.max_steps=1", "--threads=1"]
WATCHED = ["--allow-import=startup_watch", "--trainer.callbacks+=startup_watch.FirstStep"]


@pytest.mark.parametrize("switch", ["--trainer.logger=true", "--trainer.logger=false"])
def test_everything_that_is_imported_before_the_first_step_has_a_reason(switch: str, tmp_path: Path) -> None:
    shutil.copy(startup_watch.__file__, tmp_path)
    program = "import startup_watch; startup_watch.run()"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", program, *FIT, *WATCHED, switch],
        cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": path, "STARTUP_BEGAN": repr(time.time())},
    )  # fmt: skip
    found = json.loads((tmp_path / startup_watch.FOUND).read_text(encoding="utf-8"))
    assert [name for name, _, _ in found["marks"]][-1] == "the first step"
    there = packages(found["modules"]) - {"startup_watch"}
    assert there - set(REASONS) == set()
    assert there & HEAVY == set()
    assert HEAVY & set(REASONS) == set()
