from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core.checksum import checksum
from lit_lossopt.core.redaction import redact, redact_leaves
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.provenance import MAX_DIFF_BYTES, code_state


def git(*words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def fit(*words: str) -> Run:
    assert main(["fit", "--config=adam", "--config=digits", "--threads=1", "--trainer.max_epochs=1", *words]) == 0
    return read_runs("lit_lossopt")[-1]


def artifact(run: Run, name: str) -> Path:
    return Path("mlruns/lit_lossopt") / run.run_id / "artifacts" / name


def test_the_state_of_the_code(tmp_path: Path) -> None:
    assert code_state(tmp_path) == {}
    git("init", "-q")
    assert code_state(tmp_path) == {}
    file = tmp_path / "train.py"
    file.write_text("rate = 0.1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert code_state(tmp_path) == {"commit": commit, "dirty": False, "untracked": [], "diff": "", "diff_cut": False}
    file.write_text("rate = 0.2\n")
    (tmp_path / "new.py").touch()
    state = code_state(tmp_path)
    assert state["dirty"]
    assert "-rate = 0.1\n+rate = 0.2" in state["diff"]
    assert state["untracked"] == ["new.py"]
    file.write_text("é" * MAX_DIFF_BYTES)
    cut = code_state(tmp_path)
    assert len(cut["diff"].encode()) <= MAX_DIFF_BYTES
    assert cut["diff_cut"]


def test_checksums_are_sha256_and_tell_parts_apart() -> None:
    assert checksum(b"ab") == hashlib.sha256((2).to_bytes(8, "little") + b"ab").hexdigest()
    assert checksum(b"a", b"b") != checksum(b"ab") != checksum(b"ab", b"")


@pytest.mark.usefixtures("store")
def test_a_run_says_where_it_comes_from() -> None:
    git("init", "-q")
    Path("notes.txt").write_text("one\n")
    git("add", "notes.txt")
    git("commit", "-qm", "first")
    Path("notes.txt").write_text("see https://me:hidden@host\n")
    run = fit("--seed_everything=3")
    assert run.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    typed = "fit --config=adam --config=digits --threads=1 --trainer.max_epochs=1 --seed_everything=3"
    assert run.tags["mlflow.note.content"].startswith(f"`python -m lit_lossopt {typed}`")
    found: dict[str, Any] = json.loads(artifact(run, "provenance.json").read_text())
    assert found["code"]["dirty"]
    assert found["numerics"]["threads"] == 1
    assert {"python", "torch", "lightning", "mlflow", "lit_lossopt"} <= found["packages"].keys()
    config = artifact(run, "config.yaml").read_bytes()
    assert found["config_sha256"] == checksum(config) == run.tags["lossopt.config_sha256"]
    diff = artifact(run, "changes.diff").read_text()
    assert "+see https://***@host" in diff
    data = DigitsDataModule(seed=3)
    data.setup("fit")
    assert found["data_sha256"] == data.checksums()


def test_checksums_of_data_follow_the_split_and_the_images() -> None:
    def sums(**options: Any) -> dict[str, str]:
        data = DigitsDataModule(**options)
        data.setup("fit")
        return data.checksums()

    assert sums(seed=1) == sums(seed=1, batch_size=7)
    assert sums(seed=1) != sums(seed=2)
    assert set(sums(classes=[3, 5]).values()).isdisjoint(sums(classes=[5, 3]).values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://***@host/db"),
        ("a https://token@host/x?y=1, b", "a https://***@host/x?y=1, b"),
        ("https://host/a@b", "https://host/a@b"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("http://me:pass/w@rd77@host:80/x", "http://***@host:80/x"),
        ("http://host/x?a=1&password=canary77&b=2", "http://host/x?a=1&password=***&b=2"),
        ("mail me@host", "mail me@host"),
        ("'http://a:b@c' \"http://d:e@f\"", "'http://***@c' \"http://***@f\""),
    ],
)
def test_addresses_lose_names_and_passwords(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_secret_variables_lose_their_values_however_they_are_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", 'p@ss"w/rd')
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    monkeypatch.setenv("HARMLESS", "visible")
    spelled = 'p@ss"w/rd, ' + json.dumps('p@ss"w/rd')[1:-1] + ", p%40ss%22w%2Frd, abc, visible"
    assert redact(spelled) == "***, ***, ***, abc, visible"


def test_values_that_stand_in_every_text_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("TOKENIZERS_PARALLELISM", "false"), ("DB_PASSWORD", "179500"), ("A_SECRET", "False"),
        ("B_PASSWORD", "postgres"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    text = "nesterov: false, time: 1795001795, postgresql://host/db, postgres"
    assert redact(text) == "nesterov: false, time: 1795001795, postgresql://host/db, ***"
    assert redact_leaves({"postgres": ["a postgres", 179500, None]}) == {"postgres": ["a ***", 179500, None]}
