"""What the knowledge does not cover: figures, groups, privacy, a constant number of statements."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from coach.coverage import Coverage, UnansweredQuestions, Wanted, coverage
from coach.models import Conversation, Rating, Source, Turn
from knowledge.models import Document, KnowledgeBase

pytestmark = pytest.mark.django_db
PAGE = "/admin/coach/turn/coverage/"


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def answered(talk: Conversation, question: str, *, stars: int = 0, comment: str = "", **values: Any) -> Turn:
    given = {"language": "en", "position": Turn.objects.filter(conversation=talk).count(), **values}
    turn = Turn.objects.create(conversation=talk, question=question, state=Turn.State.DONE, **given)
    if stars:
        Rating.objects.create(turn=turn, rating=stars, comment=comment)
    return turn


def document(base: Any, title: str, **values: Any) -> Document:
    given = {"filename": f"{title}.md", "sha256": uuid4().hex, "state": Document.State.READY, **values}
    return Document.objects.create(base=base, title=title, **given)


def seen(**wanted: Any) -> Coverage:
    return coverage(Wanted(**wanted))


def test_questions_that_are_nearly_the_same_are_one_group(talk: Any) -> None:
    answered(talk, "How do I file my taxes?", stars=2, comment="I needed this")
    answered(talk, "how do I file taxes?")
    answered(talk, "What should I cook tonight?")
    answered(talk, "thanks a lot")
    found = seen()
    assert [(group.shown.text, group.count) for group in found.unanswered] == [("How do I file my taxes?", 2), ("", 1)]
    assert (found.turns, found.questions) == (4, 3)


def test_a_text_is_shown_only_with_a_comment_of_its_coachee(panel: Client, talk: Any) -> None:
    answered(talk, "How do I tell my sister?", stars=1)
    answered(talk, "What does my brother owe me?")
    page = panel.get(PAGE).content.decode()
    assert "sister" not in page
    assert "brother" not in page
    Rating.objects.update(comment="No help")
    page = panel.get(PAGE).content.decode()
    assert "sister" in page
    assert "brother" not in page


def test_private_conversations_are_left_out_wholly(talk: Any) -> None:
    answered(talk, "How do I file my taxes?", stars=1, comment="No", sources=[{"n": 1}], grounded=True)
    Conversation.objects.update(private=True)
    found = seen()
    assert (found.turns, found.unanswered, found.low_rated, found.uncited) == (0, [], [], [])
    assert UnansweredQuestions().unanswered(talk.coach.knowledge_bases.get().pk, 10) == []


def test_low_ratings_count_also_when_the_answer_was_written_again(talk: Any) -> None:
    first = answered(talk, "How do I sleep?", stars=2, comment="Too short", grounded=True)
    answered(talk, "How do I sleep?", grounded=True, position=first.position, regenerates=first)
    answered(talk, "How do I wake?", stars=3, grounded=True)
    Rating.objects.filter(rating=3).update(helpful=False)
    answered(talk, "How do I rest?", stars=4, grounded=True)
    found = seen()
    assert len(found.low_rated) == 2
    assert found.questions == 3


def test_what_is_about_safety_is_no_gap(talk: Any) -> None:
    answered(talk, "Why go on?", safety="acute")
    assert seen().turns == 0


def test_documents_are_cited_shown_or_never_found(base: Any, talk: Any) -> None:
    cited, shown, never = (document(base, title) for title in ("Cited", "Shown", "Never"))
    document(base, "Broken", state=Document.State.FAILED)
    for n, one in ((1, cited), (2, shown)):
        Source.objects.create(conversation=talk, n=n, document=one, title=one.title, text="x", excerpt="x")
    both = [{"n": 1}, {"n": 2}]
    answered(talk, "How do I sleep?", grounded=True, sources=both, citations=[1])
    answered(talk, "And how do I wake?", grounded=True, sources=both)
    found = seen()
    assert [(use.id, use.cited, use.shown) for use in found.cited] == [(cited.pk, 1, 2)]
    assert [(use.id, use.shown) for use in found.never_cited] == [(shown.pk, 2)]
    assert [use.id for use in found.never_found] == [never.pk]
    assert len(found.uncited) == 1


def test_period_coach_language_and_base(talk: Any, base: Any) -> None:
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    answered(talk, "How do I file my taxes?")
    answered(talk, "Hur deklarerar jag min skatt?", language="sv")
    old = answered(talk, "What did I ask then?")
    Turn.objects.filter(pk=old.pk).update(created=timezone.now() - timedelta(days=40))
    assert seen().questions == 2
    assert seen(days=90).questions == 3
    assert seen(language="sv").questions == 1
    assert seen(coach=talk.coach_id, base=base.pk).questions == 2
    assert seen(base=other.pk).questions == 0


def test_the_number_of_statements_does_not_grow(panel: Client, talk: Any, base: Any) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen_statements:
            assert panel.get(PAGE).status_code == 200
        return len(seen_statements)

    answered(talk, "How do I file my taxes?")
    few = statements()
    for number in range(30):
        answered(talk, f"What about {number} other things {uuid4()}?", stars=2, comment="no")
        document(base, f"Document {number}")
    assert statements() == few


def test_the_page_leads_to_the_turn_and_to_the_upload(panel: Client, talk: Any, base: Any) -> None:
    turn = answered(talk, "How do I file my taxes?", stars=2, comment="no")
    page = panel.get(PAGE, {"days": "7", "coach": "nonsense", "base": base.pk, "language": "xx"}).content.decode()
    assert f"/admin/coach/turn/{turn.pk}/change/" in page
    assert f"/admin/knowledge/knowledgebase/{base.pk}/upload/" in page
    assert "Coverage" in panel.get("/admin/").content.decode()


def test_who_may_not_see_turns_does_not_see_this(client: Client, alice: Any) -> None:
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    assert client.get(PAGE).status_code == 403


def test_the_map_is_told_questions_of_its_own_base_only(talk: Any, base: Any) -> None:
    turn = answered(talk, "How do I file my taxes?")
    answered(talk, "hello there")
    answered(talk, "How do I sleep?", grounded=True)
    source = UnansweredQuestions()
    assert [question.id for question in source.unanswered(base.pk, 10)] == [str(turn.pk)]
    assert source.unanswered(base.pk + 1000, 10) == []
    assert source.shown([str(turn.pk), str(uuid4())])[str(turn.pk)].text == ""
    Rating.objects.create(turn=turn, rating=2, comment="Missing")
    assert source.shown([str(turn.pk)])[str(turn.pk)].text == "How do I file my taxes?"
