"""The hand-written statements say the same as the models."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from coach import statements
from coach.models import Coach, Conversation, PromptMessage, Source, Turn
from knowledge.models import Chunk, Document, KnowledgeBase, Splitting

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk() -> Conversation:
    eva = User.objects.create_user("eva")
    coach = Coach.objects.create(slug="c", name="C", mode="personal", prompt="Be kind. 100 %", language_models="guided")
    for name in ("b", "a"):
        coach.knowledge_bases.add(KnowledgeBase.objects.create(slug=name, name=name))
    return Conversation.objects.create(owner=eva, coach=coach, language="ko", title="제목", sources_from_turn=2)


def _turn(talk: Conversation, position: int, **values: object) -> Turn:
    return Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=position, question="Q?", **values)


def test_a_turn_with_its_coach(talk: Conversation) -> None:
    turn = _turn(talk, 3, language="sv", stop_requested=True)
    row, bases = statements.turn_with_coach(turn.pk)
    assert row[:10] == (talk.pk, 3, "Q?", "sv", True, 2, "c", "personal", "Be kind. 100 %", "guided")
    assert row[10:] == (turn.created, talk.owner_id, False, False, 0, [], {})
    assert list(bases) == sorted(KnowledgeBase.objects.filter(slug__in="ab").values_list("pk", flat=True))


def test_a_turn_that_asks_for_another_answer_says_so(talk: Conversation) -> None:
    again = _turn(talk, 0, regenerates=_turn(talk, 0))
    assert statements.turn_with_coach(again.pk)[0][13] is True


def test_a_coach_without_knowledge_has_no_bases(talk: Conversation) -> None:
    talk.coach.knowledge_bases.clear()
    assert statements.turn_with_coach(_turn(talk, 0).pk)[1] == ()


def test_a_turn_that_is_not_there() -> None:
    with pytest.raises(Turn.DoesNotExist):
        statements.turn_with_coach(uuid.uuid4())


def test_sources_in_their_order_and_after_their_document_is_gone(talk: Conversation) -> None:
    for n in (2, 1):
        title = f'T{n} "quoted"'
        Source.objects.create(conversation=talk, n=n, title=title, location="p. 1", text="å\n한", excerpt="e")
    assert [tuple(row) for row in statements.sources(talk.pk)] == [
        (1, None, "", 'T1 "quoted"', "p. 1", "å\n한", "e"),
        (2, None, "", 'T2 "quoted"', "p. 1", "å\n한", "e"),
    ]


def test_the_past_is_what_was_answered_before(talk: Conversation) -> None:
    sources = [{"n": 1, "score": 0.5}]
    first = _turn(talk, 0, answer="A0", state="done", sources=sources, language="nb")
    second = _turn(talk, 1, answer="A1", state="stopped")
    _turn(talk, 2, answer="", state="stopped")
    _turn(talk, 3, answer="half", state="failed")
    _turn(talk, 4, answer="later", state="done")
    assert [tuple(row) for row in statements.past(talk.pk, 4)] == [
        (0, "Q?", "A0", "nb", first.pk, sources),
        (1, "Q?", "A1", "en", second.pk, []),
    ]


def test_what_decides_about_a_new_turn(talk: Conversation) -> None:
    eva, since = talk.owner_id, timezone.now() - timedelta(minutes=1)
    new = uuid.uuid4()
    found = statements.asked(turn=new, conversation=talk.pk, owner=eva, since=since)
    assert found == statements.Asked("제목", "ko", None, None, 0)
    turn = _turn(talk, 7)
    Turn.objects.filter(pk=_turn(talk, 2).pk).update(created=since - timedelta(seconds=1))
    found = statements.asked(turn=turn.pk, conversation=talk.pk, owner=eva, since=since)
    assert found == statements.Asked("제목", "ko", talk.pk, 7, 1)
    other = User.objects.create_user("other")
    assert statements.asked(turn=new, conversation=talk.pk, owner=other.pk, since=since) is None


def test_a_claim_counts_and_is_refused_to_the_second(talk: Conversation) -> None:
    turn, now = _turn(talk, 0), timezone.now()
    until = now + timedelta(seconds=5)
    assert statements.claim(turn=turn.pk, runner="r1", now=now, until=until, most=3) == 1
    assert statements.claim(turn=turn.pk, runner="r2", now=now, until=until, most=3) == 0
    turn.refresh_from_db()
    assert (turn.state, turn.lease_owner, turn.lease_until, turn.attempts) == ("running", "r1", until, 1)


# --- writing -------------------------------------------------------------------------------------


def test_a_new_turn_is_what_the_model_would_have_made(talk: Conversation) -> None:
    now, first, again = timezone.now(), uuid.uuid4(), uuid.uuid4()
    values = {"conversation": talk.pk, "position": 4, "question": 'Hur "då"? 100 %', "language": "sv", "now": now}
    assert statements.new_turn(turn=first, regenerates=None, **values)
    assert not statements.new_turn(turn=first, regenerates=None, **values)
    assert statements.new_turn(turn=again, regenerates=first, **values)
    made, sibling = Turn.objects.get(pk=first), Turn.objects.get(pk=again)
    expected = Turn(pk=first, conversation=talk, position=4, question='Hur "då"? 100 %', language="sv", created=now)
    fields = [field.attname for field in Turn._meta.concrete_fields]
    assert {name: getattr(made, name) for name in fields} == {name: getattr(expected, name) for name in fields}
    assert sibling.regenerates_id == first
    statements.touch(conversation=talk.pk, language="nb", title="Ny", now=now)
    talk.refresh_from_db()
    assert (talk.language, talk.title, talk.updated) == ("nb", "Ny", now)


def test_the_end_of_a_turn_is_stored_only_for_the_runner_that_holds_it(talk: Conversation) -> None:
    turn, now = _turn(talk, 0, state="running", lease_owner="me", lease_until=timezone.now()), timezone.now()
    values = {
        "state": "done",
        "answer": "Svar 100 % 한",
        "sources": [{"n": 1, "score": None}],
        "citations": [1],
        "unsupported": [[0, 4]],
        "notices": [{"code": "fallback", "message": "'"}],
        "grounded": True,
        "model": "m",
        "place": "local",
        "usage": {"prompt_tokens": 3},
        "timings": {"total": 0.5},
        "safety": "none",
        "failure_code": "",
        "failure": "",
        "provenance": {"messages": ["a"], "sha256": "한"},
    }
    assert statements.finish(turn=turn.pk, runner="other", values=values, finished=now) is None
    assert statements.finish(turn=turn.pk, runner="me", values=values, finished=now) == talk.pk
    turn.refresh_from_db()
    assert {name: getattr(turn, name) for name in values} == values
    assert (turn.finished, turn.lease_until) == (now, None)
    assert statements.finish(turn=turn.pk, runner="me", values=values, finished=now) is None  # it is over


def test_sources_keep_their_text_when_their_passage_went_meanwhile(talk: Conversation) -> None:
    base = KnowledgeBase.objects.get(slug="a")
    document = Document.objects.create(base=base, title="D", filename="d.md", sha256="1")
    splitting = Splitting.objects.create(base=base, splitter="s")
    chunk = Chunk.objects.create(document=document, splitting=splitting, position=0, start=0, end=1, text="t")
    gone = str(uuid.uuid4())
    rows = [(1, chunk.pk, str(document.pk), "D", "p. 1", "t", "e"), (2, 999_999, gone, "G", "", "t2", "e2")]
    statements.add_sources(conversation=talk.pk, rows=rows)
    found = Source.objects.filter(conversation=talk).values_list("n", "chunk", "document", "title", "text", "excerpt")
    assert list(found) == [(1, chunk.pk, document.pk, "D", "t", "e"), (2, None, None, "G", "t2", "e2")]
    statements.set_sources_from(conversation=talk.pk, position=7)
    talk.refresh_from_db()
    assert talk.sources_from_turn == 7


def test_messages_of_prompts_are_stored_once(talk: Conversation) -> None:
    rows = [("a" * 64, "system", "Be kind. 100 %", True), ("b" * 64, "user", 'Hur "då"? 한', False)]
    statements.add_messages(conversation=talk.pk, rows=rows)
    statements.add_messages(conversation=talk.pk, rows=[*rows, ("c" * 64, "assistant", "Så.", False)])
    found = PromptMessage.objects.order_by("sha256").values_list("conversation", "sha256", "role", "text")
    assert list(found) == [
        (None, "a" * 64, "system", "Be kind. 100 %"),
        (talk.pk, "b" * 64, "user", 'Hur "då"? 한'),
        (talk.pk, "c" * 64, "assistant", "Så."),
    ]


def test_a_turn_brings_what_was_shown_before_and_the_sources_beside_it(talk: Conversation) -> None:
    now = timezone.now()
    _turn(talk, 0, state="done", finished=now, provenance={"messages": ["a"]})
    first = _turn(talk, 1, state="done", finished=now, provenance={"messages": ["a", "b"]}, sources=[{"n": 2}])
    _turn(talk, 2, state="failed", finished=now)
    again = _turn(talk, 1, regenerates=first)
    assert statements.turn_with_coach(again.pk)[0][-2:] == ([{"n": 2}], {"messages": ["a", "b"]})


def test_a_turn_with_a_changed_question_is_no_other_answer_to_the_same_one(talk: Conversation) -> None:
    first = _turn(talk, 0, state="done", sources=[{"n": 2}])
    changed = _turn(talk, 0, regenerates=first)
    Turn.objects.filter(pk=changed.pk).update(question="Another?")
    row, _bases = statements.turn_with_coach(changed.pk)
    assert (row[13], row[-2]) == (False, [])
