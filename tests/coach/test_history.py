"""Finding conversations again: what REST gives for a page, a search, a new name and a download, and to whom."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import create_token
from coach.models import Coach, Conversation, Source, Turn
from knowledge.models import KnowledgeBase

pytestmark = pytest.mark.django_db
JSON = "application/json"
ALL = "/api/v1/conversations"


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {create_token(user=user)}"}


def talk(owner: User, coach: Coach, *said: tuple[str, str], title: str = "", hours: int = 0, **values: Any) -> str:
    made = Conversation.objects.create(owner=owner, coach=coach, title=title, **values)
    for position, (question, answer) in enumerate(said):
        Turn.objects.create(
            conversation=made, position=position, question=question, answer=answer, state=Turn.State.DONE
        )
    Conversation.objects.filter(pk=made.pk).update(updated=timezone.now() - timedelta(hours=hours))
    return str(made.pk)


def found(client: Client, user: User, words: str) -> list[tuple[str, str]]:
    answer = client.get(ALL, {"q": words}, headers=bearer(user))
    assert answer.status_code == 200
    return [(entry["id"], entry["excerpt"]) for entry in answer.json()]


def test_words_are_found_in_titles_questions_and_answers(client: Client, alice: User, coach: Coach) -> None:
    goal = talk(alice, coach, ("Hur sätter jag mål?", "Börja **smått** [1]."), title="Hur sätter jag mål?", hours=2)
    worry = talk(alice, coach, ("Jag är orolig.", "Vad oroar dig?"), ("Ett samtal", "Vilket MÅL har du?"), hours=1)
    assert found(client, alice, "mål") == [(worry, "Ett samtal Vilket MÅL har du?"), (goal, "")]
    assert found(client, alice, "SMÅTT börja") == [(goal, "Hur sätter jag mål? Börja smått.")]
    assert found(client, alice, unicodedata.normalize("NFD", "MÅL SÄTT")) == [(goal, "")]
    assert found(client, alice, "orolig vilket") == []  # never in one question with its answer
    assert found(client, alice, "100%") == found(client, alice, "_") == []
    korean = talk(alice, coach, ("요즘 번아웃이 온 것 같아요.", "쉬는 시간은 언제인가요?"))
    assert [entry for entry, _ in found(client, alice, unicodedata.normalize("NFD", "번아웃"))] == [korean]


def test_an_excerpt_shows_the_words_in_the_middle_of_a_long_answer(client: Client, alice: User, coach: Coach) -> None:
    long = "\n\n".join(f"- Punkt {n} om vanor" for n in range(200))
    talk(alice, coach, ("Hur?", f"{long}\n\n# Zebra i Borås\n\n{long}"))
    [(_id, excerpt)] = found(client, alice, "zebra")
    assert excerpt.startswith("…") and excerpt.endswith("…") and " Zebra i Borås - Punkt 0 " in excerpt
    assert len(excerpt) < 160 and "#" not in excerpt


def test_nobody_finds_what_others_said(client: Client, alice: User, bob: User, coach: Coach) -> None:
    mine = talk(alice, coach, ("zebra", "zebra"), title="zebra")
    assert [entry for entry, _ in found(client, alice, "zebra")] == [mine]
    assert found(client, bob, "zebra") == []
    address = f"{ALL}/{mine}"
    answers = [
        client.patch(address, {"title": "ours"}, JSON, headers=bearer(bob)),
        client.get(f"{address}/markdown", headers=bearer(bob)),
        client.get(f"{address}/markdown"),
        client.get(ALL, {"q": "zebra"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 401, 401]
    assert Conversation.objects.get().title == "zebra"


def test_the_most_recent_fifty_are_found(client: Client, alice: User, coach: Coach) -> None:
    talks = [talk(alice, coach, ("zebra", ""), hours=n) for n in range(55)]
    assert [entry for entry, _ in found(client, alice, "zebra")] == talks[:50]


@pytest.mark.parametrize("query", [{"q": "x" * 201}, {"limit": 0}, {"limit": 201}, {"before": "yesterday"}])
def test_a_bad_query_is_refused(client: Client, alice: User, query: dict[str, Any]) -> None:
    answer = client.get(ALL, query, headers=bearer(alice))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_pages_follow_each_other(client: Client, alice: User, coach: Coach) -> None:
    talks = [talk(alice, coach, title=str(n), hours=n) for n in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while page := client.get(ALL, query, headers=bearer(alice)).json():
        seen += [entry["id"] for entry in page]
        query["before"] = page[-1]["updated"]
    assert seen == talks


def test_a_conversation_gets_a_name_that_stays(client: Client, alice: User, coach: Coach) -> None:
    mine = talk(alice, coach, ("Hur?", "Så."), title="Hur?", hours=3)
    before = Conversation.objects.get().updated
    renamed = client.patch(f"{ALL}/{mine}", {"title": "  Samtalet\n med   chefen "}, JSON, headers=bearer(alice))
    assert (renamed.status_code, renamed.json()["title"]) == (200, "Samtalet med chefen")
    stored = Conversation.objects.get()
    assert (stored.title, stored.updated) == ("Samtalet med chefen", before)


@pytest.mark.parametrize(
    ("title", "code"), [("", "empty"), (" \x00\n ", "empty"), ("x" * 121, "too_long"), (None, "invalid")]
)
def test_a_bad_name_changes_nothing(client: Client, alice: User, coach: Coach, title: str | None, code: str) -> None:
    mine = talk(alice, coach, title="Hur?")
    answer = client.patch(f"{ALL}/{mine}", {"title": title}, JSON, headers=bearer(alice))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert Conversation.objects.get().title == "Hur?"


def test_a_conversation_as_a_text_to_keep(client: Client, alice: User, coach: Coach, base: KnowledgeBase) -> None:
    mine = talk(alice, coach, ("Vad är GROW?\nKort.", "Fyra steg [2]."), ("Mer?", ""), title="Vad är GROW / 그로우?")
    for n in (1, 2):
        Source.objects.create(
            conversation_id=mine, n=n, title=f"Bok {n}", location="s. 3" if n == 2 else "", text="t", excerpt="t"
        )
    first, last = Turn.objects.order_by("position")
    Turn.objects.filter(pk=first.pk).update(sources=[{"n": 1, "score": 0.1}, {"n": 2, "score": 0.2}], citations=[2])
    Turn.objects.filter(pk=last.pk).update(state=Turn.State.FAILED, failure="No model answers.")
    answer = client.get(f"{ALL}/{mine}/markdown", headers={**bearer(alice), "Accept-Language": "sv"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/markdown; charset=utf-8")
    assert "filename*=utf-8''vad-%C3%A4r-grow-%EA%B7%B8" in answer["Content-Disposition"]
    lines = answer.content.decode().split("\n\n")
    assert lines[0] == "# Vad är GROW / 그로우?" and lines[1].startswith(f"{lines[4].removeprefix('## ')} · ")
    assert lines[3] == "> Vad är GROW?\n> Kort."
    assert lines[5:8] == ["Fyra steg [2].", "**Källor**", "- [2] Bok 2 · s. 3"]
    assert lines[-1] == "No model answers.\n"
