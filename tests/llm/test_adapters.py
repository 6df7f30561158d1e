"""Tuned models of the embedded server: names, what is refused, who answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from llm import adapters, live_order
from llm.capabilities import capabilities
from llm.embedded import EmbeddedServer, adapter_name, adapter_server, shown_name
from llm.errors import ModelUnavailable, UnknownModel
from llm.local_models import names_in_use
from llm.own_server import as_adapter
from llm.registry import language_model, parse_models
from llm.types import ModelId


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    return tmp_path / "data"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    path.write_bytes(b"GGUF base")
    return path


def made(name: str, base: Path, tmp_path: Path) -> adapters.Adapter:
    source = tmp_path / f"made-{name}"
    source.mkdir()
    (source / "adapter.gguf").write_bytes(b"GGUF adapter")
    known = hashlib.sha256(base.read_bytes()).hexdigest()
    return adapters.install(name=name, source=source, base=str(base), base_sha256=known, facts={"after": 2.0})


def test_names() -> None:
    (model,) = parse_models("llamacpp:lora/coach-1")
    assert (adapter_name(model), shown_name(model)) == ("coach-1", "llamacpp:coach-1")
    assert adapters.model_id("coach-1") == model
    assert adapter_name(ModelId("llamacpp")) == adapter_name(ModelId("ollama", "lora/x")) == ""
    for wrong in ("llamacpp:lora/", "llamacpp:lora/../x", "llamacpp:lora/a b"):
        with pytest.raises(UnknownModel, match="llamacpp:lora/NAME"):
            parse_models(wrong)


def test_installed_is_what_is_whole(base: Path, tmp_path: Path, home: Path) -> None:
    adapter = made("one", base, tmp_path)
    (home / "adapters" / "half").mkdir()
    assert adapters.installed() == [adapter]
    assert adapters.find("one") == adapter
    assert adapters.find("half") is None
    assert adapters.find("../../etc") is None
    with pytest.raises(ModelUnavailable, match="already"):
        made("one", base, tmp_path / "data")


@pytest.mark.django_db
def test_loaded_are_those_in_use_and_the_newest(base: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four"):
        made(name, base, tmp_path)
    adapters.load(name="one")
    adapters.load(name="two")
    assert adapters.wanted() == ["one", "two"]
    adapters.load(name="three")
    assert adapters.wanted() == ["two", "three"]
    live_order.switch(order="llamacpp:lora/two,llamacpp", user_id=None)
    adapters.load(name="four")
    assert adapters.wanted() == ["two", "four"]
    live_order.switch(order="llamacpp:lora/four,llamacpp:lora/two", user_id=None)
    with pytest.raises(ModelUnavailable, match="2 tuned models are loaded and in use"):
        adapters.load(name="one")
    assert adapters.load(name="two").name == "two"  # it is there already
    adapters.unload(name="four")
    adapters.remove(name="one")
    assert adapters.wanted() == ["two"]
    assert adapters.find("one") is None


@pytest.mark.django_db
def test_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    made("one", base, tmp_path)
    base.write_bytes(b"GGUF other")
    with pytest.raises(ModelUnavailable, match="was trained on another model than the file SmolLM2"):
        adapters.load(name="one")
    base.unlink()
    with pytest.raises(ModelUnavailable, match="which is not here any more"):
        adapters.load(name="one")
    with pytest.raises(ModelUnavailable, match="no adapter called two"):
        adapters.load(name="two")
    assert adapters.wanted() == []


@pytest.mark.django_db
def test_too_little_memory_is_refused(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("one", base, tmp_path)
    monkeypatch.setattr(adapters, "free_memory", lambda: 300_000_000)
    with pytest.raises(ModelUnavailable, match=r"needs 0\.4 GB of memory, but only 0\.3 GB are free"):
        adapters.load(name="one")


@pytest.mark.django_db
def test_an_adapter_answers_from_its_own_server_and_only_while_it_is_loaded(base: Path) -> None:
    (model_id,) = parse_models("llamacpp:lora/one")
    model = language_model(model_id)
    with pytest.raises(ModelUnavailable, match="one is not loaded"):
        adapters.check_loaded(model=model_id)
    with pytest.raises(ModelUnavailable, match="one is not loaded"):
        model._server()  # type: ignore[attr-defined]
    with as_adapter("one", EmbeddedServer("http://127.0.0.1:1", "key", str(base))):
        assert adapter_server("one") == EmbeddedServer("http://127.0.0.1:1", "key", str(base))
        adapters.check_loaded(model=model_id)
        assert adapters.wait(name="one", seconds=0)
        assert not adapters.wait(name="two", seconds=0)
        assert capabilities(model).languages == {"en"}  # those of its base
        assert f"llamacpp:{base}" in names_in_use()  # the file of the base must stay
    assert adapter_server("one") is None


def test_a_damaged_list_loads_nothing(home: Path) -> None:
    (home / "adapters").mkdir(parents=True)
    (home / "adapters" / "wanted.json").write_text("{")
    assert adapters.wanted() == []
    (home / "adapters" / "wanted.json").write_text(json.dumps({"a": 1}))
    assert adapters.wanted() == []
    (home / "run").mkdir()
    (home / "run" / "adapters.json").write_text("[1]")
    assert adapter_server("one") is None
