"""`manage.py fetchmodels`."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llm import catalogue
from llm.catalogue import DEFAULT, entries
from llm.errors import UnknownModel
from llm.management.commands.fetchmodels import NOT_TO_BE_HAD, needed_entries

from .conftest import ModelServer

CONTENT = b"a small model"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Path:
    """The default model is a file of 13 bytes; gives its place in the cache."""
    settings.CACHE_DIR = tmp_path / "cache"
    digest = hashlib.sha256(CONTENT).hexdigest()
    entry = replace(entries()[DEFAULT], bytes=len(CONTENT), sha256=digest, sources=())
    monkeypatch.setattr(catalogue, "entries", lambda: {DEFAULT: entry})
    monkeypatch.setattr("llm.management.commands.fetchmodels.entries", lambda: {DEFAULT: entry})
    return tmp_path / "cache" / "models" / entry.file


def _call(*arguments: str) -> str:
    out = io.StringIO()
    call_command("fetchmodels", *arguments, stdout=out)
    return out.getvalue()


def test_json_is_one_document_and_progress_goes_to_stderr(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.parent.mkdir(parents=True)
    tiny.write_bytes(CONTENT)
    found = json.loads(_call("--json"))
    assert found == {"models": [{"name": DEFAULT, "path": str(tiny), "bytes": len(CONTENT)}]}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"checking {DEFAULT}" in captured.err
    assert "13.0/13.0" in captured.err
    assert _call("--if-missing") == ""
    assert capsys.readouterr().err == ""


def test_what_cannot_be_had_is_one_sentence_and_code_3(tiny: Path, settings: Any) -> None:
    with pytest.raises(CommandError, match=f"{DEFAULT} is not on this machine, and COACH_OFFLINE") as caught:
        _call("--if-missing")
    assert caught.value.returncode == NOT_TO_BE_HAD == 3


def test_an_unknown_name_is_reported(tiny: Path) -> None:
    with pytest.raises(CommandError, match=f"The catalogue has no gpt-5; it has {DEFAULT}") as caught:
        _call("gpt-5")
    assert caught.value.returncode == 1


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ("", [DEFAULT]),
        ("llamacpp", [DEFAULT]),
        ("llamacpp:smollm2-135m,guided", ["smollm2-135m"]),
        ("openai:gpt-4o-mini,llamacpp:smollm2-135m", ["smollm2-135m"]),
        ("ollama:llama3.1", []),
        ("guided", []),
    ],
)
def test_only_what_is_named_is_needed(models: str, names: list[str], settings: Any) -> None:
    settings.COACH_MODELS = models
    assert [entry.name for entry in needed_entries()] == names


def test_a_running_ollama_needs_no_file(model_server: ModelServer, settings: Any) -> None:
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.tags = [{"name": "llama3.1:8b"}]
    assert needed_entries() == []


def test_a_file_of_ones_own_must_be_there(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    settings.COACH_MODELS = f"llamacpp:{path}"
    with pytest.raises(UnknownModel, match=r"own\.gguf does not exist"):
        needed_entries()
    path.write_bytes(b"GGUF")
    assert needed_entries() == []
