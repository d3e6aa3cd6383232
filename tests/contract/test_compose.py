"""compose.yaml: who gets keys, who the socket, what listens where; Compose itself reads it where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import missing

ROOT = Path(__file__).parents[2]
PASSWORDS = {"POSTGRES_PASSWORD": "p1", "REDIS_PASSWORD": "r1"}


def composed() -> list[str] | None:
    """The Compose command that this machine has, the plugin or the program."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and not subprocess.run([*words, "version"], capture_output=True).returncode:
            return words
    return None


def read(environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    words = composed()
    if words is None:
        missing("Docker Compose isn't installed; the other tests still read the file as YAML")
    assert words is not None
    nothing = folder / "env"
    nothing.touch()
    clean = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
    return subprocess.run(
        [*words, "--env-file", str(nothing), "-f", str(ROOT / "compose.yaml"), "config"],
        capture_output=True,
        text=True,
        env={**clean, **environment},
    )


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])


def test_compose_understands_the_file(tmp_path: Path) -> None:
    answer = read(PASSWORDS, tmp_path)
    assert answer.returncode == 0, answer.stderr
    services = yaml.safe_load(answer.stdout)["services"]
    assert {"redis", "postgres", "propose", "evaluate"} <= services.keys()
    where = "postgresql+psycopg://guided_evolution:p1@postgres:5432/guided_evolution"
    assert services["evaluate"]["environment"]["GUIDED_EVOLUTION_ARCHIVE"] == where
    assert services["evaluate"]["environment"]["GUIDED_EVOLUTION_BROKER"] == "redis://:r1@redis:6379/0"


def test_without_passwords_nothing_starts(tmp_path: Path) -> None:
    answer = read({"POSTGRES_PASSWORD": "p1", "REDIS_PASSWORD": ""}, tmp_path)
    assert answer.returncode != 0
    assert "set it in .env" in answer.stderr


def test_keys_and_the_docker_socket_never_meet(services: dict[str, Any]) -> None:
    with_keys = {name for name, one in services.items() if "API_KEY" in str(one.get("environment"))}
    with_socket = {name for name, one in services.items() if "docker.sock" in str(one.get("volumes"))}
    assert (with_keys, with_socket) == ({"propose"}, {"evaluate"})
    assert services["evaluate"]["networks"] == ["inner"]


def test_nothing_listens_beyond_loopback(services: dict[str, Any]) -> None:
    ports = [port for one in services.values() for port in one.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    assert {name for name, one in services.items() if "healthcheck" not in one} == {"command"}


def test_the_example_names_every_variable() -> None:
    example = (ROOT / ".env.example").read_text()
    wanted = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "OPENAI_API_KEY", "EVALUATE_SLOTS", "PROPOSE_SLOTS"}
    assert all(f"\n{name}=" in example for name in wanted)
