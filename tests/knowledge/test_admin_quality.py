"""The pages of map, similar passages, and questions: who may, what they store, what they show."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from knowledge import jobs
from knowledge.models import (
    Chunk,
    Document,
    DocumentText,
    IndexGeneration,
    IndexMap,
    Job,
    PassagePair,
    QuestionAnswer,
    Splitting,
)
from knowledge.text_difference import marked

from .quality import sent  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]
TEXT = "Sleep for 8 hours in a dark room. <b>Rest</b> well."


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def address(base: Any) -> str:
    return f"/admin/knowledge/knowledgebase/{base.pk}"


@pytest.fixture
def splitting(base: Any) -> Splitting:
    return Splitting.objects.create(base=base, splitter="test")


@pytest.fixture
def live(base: Any, splitting: Splitting) -> IndexGeneration:
    return IndexGeneration.objects.create(
        base=base, splitting=splitting, embedder="fake", dimensions=2, collection=uuid4().hex, state="live"
    )


@pytest.fixture
def chunk(base: Any, splitting: Splitting) -> Any:
    def make(title: str, text: str = TEXT, **values: Any) -> Chunk:
        document = Document.objects.create(
            base=base, title=title, filename=f"{title}.md", sha256=uuid4().hex, state="ready", **values
        )
        DocumentText.objects.create(document=document, text=text)
        return Chunk.objects.create(
            document=document, splitting=splitting, position=0, start=0, end=len(text), text=text
        )

    return make


def text_of(client: Client, url: str, **query: Any) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


# --- jobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "kind", "given"),
    [("map", "map", {}), ("pairs", "pairs", {"cloud": "on"}), ("questions", "questions", {"document": ""})],
)
def test_a_job_is_started_shown_and_cancelled(
    panel: Client, address: str, base: Any, chunk: Any, page: str, kind: str, given: dict[str, str]
) -> None:
    if "document" in given:
        given = {"document": str(chunk("Sleep").document_id)}
    assert panel.post(f"{address}/{page}/start/", given).status_code == 302
    job = base.jobs.get()
    assert (job.kind, job.state) == (kind, Job.State.WAITING)
    if kind == "pairs":
        assert job.options == {"cloud": True}
    [shown] = panel.get(f"{address}/jobs/{kind}/").json()["jobs"]
    assert (shown["id"], shown["over"]) == (str(job.pk), False)
    assert f"/jobs/{kind}/{job.pk}/cancel/" in text_of(panel, f"{address}/{page}/")
    assert panel.post(f"{address}/jobs/{kind}/{job.pk}/cancel/").status_code == 302
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert "It was cancelled." in text_of(panel, f"{address}/{page}/")


@pytest.mark.parametrize("page", ["map", "pairs", "questions"])
def test_an_empty_base_has_its_pages_too(panel: Client, address: str, page: str) -> None:
    text_of(panel, f"{address}/{page}/")
    assert panel.get(f"{address}/{page}/start/").status_code == 405


def test_who_may_see_may_not_change(client: Client, alice: Any, address: str, chunk: Any, base: Any) -> None:
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    for page in ("map", "pairs", "questions", "jobs/map"):
        assert client.get(f"{address}/{page}/").status_code == 403
    names = ("view_indexmap", "view_passagepair", "view_questionanswer", "view_knowledgebase")
    alice.user_permissions.set(Permission.objects.filter(codename__in=names))
    one, other = chunk("One"), chunk("Other")
    pair = PassagePair.objects.create(base=base, one=one, other=other, kind="duplicate", similarity=1.0)
    job = jobs.ask(base=base, kind=Job.Kind.MAP)
    for page in ("map", "pairs", "questions", "jobs/map"):
        text = text_of(client, f"{address}/{page}/")
        assert "/start/" not in text
        assert "/dismiss/" not in text
    for url, given in (
        ("map/start", {}),
        ("pairs/start", {}),
        ("pairs/dismiss", {"pair": pair.pk}),
        ("questions/start", {"document": str(one.document_id)}),
        ("questions/judge", {}),
        ("questions/edit", {}),
        (f"jobs/map/{job.pk}/cancel", {}),
    ):
        assert client.post(f"{address}/{url}/", given).status_code == 403, url


def test_an_unknown_kind_of_job_is_refused(panel: Client, address: str) -> None:
    assert panel.get(f"{address}/jobs/everything/").status_code == 403


# --- map -----------------------------------------------------------------------------------------


def test_the_map_asks_to_be_drawn_when_the_index_changed(
    panel: Client, address: str, base: Any, live: IndexGeneration, chunk: Any
) -> None:
    one = chunk("Sleep", language="en")
    assert "data-by-itself" in text_of(panel, f"{address}/map/")
    document = str(one.document_id)
    IndexMap.objects.create(
        generation=live,
        axes={"seen": [1, one.pk], "questions": []},
        documents=[document],
        points=[[one.pk, 0, 0.25, 0.75]],
    )
    text = text_of(panel, f"{address}/map/")
    assert "data-by-itself" not in text
    assert "1 passage by subject" in text
    data = panel.get(f"{address}/map/data/").json()
    assert data["points"] == [[one.pk, 0, 0.25, 0.75]]
    assert data["groups"] == [{"title": "Sleep", "passages": 1, "colour": 0}]
    assert data["documents"][0]["url"] == f"/admin/knowledge/document/{document}/change/"
    chunk("Rest")
    assert "The index has changed" in text_of(panel, f"{address}/map/")
    job = jobs.ask(base=base, kind=Job.Kind.MAP)
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED)
    assert "data-by-itself" not in text_of(panel, f"{address}/map/"), "not again and again"


def test_a_passage_is_read_in_its_own_base_only(panel: Client, address: str, chunk: Any) -> None:
    one = chunk("Sleep", language="en")
    found = panel.get(f"{address}/map/passage/{one.pk}/").json()
    assert (found["title"], found["text"]) == ("Sleep", TEXT)
    assert panel.get(f"{address}/map/passage/{one.pk + 1}/").status_code == 404
    elsewhere = address.rpartition("/")[0] + "/99999"
    assert panel.get(f"{elsewhere}/map/passage/{one.pk}/").status_code == 404
    assert panel.get(f"{address}/map/data/").status_code == 404


def test_translations_share_a_colour(panel: Client, address: str, live: IndexGeneration, chunk: Any) -> None:
    one, other = chunk("Sleep", language="en"), chunk("Sömn", language="sv")
    Document.objects.update(filename="sleep.md")
    IndexMap.objects.create(
        generation=live,
        documents=[str(one.document_id), str(other.document_id)],
        points=[[one.pk, 0, 0.1, 0.1], [other.pk, 1, 0.2, 0.2]],
    )
    data = panel.get(f"{address}/map/data/").json()
    assert data["groups"] == [{"title": "Sleep", "passages": 2, "colour": 0}]
    assert [document["group"] for document in data["documents"]] == [0, 0]


# --- pairs ---------------------------------------------------------------------------------------


def test_differences_are_marked_and_the_texts_stay_whole() -> None:
    one, other = "Sleep for 8 hours.", "Sleep for 9 long hours."
    first, second = marked(one, other)
    assert "".join(piece.text for piece in first) == one
    assert "".join(piece.text for piece in second) == other
    assert "8" in [piece.text for piece in first if piece.own]
    assert all(piece.text in other for piece in first if not piece.own)


def test_pairs_side_by_side_are_dismissed_and_taken_back(panel: Client, address: str, base: Any, chunk: Any) -> None:
    one, other = chunk("One"), chunk("Other", TEXT.replace("8", "9"))
    pair = PassagePair.objects.create(
        base=base, one=one, other=other, kind="contradiction", similarity=0.97, note="#numbers 8 / 9"
    )
    text = text_of(panel, f"{address}/pairs/")
    assert "<mark>8</mark>" in text
    assert "<mark>9</mark>" in text
    assert "&lt;b&gt;Rest" in text
    assert "no model has judged it" in text
    assert f"/admin/knowledge/document/{one.document_id}/delete/" in text
    answer = panel.post(f"{address}/pairs/dismiss/", {"pair": pair.pk, "show": "contradiction"})
    assert answer["Location"].endswith("?show=contradiction")
    pair.refresh_from_db()
    assert pair.dismissed
    assert "None here." not in text
    assert "<mark>" not in text_of(panel, f"{address}/pairs/")
    assert "<mark>" in text_of(panel, f"{address}/pairs/", show="dismissed")
    panel.post(f"{address}/pairs/dismiss/", {"pair": pair.pk, "undo": "1", "show": "//evil.example"})
    pair.refresh_from_db()
    assert not pair.dismissed


# --- questions -----------------------------------------------------------------------------------


@pytest.fixture
def pair(chunk: Any) -> QuestionAnswer:
    one = chunk("Sleep", language="en")
    return QuestionAnswer.objects.create(
        document=one.document, start=0, end=33, question="How long?", answer="8 hours.", language="en"
    )


def send(client: Client, url: str, **data: Any) -> Any:
    return client.post(url, data, content_type="application/json")


def test_a_proposal_is_shown_with_its_passage_and_judged(
    panel: Client, address: str, pair: QuestionAnswer, ada: Any
) -> None:
    text = text_of(panel, f"{address}/questions/")
    assert "How long?" in text
    assert "Sleep for 8 hours in a dark room." in text
    judge = f"{address}/questions/judge/"
    answer = send(panel, judge, ids=[pair.pk], state="approved")
    assert answer.json() == {"changed": 1, "message": "1 approved."}
    pair.refresh_from_db()
    assert (pair.state, pair.reviewed_by) == ("approved", ada)
    assert "How long?" not in text_of(panel, f"{address}/questions/")
    assert "How long?" in text_of(panel, f"{address}/questions/", state="approved", document=pair.document_id)
    for wrong in ({}, {"ids": "1", "state": "approved"}, {"ids": [pair.pk], "state": "gone"}, {"ids": ["1"]}):
        assert send(panel, judge, **wrong).status_code == 422
    assert panel.post(judge, "no json", content_type="application/json").status_code == 422


def test_a_proposal_is_edited(panel: Client, address: str, pair: QuestionAnswer) -> None:
    edit = f"{address}/questions/edit/"
    answer = send(panel, edit, id=pair.pk, question=" How many hours? ", answer="8.")
    assert answer.json() == {"question": "How many hours?", "answer": "8."}
    pair.refresh_from_db()
    assert pair.question == "How many hours?"
    for wrong in ({}, {"id": pair.pk, "question": "", "answer": "8"}, {"id": 0, "question": "a", "answer": "b"}):
        assert send(panel, edit, **wrong).status_code == 422


def test_several_documents_are_asked_about_from_their_list(panel: Client, base: Any, chunk: Any) -> None:
    ready, failed = chunk("Sleep").document, chunk("Broken").document
    Document.objects.filter(pk=failed.pk).update(state=Document.State.FAILED)
    chosen = {"action": "propose_questions", "_selected_action": [str(ready.pk), str(failed.pk)]}
    answer = panel.post("/admin/knowledge/document/", chosen)
    assert answer["Location"] == f"/admin/knowledge/knowledgebase/{base.pk}/questions/"
    assert base.jobs.get().options == {"documents": [str(ready.pk)], "cloud": False}


def test_without_a_document_nothing_is_started(panel: Client, address: str, base: Any) -> None:
    for given in ({}, {"document": "nonsense"}, {"document": str(uuid4())}):
        assert panel.post(f"{address}/questions/start/", given).status_code == 302
    assert not base.jobs.exists()


def test_the_page_of_a_document_leads_to_its_questions(panel: Client, address: str, chunk: Any) -> None:
    document = chunk("Sleep").document
    page = text_of(panel, f"/admin/knowledge/document/{document.pk}/change/")
    assert f"{address}/questions/?document={document.pk}" in page
