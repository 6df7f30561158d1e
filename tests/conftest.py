"""Shared by all tests: an installation of their own, named people, real servers for those who ask.

The environment is set before Django reads its settings (pyproject.toml names no settings module for
pytest, because pytest-django would read them before this file): no test touches the data of a
running installation, and none is led by the settings of the person who runs it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

_FOREIGN = ("COACH_", "OPENAI_", "OLLAMA_", "DJANGO_", "REDIS_URL", "CHROMA_URL", "DATABASE_URL", "PORT", "DEBUG")
_KEPT = ("COACH_CACHE_DIR", "COACH_TEST_")
FOLDER = Path(tempfile.mkdtemp(prefix="coach-tests-"))
for _name in [name for name in os.environ if name.startswith(_FOREIGN) and not name.startswith(_KEPT)]:
    del os.environ[_name]
os.environ |= {
    "COACH_DATA_DIR": str(FOLDER / "data"),
    "COACH_OFFLINE": "1",
    "DJANGO_SETTINGS_MODULE": "config.settings",
}

VALKEY_SOCKET = FOLDER / "valkey.sock"


def pytest_configure(config: pytest.Config) -> None:
    """What differs from a real installation; everything else is as users have it."""
    from django.conf import settings

    from tests.servers import free_port

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    # Servers that most tests never start: a socket that is not there is refused at once.
    settings.REDIS_URL = f"unix://{VALKEY_SOCKET}?db=0"
    settings.CELERY_BROKER_URL = settings.REDIS_URL.replace("unix://", "redis+socket://", 1)
    settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0]["address"] = settings.REDIS_URL
    settings.CHROMA_URL = f"http://127.0.0.1:{free_port()}"
    settings.COACH_MODELS = "guided"
    # No thread of its own writes to the database of a test; those of the books switch it on.
    settings.LLM_CALL_DAYS = 0


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)


# --- no network ----------------------------------------------------------------------------------


class NetworkUsed(RuntimeError):
    """A test tried to leave this machine."""


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
        raise NetworkUsed(f"a test wants to reach {address[0]}:{address[1]}")


sys.addaudithook(_guard)


# --- people, coaches, knowledge ------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A request in Swedish leaves its thread Swedish: the next test would be answered so."""
    from django.utils import translation

    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def own_broker() -> Iterator[None]:
    """What one test sends goes to its own broker, or to none."""
    yield
    if wake := sys.modules.get("llm.wake"):
        wake.sender.cache_clear()


@pytest.fixture
def alice(db: None) -> Any:
    """A coachee."""
    return _person("alice")


@pytest.fixture
def bob(db: None) -> Any:
    """Another coachee; what belongs to alice does not exist for him."""
    return _person("bob")


@pytest.fixture
def ada(db: None) -> Any:
    """The administrator."""
    return _person("ada", is_staff=True, is_superuser=True)


def _person(name: str, **values: Any) -> Any:
    from accounts.models import User

    return User.objects.create_user(username=name, password=f"{name}-secret-1", **values)


@pytest.fixture
def base(db: None) -> Any:
    from knowledge.models import KnowledgeBase

    return KnowledgeBase.objects.get_or_create(slug="personal", defaults={"name": "Personal development"})[0]


@pytest.fixture
def coach(base: Any) -> Any:
    """The personal coach, who may cite `base`."""
    from coach.models import Coach

    defaults = {"name": "Personal coach", "mode": Coach.Mode.PERSONAL}
    found = Coach.objects.get_or_create(slug="personal", defaults=defaults)[0]
    found.knowledge_bases.set([base])
    return found


@pytest.fixture
def talk(alice: Any, coach: Any) -> Any:
    """A conversation of alice with the personal coach."""
    from coach.services import start_conversation

    return start_conversation(owner_id=alice.pk, coach=coach.slug, language="en")


# --- fakes ---------------------------------------------------------------------------------------


@pytest.fixture
def fake_embedder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Takes the place of COACH_EMBEDDER."""
    from django.conf import settings

    from knowledge.embedding import registry
    from tests.fakes import FakeEmbedder

    found = FakeEmbedder()
    monkeypatch.setattr(registry, "_loaded", {settings.COACH_EMBEDDER: found, found.id: found})
    return found


# --- servers -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """A real Valkey for the whole run; its URL is settings.REDIS_URL."""
    from tests.servers import valkey_server

    with valkey_server(FOLDER / "valkey", VALKEY_SOCKET) as url:
        yield url


@pytest.fixture
async def broker(valkey: str) -> AsyncIterator[str]:
    """An empty Valkey, and no client left over from the event loop of an earlier test."""
    from redis import asyncio as redis_asyncio

    async with redis_asyncio.Redis.from_url(valkey) as client:
        await client.flushall()
    yield valkey
    from channels.layers import channel_layers

    channel_layers.backends.clear()
    await asyncio.sleep(0)


@pytest.fixture(scope="session")
def chroma() -> Iterator[str]:
    """A real Chroma server for the whole run; its URL is settings.CHROMA_URL."""
    from django.conf import settings

    from tests.servers import chroma_server

    with chroma_server(FOLDER / "chroma", int(settings.CHROMA_URL.rpartition(":")[2])) as url:
        yield url


@pytest.fixture(scope="session")
def live() -> Iterator[Any]:
    """The whole application (`manage.py up`) with the fake model server, started once for the run."""
    from bench.application import FakeModel
    from tests.live import Live, start_application

    model = FakeModel()
    try:
        with start_application(FOLDER / "live", model) as application:
            application.wait_for_documents("personal")
            yield Live(application, model)
    finally:
        model.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the whole application carries the marker, so that `make check` stays quick."""
    for item in items:
        if "live" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.e2e)
        if isinstance(item, pytest.Function) and asyncio.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "closed_clients")


@pytest.fixture
async def closed_clients() -> AsyncIterator[None]:
    """No connection outlives the loop of its test."""
    from llm.loops import close_clients

    yield
    await close_clients()
