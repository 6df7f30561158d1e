"""A turn answered again: the very same bytes where nothing is changed, and nothing stored with the conversation."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from coach import replay as replay_module
from coach import replay_jobs, services
from coach.models import Coach, Conversation, PromptMessage, Rating, Replay, Source, Turn
from coach.provenance import prompt_of
from coach.replay import Change, ReplayFailed, replay
from coach.replay_channel import Replayer
from coach.replay_difference import differences, source_changes
from knowledge.models import Chunk, Document, KnowledgeBase, Splitting
from knowledge.types import Passage, SearchResult
from llm.errors import ServerFailed
from llm.types import Message, ModelId, Place
from tests.coach.test_preferences import answered
from tests.fakes import FakeLanguageModel

PROMPT = (Message("system", "Be kind."), Message("user", "Sources:\n[1] A loop.\n\nQuestion: How?\nAnswer in English."))


@pytest.fixture
def chunks(base: KnowledgeBase) -> list[Chunk]:
    document = Document.objects.create(base=base, title="Habits", filename="habits.md", sha256="1")
    splitting = Splitting.objects.create(base=base, splitter="s")
    return [
        Chunk.objects.create(document=document, splitting=splitting, position=n, start=0, end=9, text=text)
        for n, text in enumerate(("A loop of cue and reward.", "An if-then plan names the moment."))
    ]


@pytest.fixture
def turn(talk: Conversation, chunks: list[Chunk]) -> Turn:
    chunk = chunks[0]
    Source.objects.create(
        conversation=talk, n=1, chunk=chunk, document=chunk.document, title="Habits", text=chunk.text, excerpt="A loop."
    )
    return answered(talk, "A loop [1].", prompt=PROMPT, model="fake:then", citations=[1], sources=[{"n": 1}])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeLanguageModel:
    found = FakeLanguageModel(text="A plan [1]. And [7].")
    known = {found.id: found}
    monkeypatch.setattr("llm.switcher.language_model", known.__getitem__)
    monkeypatch.setattr("coach.turn.language_model", known.__getitem__)
    monkeypatch.setattr(replay_module.policy, "resolve", lambda *_a, **_k: [found.id])
    monkeypatch.setattr(replay_module.endpoints, "checked_models", lambda text: [ModelId(*text.split(":"))])
    return found


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, chunks: list[Chunk]) -> dict[str, Any]:
    """What was searched; finds the second chunk."""
    asked: dict[str, Any] = {}
    found = chunks[1]

    async def search(query: str, **values: Any) -> SearchResult:
        asked.update(query=query, **values)
        passage = Passage(found.pk, str(found.document_id), "Habits", "", found.text, 0.9)
        return SearchResult((passage,), covered=True)

    monkeypatch.setattr(replay_module.retrieval, "search", search)
    return asked


def run(turn: Turn, **change: str) -> Any:
    """With transaction=True only: Channels closes a connection in a transaction, and PostgreSQL's is gone then."""
    return async_to_sync(replay)(turn.pk, Change(**change))


@pytest.mark.django_db(transaction=True)
def test_without_a_change_the_model_gets_the_same_bytes(turn: Turn, model: FakeLanguageModel) -> None:
    counts = [Turn.objects.count(), Source.objects.count(), PromptMessage.objects.count()]
    found = run(turn)
    [request] = model.requests
    assert tuple(request.messages) == PROMPT == prompt_of(turn) == found.messages
    assert request.conversation == ""
    assert (request.account.purpose, request.account.user, request.account.turn) == ("replay", None, None)
    assert (found.answer, found.citations, found.exact) == ("A plan [1]. And.", (1,), True)
    assert [source["n"] for source in found.sources] == [1]
    assert [Turn.objects.count(), Source.objects.count(), PromptMessage.objects.count()] == counts
    turn.refresh_from_db()
    assert turn.answer == "A loop [1]."


