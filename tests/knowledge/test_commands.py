"""`ingest` and `search` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from knowledge import retrieval
from knowledge.models import Document, KnowledgeBase

pytestmark = pytest.mark.usefixtures("lexical_index", "chroma", "fake_embedder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "papers" / "deep").mkdir(parents=True)
    (tmp_path / "papers" / "goals.md").write_text("# Goals\n\nA goal is clear and measurable.", encoding="utf-8")
    (tmp_path / "papers" / "deep" / "habits.txt").write_text("Habits form slowly.", encoding="utf-8")
    (tmp_path / "papers" / "program.exe").write_bytes(b"MZ")
    (tmp_path / "papers" / ".hidden.txt").write_text("hidden", encoding="utf-8")
    retrieval._live.clear()
    return tmp_path / "papers"


def test_a_folder_is_added_and_indexed_here_when_no_worker_answers(folder: Path, capsys: Any) -> None:
    call_command("ingest", str(folder), "--base", "My papers", "--wait", "--json")
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["base"] == "my-papers"
    assert [document["state"] for document in found["documents"]] == ["ready", "ready"]
    assert found["refused"] == []
    assert "No worker answers" in err
    call_command("search", "clear goal", "--base", "my-papers", "--json", "-k", "1")
    result = json.loads(capsys.readouterr().out)
    assert result["passages"][0]["text"] == "A goal is clear and measurable."
    assert result["passages"][0]["scores"]["lexical_rank"] == 1
    call_command("search", "clear goal", "--base", "My papers")
    assert "1. Goals" in capsys.readouterr().out


def test_files_of_one_name_in_several_folders_are_different_files(tmp_path: Path, capsys: Any) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "readme.md").write_text(f"# {name}\n\nText of {name}.")
    call_command("ingest", str(tmp_path), "--base", "Two", "--json")
    assert list(Document.objects.values_list("filename", "replaces")) == [("readme.md", None)] * 2


def test_without_waiting_the_documents_wait(folder: Path, capsys: Any) -> None:
    call_command("ingest", str(folder), "--base", "personal")
    assert set(Document.objects.values_list("state", flat=True)) == {"pending"}
    assert "pending" in capsys.readouterr().out


def test_what_cannot_be_added_is_named_and_the_rest_is_added(folder: Path, capsys: Any) -> None:
    (folder / "empty.txt").touch()
    with pytest.raises(CommandError, match="1 of 3 files"):
        call_command("ingest", str(folder), "--base", "personal", "--json")
    out, err = capsys.readouterr()
    assert [entry["code"] for entry in json.loads(out)["refused"]] == ["empty"]
    assert "empty.txt" in err
    assert Document.objects.count() == 2


def test_a_document_that_fails_fails_the_command(folder: Path, capsys: Any) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4 no")
    with pytest.raises(CommandError, match="1 of 3 files"):
        call_command("ingest", str(folder), "--base", "personal", "--wait", "--json")
    states = {entry["filename"]: entry["error_code"] for entry in json.loads(capsys.readouterr().out)["documents"]}
    assert states["bad.pdf"] == "wrong_type"


@pytest.mark.parametrize("arguments", [["/nowhere/at/all"], ["."]])
def test_nothing_to_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError):
        call_command("ingest", *arguments, "--base", "personal")
    assert not KnowledgeBase.objects.exists()


def test_a_base_that_is_not_there() -> None:
    with pytest.raises(CommandError, match="no knowledge base called 'none'"):
        call_command("search", "x", "--base", "none")
