"""Hundreds of files from the panel: each stands for itself, and one question tells what became of all."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from knowledge import web
from knowledge.models import Document, KnowledgeBase
from tests.knowledge.panel import BASES, document_of, read, staff, text_of

State = Document.State


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def _config(text: str) -> dict[str, Any]:
    [found] = re.findall(r'<script id="ac-upload-config" type="application/json">(.*?)</script>', text)
    config: dict[str, Any] = json.loads(found)
    return config


def _files(**contents: bytes) -> list[io.BytesIO]:
    made = []
    for name, content in contents.items():
        file = io.BytesIO(content)
        file.name = name.replace("__", ".")
        made.append(file)
    return made


def _send(panel: Client, base: Any, files: list[io.BytesIO], language: str = "") -> list[dict[str, Any]]:
    answer = panel.post(f"{BASES}/{base.pk}/upload/files/", {"file": files, "language": language})
    assert answer.status_code == 200
    return list(answer.json()["results"])


def _ask(panel: Client, base: Any, what: str, **body: Any) -> Any:
    path = f"{BASES}/{base.pk}/upload/{what}/"
    return panel.post(path, json.dumps(body), content_type="application/json")


def test_the_page_knows_where_files_go_and_what_is_open(panel: Client, base: Any) -> None:
    document_of(base, "walk.md")
    document_of(base, "scan.md", state=State.FAILED, error="No text was found.")
    read(document_of(base, "done.md"))
    config = _config(text_of(panel, f"{BASES}/{base.pk}/upload/"))
    assert config["api"]["receive"] == f"{BASES}/{base.pk}/upload/files/"
    assert {item["filename"]: item["error"] for item in config["documents"]} == {
        "walk.md": "",
        "scan.md": "No text was found.",
    }
    assert {".pdf", ".zip"} <= set(config["suffixes"])


def test_each_file_of_a_batch_stands_for_itself(panel: Client, base: Any) -> None:
    files = _files(lantern__md=b"# Lantern", photo__jpg=b"x", empty__txt=b"", again__md=b"# Lantern")
    lantern, photo, empty, again = _send(panel, base, files, language="sv")
    assert (lantern["state"], lantern["new"], lantern["language"]) == ("pending", True, "sv")
    assert (photo["code"], empty["code"]) == ("wrong_type", "empty")
    assert photo["message"].endswith(".")
    assert (again["id"], again["new"]) == (lantern["id"], False)
    assert [one.filename for one in Document.objects.all()] == ["lantern.md"]


def test_a_zip_file_gives_a_result_for_each_file_in_it(panel: Client, base: Any) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("notes/one.md", "# One")
        archive.writestr("notes/two.md", "# Two")
    packed.seek(0)
    packed.name = "notes.zip"
    [result, plain] = _send(panel, base, [packed, *_files(three__md=b"# Three")])
    assert [one["filename"] for one in result["inside"]] == ["one.md", "two.md"]
    assert plain["filename"] == "three.md"
    [broken] = _send(panel, base, _files(broken__zip=b"no zip at all"))
    assert broken["message"]
    assert "id" not in broken


def test_files_of_one_name_in_one_visit_are_no_versions_of_each_other(panel: Client, base: Any) -> None:
    path = f"{BASES}/{base.pk}/upload/files/"
    [first] = _send(panel, base, _files(readme__md=b"# One"))
    [other] = panel.post(path, {"file": _files(readme__md=b"# Two"), "beside": [first["id"], "x"]}).json()["results"]
    assert other["replaces"] is None
    Document.objects.filter(pk=other["id"]).delete()
    [newer] = _send(panel, base, _files(readme__md=b"# Three"))
    assert newer["replaces"] == first["id"], "in another visit it is a new version"


def test_an_unknown_language_is_refused_before_anything_is_stored(panel: Client, base: Any) -> None:
    answer = panel.post(f"{BASES}/{base.pk}/upload/files/", {"file": _files(a__md=b"# A"), "language": "xx"})
    assert answer.status_code == 422
    assert not Document.objects.exists()


def test_an_address_of_the_web_becomes_a_document_or_a_sentence(
    panel: Client, base: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    [refused] = _ask(panel, base, "address", url="https://example.org/a.md").json()["results"]
    assert refused["code"] == "addresses_off"
    assert "data-address" not in text_of(panel, f"{BASES}/{base.pk}/upload/")
    settings.COACH_URL_INGEST, settings.OFFLINE = True, False
    assert "data-address" in text_of(panel, f"{BASES}/{base.pk}/upload/")
    assert _ask(panel, base, "address").status_code == 422
    [inside] = _ask(panel, base, "address", url="http://127.0.0.1/a.md").json()["results"]
    assert inside["code"] == "address_refused"
    assert web.fetch  # the door to the network is tested with it, in test_web.py


def test_one_question_tells_what_became_of_all(panel: Client, base: Any, django_assert_max_num_queries: Any) -> None:
    rows = [Document(base=base, title="d", filename="d.md", sha256=f"{n:064}") for n in range(1000)]
    Document.objects.bulk_create(rows)
    failed, reading, deleted = rows[3], rows[5], uuid4()
    Document.objects.filter(pk=failed.pk).update(state=State.FAILED, error="No text was found.")
    Document.objects.filter(pk=reading.pk).update(state=State.PROCESSING, chunks_total=8, chunks_done=2)
    with django_assert_max_num_queries(9):
        found = _ask(panel, base, "progress", ids=[*(str(row.pk) for row in rows), str(deleted)]).json()
    moved = {one["id"]: one for one in found["moved"]}
    assert set(moved) == {str(failed.pk), str(reading.pk)}, "what waits is not sent a thousand times"
    assert moved[str(failed.pk)]["error"] == "No text was found."
    assert (moved[str(reading.pk)]["done"], moved[str(reading.pk)]["chunks"]) == (2, 8)
    assert (found["gone"], found["waiting"], found["left"]) == ([str(deleted)], 998, None)


def test_many_are_cancelled_and_tried_again_at_once(panel: Client, base: Any) -> None:
    documents = [document_of(base, f"{n}.md") for n in range(3)]
    Document.objects.filter(pk=documents[2].pk).update(state=State.READY)
    ids = [str(one.pk) for one in documents]
    for act, expected in (("cancel", "cancelled"), ("retry", "pending")):
        states = {
            UUID(one["id"]): one["state"] for one in _ask(panel, base, "act", act=act, ids=ids).json()["documents"]
        }
        assert states == {documents[0].pk: expected, documents[1].pk: expected, documents[2].pk: "ready"}
    assert _ask(panel, base, "act", act="remove", ids=ids).status_code == 422


@pytest.mark.parametrize("what", ["progress", "act"])
@pytest.mark.parametrize("body", ["", "[]", "{}", '{"ids": 3}', '{"ids": ["no-id"]}', '{"ids": [7]}'])
def test_a_bad_question_gets_a_plain_answer(panel: Client, base: Any, what: str, body: str) -> None:
    answer = panel.post(f"{BASES}/{base.pk}/upload/{what}/", body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


def test_documents_of_another_base_are_not_told_and_not_touched(panel: Client, base: Any) -> None:
    document = document_of(base, "walk.md")
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    ids = [str(document.pk)]
    assert _ask(panel, other, "progress", ids=ids).json()["moved"] == []
    assert _ask(panel, other, "act", act="cancel", ids=ids).json()["documents"] == []
    answer = panel.post(f"{BASES}/{other.pk}/states/", json.dumps({"ids": ids}), content_type="application/json")
    assert answer.json() == {"documents": []}
    document.refresh_from_db()
    assert document.state == State.PENDING


def test_an_upload_without_the_page_s_mark_is_refused(ada: Any, base: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert strict.post(f"{BASES}/{base.pk}/upload/files/", {"file": _files(a__md=b"# A")}).status_code == 403
    assert not Document.objects.exists()


def test_each_address_asks_for_its_permission(client: Client, alice: Any, base: Any) -> None:
    addresses = {
        "files": "add_document",
        "address": "add_document",
        "progress": "view_document",
        "act": "change_document",
    }
    client.force_login(alice)
    for what in addresses:
        assert client.post(f"{BASES}/{base.pk}/upload/{what}/").status_code == 302, "to the login"
    client.force_login(staff(alice))
    assert client.get(f"{BASES}/{base.pk}/upload/").status_code == 403
    for what in addresses:
        assert client.post(f"{BASES}/{base.pk}/upload/{what}/").status_code == 403
    client.force_login(staff(alice, *set(addresses.values())))
    for what in addresses:
        assert client.post(f"{BASES}/{base.pk}/upload/{what}/").status_code in (200, 422)
        assert client.get(f"{BASES}/{base.pk}/upload/{what}/").status_code == 405


def test_adding_a_document_leads_to_the_upload_page(panel: Client) -> None:
    KnowledgeBase.objects.all().delete()
    assert "Make a new knowledge base" in text_of(panel, "/admin/knowledge/document/add/")
    one = KnowledgeBase.objects.create(slug="one", name="One")
    answer = panel.get("/admin/knowledge/document/add/")
    assert answer.headers["Location"] == f"{BASES}/{one.pk}/upload/"
    two = KnowledgeBase.objects.create(slug="two", name="Two")
    assert f"{BASES}/{two.pk}/upload/" in text_of(panel, "/admin/knowledge/document/add/")
