"""Fixtures of the tests about local models; tests/llm/conftest.py makes them known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm import policy
from llm.catalogue import Entry, HubFile
from llm.download import hub as hub_downloads

from .model_sources import CONTENT, SHA256, Hub, OllamaServer


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Hub]:
    """A small model hub; models are kept in a folder of this test, and the network is allowed."""
    found = Hub()
    settings.OFFLINE = False
    settings.CACHE_DIR = tmp_path / "cache"
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("HF_ENDPOINT", found.url)
    monkeypatch.setattr(hub_downloads, "PAUSE_SECONDS", 0.0)
    yield found
    found.close()


@pytest.fixture
def ollama_server(settings: Any) -> Iterator[OllamaServer]:
    found = OllamaServer()
    settings.OFFLINE = False
    settings.OLLAMA_BASE_URL = found.url
    policy.forget()
    yield found
    found.close()
    policy.forget()


@pytest.fixture
def small_catalogue(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> dict[str, Entry]:
    """Three files on `hub`: one whose hash is known here, one whose hash only the hub knows, one with a wrong hash."""
    found = {}
    for name, sha256, approximate in (("known", SHA256, False), ("unknown", "", True), ("other", "0" * 64, False)):
        file = f"{name}.gguf"
        hub.files[f"/maker/{name}/{file}"] = CONTENT
        size = 1_000_000 if approximate else len(CONTENT)
        source = HubFile(f"maker/{name}", file)
        found[name] = Entry(
            name, name, "llamacpp", file, size, sha256, ("en",), "MIT", 512, 2_000_000, "", (source,), approximate
        )
    for place in ("llm.catalogue", "llm.local_models"):
        monkeypatch.setattr(f"{place}.entries", lambda: found)
    return found
