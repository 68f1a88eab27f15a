"""The container files agree with each other, with the package and with their page; containers/check.sh runs them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from lit_lossopt.__main__ import COMMANDS
from lit_lossopt.config.words import prepare
from tests.support.places import ROOT

INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$")


def _instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [(found[1], found[2]) for line in lines if (found := INSTRUCTION.match(line))]


def _stages() -> dict[str, list[tuple[str, str]]]:
    stages: dict[str, list[tuple[str, str]]] = {}
    for name, rest in _instructions():
        if name == "FROM":
            current = stages.setdefault(rest.rsplit(" AS ", 1)[1], [])
        current.append((name, rest))
    return stages


def _ignored(path: str) -> bool:
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch.fnmatch(path, line.removeprefix("!")):
            ignored = not line.startswith("!")
    return ignored


def _compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(content, dict)
    return content


SERVICES = _compose()["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def _commands_of_the_page(program: str) -> list[list[str]]:
    text = (ROOT / "docs" / "containers.md").read_text().replace("\\\n", " ")
    lines = re.findall(rf"^\$ ({program} .*)$", text, flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_source_of_a_copy_exists_and_is_sent_to_the_builder() -> None:
    sources = [
        source
        for name, rest in _instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert not _ignored(source)


@pytest.mark.parametrize("path", [".git", ".env", "data", "mlflow.db", "mlruns", ".venv", "tests", "docs"])
def test_what_is_private_or_large_is_not_sent_to_the_builder(path: str) -> None:
    assert _ignored(path)


def test_what_the_wheel_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    files = [project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"]
    copied = [word for name, rest in _stages()["wheel"] if name == "COPY" for word in rest.split()[:-1]]
    assert set(copied) == {*wheel, *files}


def test_the_server_has_the_packages_mlflow() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bound = next(dependency for dependency in dependencies if dependency.startswith("mlflow"))
    assert any(f'"{bound}"' in rest for name, rest in _stages()["server"] if name == "RUN")


@pytest.mark.parametrize("stage", ["train", "server"])
def test_an_image_runs_its_program_directly_and_not_as_root(stage: str) -> None:
    last = dict(_stages()[stage])
    assert last["USER"] == "lossopt"
    assert isinstance(json.loads(last["ENTRYPOINT"]), list)
    assert last["FROM"] == f"base AS {stage}"
    assert last["WORKDIR"] == last["VOLUME"] == "/work"
    written = dict(
        shlex.split(word)[0].split("=") for name, rest in _stages()[stage] if name == "ENV" for word in rest.split()
    )
    assert {written["HOME"], written["TMPDIR"]} == {"/work"}


def test_the_base_is_one_python_of_one_debian() -> None:
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-[a-z]+ AS base", dict(_stages()["base"])["FROM"])


def test_training_is_the_default_image() -> None:
    assert list(_stages())[-1] == "train"


@pytest.mark.parametrize("service", OURS)
def test_a_service_of_ours_is_confined(service: str) -> None:
    wanted = SERVICES[service]
    assert wanted["build"]["target"] in _stages()
    assert wanted["read_only"]
    assert wanted["cap_drop"] == ["ALL"]
    assert wanted["security_opt"] == ["no-new-privileges:true"]
    assert [volume.split(":")[1] for volume in wanted["volumes"]] == ["/work"]


def test_what_the_services_name_is_declared() -> None:
    compose = _compose()
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(compose["networks"])
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_only_this_machine_reaches_a_port() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["mlflow"]
    assert all(port.startswith("127.0.0.1:") for port in ports["mlflow"])


def test_no_password_is_written_down() -> None:
    passwords = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name
    ]
    assert len(passwords) == 2
    assert all(re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?[^}]+\}", value) for value in passwords)
    assert not re.search(r"//[^/@\s]*:[^/@\s]*@", (ROOT / "compose.yaml").read_text())


def test_training_finds_the_server_by_a_name_that_the_server_answers_to() -> None:
    host = SERVICES["train"]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert host in SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert host.split(":")[0] in SERVICES


def test_the_commands_of_the_page_are_commands() -> None:
    """Words after the image's or the service's name are what lossopt takes."""
    told = 0
    for words in _commands_of_the_page("docker"):
        names = [word for word in words if word in {"lossopt-train", *SERVICES}]
        if "run" in words[1:3]:
            command, *rest = words[words.index(names[0]) + 1 :]
            assert command in COMMANDS
            if command in ("fit", "validate", "test", "predict"):
                prepare(command, rest)
            told += 1
        elif words[1] == "compose":
            assert set(words[3:]) <= {"--detach", *SERVICES}
    assert told >= 4
