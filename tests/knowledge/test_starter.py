"""The starter knowledge follows its folder and touches nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge import services, starter
from knowledge.models import Document, KnowledgeBase

pytestmark = pytest.mark.usefixtures("lexical_index", "chroma", "fake_embedder")
Work = Callable[[], int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("personal/en/grow", "personal/sv/grow", "university/en/policy"):
        path = tmp_path / "starter" / f"{place}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Title of {place}\n\n## Part\n\nText of {place}.\n", encoding="utf-8")
    return tmp_path / "starter"


def texts() -> list[str]:
    return sorted(Document.objects.filter(state="ready").values_list("title", flat=True))


def test_both_bases_and_all_languages(folder: Path, work: Work) -> None:
    assert starter.register(folder) == starter.Report(3, 0, 0)
    assert set(KnowledgeBase.objects.values_list("slug", "name")) == {
        ("personal", "Personal development"),
        ("university", "AI in the university"),
    }
    work()
    assert texts() == ["Title of personal/en/grow", "Title of personal/sv/grow", "Title of university/en/policy"]
    assert set(Document.objects.values_list("starter", "language")) == {
        ("en/grow", "en"),
        ("sv/grow", "sv"),
        ("en/policy", "en"),
    }


def test_again_changes_nothing(folder: Path, work: Work) -> None:
    starter.register(folder)
    work()
    before = sorted(Document.objects.values_list("pk", "updated"))
    assert starter.register(folder) == starter.Report(0, 0, 3)
    assert sorted(Document.objects.values_list("pk", "updated")) == before


def test_a_changed_article_is_there_all_the_time(folder: Path, work: Work) -> None:
    starter.register(folder)
    work()
    (folder / "personal/en/grow.md").write_text("# New title\n\nNew text.\n", encoding="utf-8")
    assert starter.register(folder) == starter.Report(1, 0, 2)
    assert "Title of personal/en/grow" in texts()
    assert starter.register(folder) == starter.Report(0, 0, 3)
    work()
    assert texts() == ["New title", "Title of personal/sv/grow", "Title of university/en/policy"]


def test_a_change_that_is_taken_back(folder: Path, work: Work) -> None:
    starter.register(folder)
    work()
    path = folder / "personal/en/grow.md"
    old = path.read_text(encoding="utf-8")
    path.write_text("# New title\n\nNew text.\n", encoding="utf-8")
    starter.register(folder)
    path.write_text(old, encoding="utf-8")
    assert starter.register(folder) == starter.Report(0, 1, 3)
    work()
    assert "Title of personal/en/grow" in texts()
    assert Document.objects.count() == 3


def test_a_removed_article_goes_and_other_documents_stay(folder: Path, work: Work) -> None:
    starter.register(folder)
    base = KnowledgeBase.objects.get(slug="personal")
    own, _ = services.add_document(base=base, filename="grow.md", content=io.BytesIO(b"My own text"), language="en")
    work()
    (folder / "personal/en/grow.md").unlink()
    assert starter.register(folder) == starter.Report(0, 1, 2)
    assert Document.objects.filter(pk=own.pk).exists()
    assert Document.objects.count() == 3


def test_the_articles_that_are_shipped_have_four_languages() -> None:
    for base in starter.BASES:
        names = [
            {path.name for path in (starter.FOLDER / base / language).glob("*.md")}
            for language in ("en", "sv", "nb", "ko")
        ]
        assert names[0]
        assert all(found == names[0] for found in names)


def test_the_command(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.management import call_command

    monkeypatch.setattr(starter.register, "__defaults__", (folder,))
    call_command("load_starter_knowledge")
    assert "3 added" in capsys.readouterr().err
