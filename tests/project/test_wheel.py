"""The built wheel, alone in another environment, runs a shipped config from another folder."""

from __future__ import annotations

import os
import site
import sqlite3
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, cwd=folder)
    return next(folder.glob("*.whl"))


OWN_NETWORK = """
from torch import nn


class Own(nn.Sequential):
    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_outputs))
"""


def test_the_wheel_holds_the_package_and_the_configs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    shipped = {f"lit_lossopt/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "lit_lossopt").rglob("*.py")}
    folders = [ROOT / "lit_lossopt" / place / "templates" for place in ("comparison/report", "landscape", "keras_twin")]
    templates = {str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir()}
    assert len(templates) == 13
    schema = "lit_lossopt/comparison/record/comparison-1.schema.json"
    assert set(names) == shipped | modules | templates | {schema}


@pytest.mark.slow
def test_the_installed_wheel_runs_a_config_by_bare_name_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    packages = next((home / "lib").glob("python*")) / "site-packages"
    # torch and the rest from this environment, behind the new one's own packages; editable installs are not followed.
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run(install, check=True)
    work = tmp_path / "elsewhere"
    work.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    }

    def run(*words: str) -> str:
        command = [str(home / "bin" / "python"), *words]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = Path(run("-c", "import lit_lossopt; print(lit_lossopt.__file__)").strip())
    assert found == packages / "lit_lossopt" / "__init__.py"
    fit = ["fit", "--config", "sgd_momentum.yaml", "--data=DigitsDataModule", "--trainer.max_epochs=1", "--threads=1"]
    assert "Usage: lossopt fit" in run("-m", "lit_lossopt", "fit", "--help")
    # The installed script finds modules of the working folder.
    (work / "mynets.py").write_text(OWN_NETWORK)
    run(str(packages / "bin" / "lossopt"), *fit, "--model.network=mynets.Own", "--allow-import", "mynets")
    # MLflow's own default store, in the working folder: what a bare `mlflow ui` opens there.
    with sqlite3.connect(work / "mlflow.db") as store:
        (steps,) = store.execute("select count(distinct step) from metrics where key = 'train/loss'").fetchone()
    assert steps == 20
    assert list((work / "mlruns" / "lit_lossopt").glob("*/artifacts/config.yaml"))
