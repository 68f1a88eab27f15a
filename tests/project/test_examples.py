"""What a person may copy from ``examples`` does what its README says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_lossopt.__main__ import main
from lit_lossopt.core.names import Answer
from lit_lossopt.sweeps.options import read_options
from tests.support.places import ROOT

EXAMPLE = ROOT / "examples" / "regression"
README = EXAMPLE / "README.md"
WORKFLOW = EXAMPLE / ".github" / "workflows" / "optimizers.yml"
PLAN = EXAMPLE / "optimizers.yaml"


def steps() -> list[dict[str, Any]]:
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def command() -> list[str]:
    """Return the words behind ``lossopt`` in the workflow."""
    (line,) = (step["run"] for step in steps() if step.get("run", "").startswith("lossopt "))
    return shlex.split(line)[1:]


def said(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the line on what was expected."""
    (line,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith("Expected: "))
    return line


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_the_workflow_passes_and_fails_where_the_learning_rate_is_spoilt(capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PLAN, PLAN.name)
    # One training after another, in this process.
    words = [*command(), "--engine", "here"]
    assert main(words) == Answer.HOLDS
    assert said(capfd).startswith("Expected: adam faster than sgd. It holds. adam lr=0.01 is 1.")
    assert json.loads(Path("optimizers.json").read_text(encoding="utf-8"))["expectations"][0]["outcome"] == "holds"

    # The runs of SGD have results already, so only Adam is trained again.
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    plan["sweep"]["factors"]["optimizer"]["adam"]["model.optimizer.lr"] *= 1e-4
    Path(PLAN.name).write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    assert main(words) == Answer.CONTRADICTED
    # How much faster depends on how far a run that hardly moves counts.
    assert said(capfd).startswith("Expected: adam faster than sgd. It is contradicted. sgd lr=0.3 is ")
    assert (
        json.loads(Path("optimizers.json").read_text(encoding="utf-8"))["expectations"][0]["outcome"] == "contradicted"
    )


def test_the_workflow_keeps_what_its_sweep_writes_whatever_the_answer() -> None:
    options = read_options(command()[1:])
    (upload,) = (step for step in steps() if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert upload["if"] == "always()"
    assert upload["with"]["path"].split() == [options.report, options.json, "mlflow.db", "mlruns"]


def test_its_actions_are_pinned_to_a_major_version() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", name)] == []


def test_the_readme_shows_the_workflows_command_and_names_files_that_exist() -> None:
    text = README.read_text(encoding="utf-8")
    # A line that ends in a backslash goes on.
    lines = text.replace("\\\n", " ").splitlines()
    shown = [shlex.split(line) for line in lines if line.startswith("    lossopt ")]
    assert ["lossopt", *command()] in shown
    made = {"optimizers.html", "optimizers.json", "mlflow.db", "mlruns"}
    for words in shown:
        assert words[1] in {"sweep", "verify"}
        if words[1] == "sweep":
            read_options(words[2:])
        else:
            assert words[2] in made
    named = set(re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:ya?ml|json|html|db|md))`", text))
    assert {PLAN.name, str(WORKFLOW.relative_to(EXAMPLE))} <= named
    assert [name for name in sorted(named - made) if not (EXAMPLE / name).is_file()] == []