@pytest.mark.django_db(transaction=True)
def test_another_prompt_takes_the_place_of_the_opening(turn: Turn, model: FakeLanguageModel) -> None:
    run(turn, prompt="Be strict.")
    assert tuple(model.requests[0].messages) == (Message("system", "Be strict."), PROMPT[1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["*", "other"])
def test_another_search_changes_what_is_shown_with_the_question(
    turn: Turn, model: FakeLanguageModel, search: dict[str, Any], base: KnowledgeBase, where: str
) -> None:
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    found = run(turn, search=where)
    assert (search["query"], tuple(search["bases"])) == ("How?", (base.pk if where == "*" else other.pk,))
    messages = model.requests[0].messages
    assert messages[0] == PROMPT[0]
    assert "[2] An if-then plan names the moment." in messages[1].content
    assert "A loop" not in messages[1].content
    assert [(change, source["n"]) for change, source in source_changes(turn, found.sources)] == [("-", 1), ("+", 2)]
    assert Source.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_private_conversation_goes_to_no_cloud(
    turn: Turn, model: FakeLanguageModel, search: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Conversation.objects.update(private=True)
    run(turn, search="*")
    assert model.requests[0].private
    assert search["private"]
    model.place = Place.CLOUD
    with pytest.raises(ReplayFailed, match="private"):
        run(turn, model="fake:model")


@pytest.mark.django_db(transaction=True)
def test_what_goes_wrong_is_said(turn: Turn, model: FakeLanguageModel) -> None:
    with pytest.raises(ReplayFailed, match="no knowledge base “gone”"):
        run(turn, search="gone")
    model.error = ServerFailed("The server said 500.")
    with pytest.raises(ReplayFailed, match="The server said 500"):
        run(turn)
    PromptMessage.objects.update(text="!")
    with pytest.raises(ReplayFailed, match="damaged"):
        run(turn)


def test_differences_are_words() -> None:
    before, after = differences("A small step helps.", "A big step helps you.")
    assert [piece.text for piece in before if piece.own] == ["small"]
    assert [piece.text for piece in after if piece.own] == ["big", " you"]
    assert "".join(piece.text for piece in after) == "A big step helps you."


# --- the command --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_command(turn: Turn, model: FakeLanguageModel, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Var sträng.\n", encoding="utf-8")
    out = StringIO()
    call_command("replay", str(turn.pk), "--model", "fake:model", "--prompt", str(prompt), "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["messages"][0] == {"role": "system", "content": "Var sträng."}
    assert (found["before"]["answer"], found["after"]["answer"]) == ("A loop [1].", "A plan [1]. And.")
    assert ["plan", True] in found["difference"]["after"]
    assert [source["change"] for source in found["sources"]] == ["="]
    text = StringIO()
    call_command("replay", str(turn.pk), stdout=text)
    assert "A [-loop-] [1]" in text.getvalue()
    with pytest.raises(CommandError, match="There is no turn"):
        call_command("replay", str(uuid.uuid4()))


# --- as rows ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_a_runner_answers_it_and_the_row_holds_the_result(turn: Turn, model: FakeLanguageModel) -> None:
    row = await database_sync_to_async(replay_jobs.start)(turn=turn, user_id=None, prompt=" Be strict. ")
    await _replayed(row)
    await database_sync_to_async(row.refresh_from_db)()
    assert (row.state, row.answer, row.error) == ("done", "A plan [1]. And.", "")
    assert row.result["model"] == "fake:model"
    assert row.result["exact"] is True
    assert model.requests[0].messages[0].content == "Be strict."
    await _replayed(row)  # a second wake-up finds nothing to do
    assert len(model.requests) == 1


@pytest.mark.django_db(transaction=True)
async def test_a_failure_is_a_sentence_in_the_row(turn: Turn, model: FakeLanguageModel) -> None:
    model.error = ServerFailed("The server said 500.")
    row = await database_sync_to_async(replay_jobs.start)(turn=turn, user_id=None)
    await _replayed(row)
    await database_sync_to_async(row.refresh_from_db)()
    assert (row.state, row.error) == ("failed", "The server said 500.")


@pytest.mark.django_db(transaction=True)
async def test_one_that_runs_can_be_cancelled(turn: Turn, model: FakeLanguageModel, monkeypatch: Any) -> None:
    monkeypatch.setattr("coach.replay_channel.SAVE_SECONDS", 0.01)
    model.hold = asyncio.Event()
    row = await database_sync_to_async(replay_jobs.start)(turn=turn, user_id=None)
    running = asyncio.create_task(_replayed(row))
    while not await database_sync_to_async(Replay.objects.filter(answer__startswith="A plan").exists)():
        await asyncio.sleep(0.01)
    await database_sync_to_async(replay_jobs.cancel)(replay=row)
    await running
    await database_sync_to_async(row.refresh_from_db)()
    assert row.state == "cancelled"
    assert model.closed == 1


@pytest.mark.django_db
def test_a_lost_runner_is_replaced_once(turn: Turn) -> None:
    row = replay_jobs.start(turn=turn, user_id=None)
    assert replay_jobs.needs_waking(row)
    for _attempt in range(2):
        assert replay_jobs.claim(replay_id=row.pk) is not None
        assert replay_jobs.claim(replay_id=row.pk) is None
        row.refresh_from_db()
        assert not replay_jobs.needs_waking(row)
        Replay.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert replay_jobs.claim(replay_id=row.pk) is None
    row.refresh_from_db()
    assert (row.state, row.error) == ("failed", "It was interrupted twice.")


@pytest.mark.django_db
def test_it_goes_with_the_conversation(turn: Turn, talk: Conversation) -> None:
    replay_jobs.start(turn=turn, user_id=None)
    services.delete_conversation(owner_id=talk.owner_id, conversation_id=talk.pk)
    assert not Replay.objects.exists()


async def _replayed(row: Replay) -> None:
    replayer = Replayer()
    await replayer.replay_run({"type": "replay.run", "replay": str(row.pk), "language": "en"})
    await asyncio.gather(*replayer.tasks.values())


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def desk(client: Client, ada: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The administrator's browser; `woken` lists whom the page woke."""
    client.woken = []  # type: ignore[attr-defined]
    monkeypatch.setattr("coach.admin_replay.wake", lambda replay, _language: client.woken.append(replay))  # type: ignore[attr-defined]
    client.force_login(ada)
    return client


@pytest.mark.django_db
def test_the_prompt_is_shown_only_with_consent(desk: Client, turn: Turn, alice: User, coach: Coach) -> None:
    page = f"/admin/coach/turn/{turn.pk}/replay/"
    for consent, private, kept_out, shown in (
        (None, False, False, False),
        (timezone.now(), False, False, True),
        (timezone.now(), True, False, False),
        (timezone.now(), False, True, False),
    ):
        User.objects.filter(pk=alice.pk).update(training_consent=consent)
        Conversation.objects.update(private=private, kept_out=kept_out)
        answer = desk.get(page)
        assert answer.status_code == 200
        assert ("Be kind." in answer.content.decode()) == shown
        assert (desk.post(f"{page}start/", {}).status_code == 302) == shown
    assert Replay.objects.count() == 1


@pytest.mark.django_db
def test_a_first_turn_with_a_comment_may_be_read_a_later_one_not(desk: Client, turn: Turn) -> None:
    Rating.objects.create(turn=turn, rating=2, comment="Hm.")
    page = f"/admin/coach/turn/{turn.pk}/replay/"
    assert "Be kind." in desk.get(page).content.decode()
    Turn.objects.update(provenance={**turn.provenance, "history": [str(uuid.uuid4())]})
    assert "Be kind." not in desk.get(page).content.decode()


@pytest.mark.django_db
def test_a_replay_from_the_page(desk: Client, turn: Turn, alice: User, model: FakeLanguageModel) -> None:
    User.objects.filter(pk=alice.pk).update(training_consent=timezone.now())
    page = f"/admin/coach/turn/{turn.pk}/replay/"
    answer = desk.post(f"{page}start/", {"model": "fake:model", "prompt": "<b>Be strict.</b>", "search": ""})
    row = Replay.objects.get()
    assert answer.headers["Location"] == f"{page}?replay={row.pk}"
    assert (row.model, row.prompt, row.created_by.username) == ("fake:model", "<b>Be strict.</b>", "ada")
    state = desk.get(f"{page}{row.pk}/").json()
    assert state == {"state": "waiting", "over": False, "answer": ""}
    assert desk.woken == [row.pk, row.pk]  # type: ignore[attr-defined]
    replay_jobs.claim(replay_id=row.pk)
    result = {"model": "fake:model", "place": "local", "exact": True, "citations": [], "seconds": 1.5, "sources": []}
    replay_jobs.finish(replay_id=row.pk, answer="A <plan> [1].", result=result)
    shown = desk.get(f"{page}?replay={row.pk}").content.decode()
    assert "<mark>loop</mark>" in shown
    assert "<mark>&lt;plan&gt;</mark>" in shown or "&lt;</mark>" in shown
    assert desk.get(f"{page}{row.pk}/").json()["over"] is True
    other = answered(turn.conversation, "Other.")
    assert desk.get(f"/admin/coach/turn/{other.pk}/replay/{row.pk}/").status_code == 404


@pytest.mark.django_db
def test_a_waiting_one_is_cancelled_at_once(desk: Client, turn: Turn, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(training_consent=timezone.now())
    row = replay_jobs.start(turn=turn, user_id=None)
    assert desk.post(f"/admin/coach/turn/{turn.pk}/replay/{row.pk}/cancel/").status_code == 302
    row.refresh_from_db()
    assert row.state == "cancelled"


@pytest.mark.django_db
def test_a_wrong_model_makes_no_replay(desk: Client, turn: Turn, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(training_consent=timezone.now())
    page = f"/admin/coach/turn/{turn.pk}/replay/"
    answer = desk.post(f"{page}start/", {"model": "nobody:knows"}, follow=True)
    assert "nobody" in answer.content.decode()
    assert not Replay.objects.exists()
