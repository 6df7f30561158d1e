"""Docker cannot run where these tests run: the schema, and what must hold for each service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.servers import ROOT

APPLICATION = {"migrate", "web", "runner", "worker", "beat"}
SERVERS = {"postgres", "redis", "chroma", "ollama"}
ONCE = {"migrate", "model"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"])


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text(encoding="utf-8"))

    errors = [
        f"{list(error.path)}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(compose)
    ]

    assert errors == []


def test_every_process_of_the_design_is_there(services: dict[str, Any]) -> None:
    assert services.keys() == APPLICATION | SERVERS | {"model"}


def test_only_the_web_is_published_and_on_the_loopback(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service.get("ports")} == {"web"}
    assert services["web"]["ports"] == ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]


def test_what_stays_up_has_a_health_check(services: dict[str, Any]) -> None:
    checked = {name for name, service in services.items() if "test" in service.get("healthcheck", {})}
    assert checked == services.keys() - ONCE
    assert services["migrate"]["healthcheck"] == {"disable": True}


def test_dependencies_are_waited_for(services: dict[str, Any]) -> None:
    for name in ("web", "runner", "worker", "beat"):
        conditions = {server: wait["condition"] for server, wait in services[name]["depends_on"].items()}
        assert conditions.pop("migrate") == "service_completed_successfully"
        assert {"postgres", "redis", "chroma"} <= conditions.keys()
        assert set(conditions.values()) == {"service_healthy"}


def test_everything_is_hardened(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not service.get("privileged"), name
    for name in APPLICATION:
        assert services[name]["cap_drop"] == ["ALL"]


def test_secrets_are_asked_for_and_never_written_down(services: dict[str, Any]) -> None:
    for name in APPLICATION:
        environment = services[name]["environment"]
        assert environment["SECRET_KEY"].startswith("${SECRET_KEY:?")
        assert "${POSTGRES_PASSWORD:?" in environment["DATABASE_URL"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_data_lies_in_named_volumes(compose: dict[str, Any], services: dict[str, Any]) -> None:
    used = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    assert used == compose["volumes"].keys()


def test_redis_keeps_its_queue(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_chroma_server_is_the_version_of_its_client(services: dict[str, Any]) -> None:
    pinned = re.search(r"^chromadb==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert services["chroma"]["image"] == f"chromadb/chroma:{pinned[1]}"


def test_every_setting_is_one_that_the_application_reads(services: dict[str, Any]) -> None:
    read = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")
    for name in services["web"]["environment"]:
        assert f'"{name}"' in read, name
