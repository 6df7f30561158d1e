"""The panel's part about coaching: figures, model names, and what an administrator must not read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone

from coach.admin_dashboard import turn_figures
from coach.models import Coach, Conversation, Rating, Source, Turn
from coach.services import ask, rate
from knowledge.models import Document

QUESTION = "How do I tell my sister about the divorce?"
ANSWER = "Begin with what you need from her [1]."


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def turn(alice: Any, talk: Any) -> Turn:
    """An answered turn of alice; her question is the title of the conversation too."""
    turn_id = uuid4()
    ask(user_id=alice.pk, turn_id=turn_id, conversation_id=talk.pk, text=QUESTION)
    Source.objects.create(
        conversation=talk, n=1, title="Talking", location="p. 2", text="Say it early.", excerpt="Say it"
    )
    Turn.objects.filter(pk=turn_id).update(
        state=Turn.State.DONE,
        answer=ANSWER,
        sources=[{"n": 1, "score": 0.03}],
        citations=[1],
        model="guided",
        place="local",
        grounded=True,
        timings={"first_token": 1.834, "total": 7.2},
        finished=timezone.now(),
    )
    return Turn.objects.get(pk=turn_id)


def _text(client: Client, path: str, **query: Any) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.content.decode())


def _private(text: str) -> bool:
    return "divorce" not in text and "what you need" not in text


# --- privacy -------------------------------------------------------------------------------------


def test_lists_and_the_dashboard_show_no_text(panel: Client, turn: Turn) -> None:
    rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=2, helpful=False, comment="Too short")
    Turn.objects.create(
        conversation=turn.conversation,
        position=1,
        question=QUESTION,
        state=Turn.State.FAILED,
        failure="No model answered.",
    )
    for path in ("/admin/", "/admin/coach/turn/", "/admin/coach/conversation/", "/admin/coach/rating/"):
        assert _private(_text(panel, path)), path
    assert _private(_text(panel, f"/admin/coach/conversation/{turn.conversation_id}/change/"))


def test_an_unrated_turn_shows_only_how_it_went_and_says_why(panel: Client, turn: Turn) -> None:
    text = _text(panel, f"/admin/coach/turn/{turn.pk}/change/")
    assert _private(text)
    assert "alice" not in text
    assert "Say it early" not in text
    assert "1.83 s" in text
    assert "private" in text


def test_stars_alone_do_not_open_a_turn(panel: Client, turn: Turn) -> None:
    rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=5, helpful=None, comment="  ")
    text = _text(panel, f"/admin/coach/turn/{turn.pk}/change/")
    assert _private(text)
    assert "★★★★★" in text


def test_a_commented_turn_shows_question_answer_sources_and_rating(panel: Client, turn: Turn) -> None:
    rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=2, helpful=False, comment="Too <b>short</b>")
    other = Turn.objects.create(conversation=turn.conversation, position=1, question="And what about mother?")
    text = _text(panel, f"/admin/coach/turn/{turn.pk}/change/")
    for part in (QUESTION, ANSWER, "Say it early.", "★★☆☆☆", "not helpful", "Too &lt;b&gt;short"):
        assert part in text, part
    assert other.question not in text


@pytest.mark.parametrize(
    ("path", "lookup"),
    [
        ("turn", "question__icontains"),
        ("turn", "answer__contains"),
        ("turn", "conversation__title__icontains"),
        ("turn", "conversation__owner__username"),
        ("conversation", "title__icontains"),
        ("conversation", "owner__username"),
        ("conversation", "turns__question__icontains"),
        ("rating", "turn__question__icontains"),
        ("rating", "turn__conversation__owner"),
        ("coach", "conversations__title__icontains"),
    ],
)
def test_nobody_can_ask_who_wrote_what(panel: Client, turn: Turn, path: str, lookup: str) -> None:
    assert panel.get(f"/admin/coach/{path}/", {lookup: "divorce"}).status_code == 400


def test_search_finds_no_text(panel: Client, turn: Turn) -> None:
    for path in ("turn", "conversation", "rating"):
        assert "/admin/coach/turn/" in _text(panel, f"/admin/coach/{path}/", q="no such word") or path != "turn"
    assert _private(_text(panel, "/admin/search/", s="divorce", extended=1))


@pytest.mark.parametrize("what", ["add/", "{id}/delete/", "{id}/history/"])
def test_turns_are_not_made_changed_or_deleted_here(panel: Client, turn: Turn, what: str) -> None:
    path = f"/admin/coach/turn/{what.format(id=turn.pk)}"
    assert panel.get(path).status_code in {403, 404}
    assert panel.post(path, {"post": "yes"}).status_code in {403, 404}
    panel.post(f"/admin/coach/turn/{turn.pk}/change/", {"question": "changed"})
    panel.post("/admin/coach/turn/", {"action": "delete_selected", "_selected_action": [turn.pk], "post": "yes"})
    assert Turn.objects.get(pk=turn.pk).question == QUESTION


def test_a_rating_leads_to_its_turn(panel: Client, turn: Turn) -> None:
    rating = rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=4, helpful=True, comment="Good")
    assert f"/admin/coach/turn/{turn.pk}/change/" in _text(panel, "/admin/coach/rating/")
    answer = panel.get(f"/admin/coach/rating/{rating.pk}/change/")
    assert answer.headers["Location"] == f"/admin/coach/turn/{turn.pk}/change/"


def test_a_coach_with_conversations_stays_and_names_none_of_them(panel: Client, turn: Turn, coach: Coach) -> None:
    text = _text(panel, f"/admin/coach/coach/{coach.pk}/delete/")
    assert "1 conversation" in text
    assert _private(text)
    panel.post(f"/admin/coach/coach/{coach.pk}/delete/", {"post": "yes"})
    assert Coach.objects.filter(pk=coach.pk).exists()


@pytest.mark.parametrize(
    "query",
    [
        {"state__exact": "done"},
        {"grounded__exact": "1"},
        {"rated": "commented"},
        {"rated": "low"},
        {"model": "guided"},
        {"created__gte": "2020-01-01 00:00:00+00:00"},
    ],
)
def test_the_filters_of_the_turn_list_work(panel: Client, turn: Turn, query: dict[str, str]) -> None:
    rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=2, helpful=False, comment="Too short")
    assert str(turn.pk) in _text(panel, "/admin/coach/turn/", **query)


def test_other_turns_are_filtered_out(panel: Client, turn: Turn) -> None:
    assert str(turn.pk) not in _text(panel, "/admin/coach/turn/", rated="high")
    assert str(turn.pk) in _text(panel, "/admin/coach/turn/", rated="none")


# --- coaches -------------------------------------------------------------------------------------


def _form(coach: Coach, **changes: Any) -> dict[str, Any]:
    bases = list(coach.knowledge_bases.values_list("pk", flat=True))
    form = {"name": coach.name, "slug": coach.slug, "mode": coach.mode, "position": 0, "active": "on"}
    return {**form, "knowledge_bases": bases, "language_models": "", **changes}


def test_language_models_are_checked_before_they_are_saved(panel: Client, coach: Coach) -> None:
    path = f"/admin/coach/coach/{coach.pk}/change/"
    answer = panel.post(path, _form(coach, language_models="olama:llama3.1"))
    assert answer.status_code == 200
    assert "olama" in answer.content.decode()
    coach.refresh_from_db()
    assert coach.language_models == ""
    assert panel.post(path, _form(coach, language_models=" ollama:llama3.1, guided ")).status_code == 302
    coach.refresh_from_db()
    assert coach.language_models == "ollama:llama3.1, guided"


def test_knowledge_bases_of_a_coach_are_ticked(panel: Client, coach: Coach) -> None:
    assert panel.post(f"/admin/coach/coach/{coach.pk}/change/", _form(coach, knowledge_bases=[])).status_code == 302
    assert coach.knowledge_bases.count() == 0


# --- dashboard -----------------------------------------------------------------------------------


def _at(turn_id: UUID, **ago: int) -> None:
    Turn.objects.filter(pk=turn_id).update(created=timezone.now() - timedelta(**ago))


def test_the_figures_count_what_is_stored(turn: Turn, talk: Conversation) -> None:
    def make(position: int, state: str, **values: Any) -> Turn:
        return Turn.objects.create(conversation=talk, position=position, question="?", state=state, **values)

    _at(make(1, Turn.State.FAILED, failure="No model answered.").pk, days=3)
    _at(make(2, Turn.State.DONE, grounded=False).pk, days=3)
    _at(make(3, Turn.State.DONE, grounded=True).pk, days=40)
    _at(make(4, Turn.State.PENDING).pk, minutes=1)
    Rating.objects.create(turn=turn, rating=4)
    figures = turn_figures()
    assert figures.week == 4
    assert (figures.failed, figures.uncovered, figures.overdue) == (1, 1, 1)
    assert (figures.mean_rating, figures.ratings) == (4.0, 1)
    assert sum(day.turns for day in figures.days) == 4
    assert max(day.percent for day in figures.days) == 100
    assert [failed.failure for failed in figures.failures] == ["No model answered."]
    assert figures.last == turn


def test_an_empty_installation_has_a_dashboard(panel: Client) -> None:
    text = _text(panel, "/admin/")
    assert "No rating in 30 days" in text
    assert "/readyz" in text


def test_failed_documents_are_named_with_their_reason(panel: Client, base: Any) -> None:
    Document.objects.create(
        base=base,
        title="Scanned handbook",
        filename="s.pdf",
        sha256="0" * 64,
        state="failed",
        error="No text was found.",
    )
    text = _text(panel, "/admin/")
    assert "Scanned handbook" in text
    assert "No text was found." in text


def test_figures_are_for_those_who_may_see_them(client: Client, alice: Any, turn: Turn) -> None:
    type(alice).objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(type(alice).objects.get(pk=alice.pk))
    text = _text(client, "/admin/")
    assert "Turns today" not in text
    assert "/admin/coach/turn/" not in text
