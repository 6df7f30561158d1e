"""The edges of index generations: REST, commands and tasks, with a real Chroma behind the commands."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.services import create_token
from knowledge import entry_ids, gate, generations, passages, reindex, selectors, tasks, wake
from knowledge.models import Chunk, Document, IndexGeneration, KnowledgeBase
from tests.fakes import FakeEmbedder

State = IndexGeneration.State
Add = Callable[..., Document]
Work = Callable[[], int]
TEXT = "Coaching, goals and habits. " * 40


@pytest.fixture
def staff(ada: Any) -> Client:
    return Client(headers={"authorization": f"Bearer {create_token(user=ada)}"})


def url(base: KnowledgeBase, *rest: object) -> str:
    return "/".join([f"/api/v1/knowledge-bases/{base.slug}/generations", *map(str, rest)])


def test_ids_of_entries() -> None:
    entry = entry_ids.entry_id(7, 12)
    assert entry < 0
    assert entry_ids.chunk_of(entry) == entry_ids.chunk_of(12) == 12
    assert entry_ids.chunk_of(entry_ids.entry_id(2**31 - 1, 2**32 - 1)) == 2**32 - 1
    assert entry_ids.entry_id(2**31 - 1, 2**32 - 1) >= -(2**63)
    assert entry_ids.best_of([(entry, 0.9), (12, 0.8), (3, 0.7)]) == [(12, 0.9), (3, 0.7)]


def test_a_question_leads_to_the_passage_it_overlaps_most() -> None:
    spans = [(0, 100, 1), (100, 200, 2), (250, 300, 3)]
    wanted = {(0, 10): 1, (90, 130): 2, (95, 260): 2, (210, 240): None, (299, 400): 3, (120, 130): 2}
    assert {span: passages._most_overlapping(spans, *span) for span in wanted} == wanted


def test_starting_and_cancelling(staff: Client, base: KnowledgeBase) -> None:
    made = staff.post(url(base), data=json.dumps({"embedder": "minilm"}), content_type="application/json")
    assert made.status_code == 201
    data = made.json()
    assert (data["state"], data["embedder"], data["progress"], data["may"]) == (
        "building",
        "minilm",
        0.0,
        ["switch", "cancel"],
    )
    again = staff.post(url(base), data="{}", content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "already_building")
    assert [row["id"] for row in staff.get(url(base)).json()] == [data["id"]]
    assert staff.post(url(base, data["id"], "cancel")).json()["state"] == "cancelled"
    assert staff.post(url(base, data["id"], "cancel")).json()["code"] == "wrong_state"
    assert staff.post(url(base, data["id"], "retry")).json()["state"] == "building"
    assert staff.post(url(base, data["id"], "rollback")).json()["code"] == "nothing_before"
    staff.post(url(base, data["id"], "cancel"))
    assert staff.delete(url(base, data["id"])).status_code == 204
    assert staff.get(url(base, data["id"])).status_code == 404


def test_an_unknown_embedder_is_refused(staff: Client, base: KnowledgeBase) -> None:
    refused = staff.post(url(base), data='{"embedder": "none"}', content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_embedder")
    assert "COACH_EMBEDDER" not in refused.json()["message"]


@pytest.mark.parametrize(("method", "rest"), [("GET", ()), ("POST", ()), ("POST", ("1", "switch")), ("DELETE", ("1",))])
def test_only_staff(alice: Any, base: KnowledgeBase, method: str, rest: tuple[str, ...]) -> None:
    client = Client(headers={"authorization": f"Bearer {create_token(user=alice)}"})
    assert client.generic(method, url(base, *rest), "{}", content_type="application/json").status_code == 403


def test_switching_below_live_needs_an_override(staff: Client, base: KnowledgeBase) -> None:
    made = generations.start(base=base)
    recall = {"sv": {"questions": 40, "live": 0.9, "new": 0.5, "passed": False, "why": gate.TOO_FEW}}
    IndexGeneration.objects.filter(pk=made.pk).update(state=State.READY, recall=recall)
    shown = staff.get(url(base, made.pk)).json()
    assert (shown["passed"], shown["recall"]["sv"]["new"], shown["may"]) == (False, 0.5, ["override", "cancel"])
    refused = staff.post(url(base, made.pk, "switch"))
    assert (refused.status_code, refused.json()["code"]) == (409, "below_live")
    went = staff.post(url(base, made.pk, "switch") + "?override=true")
    assert went.json()["state"] == "building", "it was never found complete, so the worker looks first"


def test_progress_of_a_base(staff: Client, base: KnowledgeBase, add: Add) -> None:
    path = f"/api/v1/knowledge-bases/{base.slug}/progress"
    assert staff.get(path).json() == {
        "documents_waiting": 0,
        "chunks_left": 0,
        "chunks_per_second": None,
        "seconds_left": None,
    }
    add("x" * 9000, "unread.txt")
    read = add("y", "read.txt")
    Document.objects.filter(pk=read.pk).update(chunks_total=100, chunks_done=60)
    made = generations.start(base=base)
    IndexGeneration.objects.filter(pk=made.pk).update(state=State.LIVE, chunks_per_second=10.0)
    found = staff.get(path).json()
    assert (found["documents_waiting"], found["chunks_left"], found["seconds_left"]) == (2, 50, 5)


def test_the_answer_to_an_upload_names_the_version_it_replaces(staff: Client, base: KnowledgeBase, add: Add) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    old = add("First", "plan.txt")
    path = f"/api/v1/knowledge-bases/{base.slug}/documents"
    [made] = staff.post(path, {"file": SimpleUploadedFile("plan.txt", b"Second")}).json()
    assert made["replaces"] == str(old.pk)
    [again] = staff.post(path, {"file": SimpleUploadedFile("plan.txt", b"Second")}).json()
    assert again["id"] == made["id"]


def test_tasks_name_known_queues_and_are_woken_by_name() -> None:
    for task, name in ((tasks.complete_indexes, wake.INDEX), (tasks.forget_vectors, wake.FORGET)):
        assert task.queue in settings.CELERY_TASK_QUEUES
        assert task.name == name


def test_a_slice_that_is_not_the_last_queues_another(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "index_later", lambda: woken.append(1))
    monkeypatch.setattr(reindex, "complete", lambda *_: True)
    tasks.complete_indexes()
    monkeypatch.setattr(reindex, "complete", lambda *_: False)
    tasks.complete_indexes()
    assert woken == [1]


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture
def _two_embedders(monkeypatch: pytest.MonkeyPatch, fake_embedder: Any, tmp_path: Path) -> None:
    from knowledge import neutral
    from knowledge.embedding import registry

    monkeypatch.setattr(neutral, "_known", {})
    monkeypatch.setattr(settings, "CACHE_DIR", tmp_path / "cache")
    found = {"minilm": FakeEmbedder(id="minilm", dimensions=16), "e5-small": FakeEmbedder(id="e5-small")}
    monkeypatch.setattr(registry, "_loaded", found)


def run(*arguments: str) -> tuple[str, str]:
    out, errors = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


@pytest.mark.usefixtures("lexical_index", "chroma", "_two_embedders")
def test_reembed_waits_with_progress_on_stderr(base: KnowledgeBase, add: Add, work: Work) -> None:
    add(TEXT, "one.txt")
    work()
    out, errors = run("reembed", "--base", base.slug, "--model", "minilm", "--wait", "--json")
    [row] = json.loads(out)
    assert (row["state"], row["embedder"], row["progress"]) == ("live", "minilm", 1.0)
    assert "building" in errors and "live" in errors
    with pytest.raises(CommandError, match="no knowledge base"):
        run("reembed", "--base", "nowhere")
    with pytest.raises(CommandError, match="must be one of"):
        run("reembed", "--base", base.slug, "--model", "nonsense")
    out, _ = run("reembed", "--base", base.slug, "--no-switch", "--wait")
    assert out.startswith("ready")


@pytest.mark.usefixtures("lexical_index", "chroma", "_two_embedders")
def test_rebuild_index_makes_both_indexes_anew(base: KnowledgeBase, add: Add, work: Work) -> None:
    from knowledge import index, lexical

    add(TEXT, "one.txt")
    work()
    old = IndexGeneration.objects.get()
    index.drop(old.collection)
    lexical.remove(list(Chunk.objects.values_list("pk", flat=True)))
    _, errors = run("rebuild_index", "--wait")
    live = generations.live(base.pk)
    assert live is not None and live.pk != old.pk
    assert index.ids(live.collection) == set(Chunk.objects.values_list("pk", flat=True))
    assert lexical.search("coaching", [live.splitting_id], 5).ranking
    assert f"{base.slug}: the words of" in errors
    assert selectors.generation_data(IndexGeneration.objects.get(pk=old.pk))["may"] == ["remove"]
