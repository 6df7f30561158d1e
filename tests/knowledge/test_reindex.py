"""Index generations against a real Chroma: built beside the live one, switched, gone back to, with a worker that is
killed at every step and documents that come and go meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from knowledge import (
    entries,
    entry_ids,
    gate,
    generations,
    index,
    lexical,
    neutral,
    passages,
    reconcile,
    reindex,
    services,
    stored,
)
from knowledge.embedding import registry
from knowledge.embedding.errors import EmbedderUnavailable
from knowledge.errors import AlreadyBuilding, BelowLive, NothingBefore, UnknownEmbedder, WrongState
from knowledge.models import Chunk, Document, DocumentText, IndexGeneration, KnowledgeBase, QuestionAnswer, Splitting
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.usefixtures("lexical_index", "chroma", "fake_embedder")
State = IndexGeneration.State
Add = Callable[..., Document]
Work = Callable[[], int]

OTHER = "minilm"  # a name that the registry knows; the embedder is a fake
SENTENCE = "Sentence number {} says something about coaching, goals and habits. "
LONG = "".join(SENTENCE.format(number) for number in range(900))
BOOK = "\n\n".join(f"## Part {part}\n\n{LONG[part * 3000 : (part + 1) * 3000]}" for part in range(15))


class Killed(BaseException):
    """kill -9: no handler of the worker sees it."""


@pytest.fixture(autouse=True)
def other(monkeypatch: pytest.MonkeyPatch, fake_embedder: Any, tmp_path: Path) -> FakeEmbedder:
    """Another embedder, whose tokens and vectors differ from those of the live one; nothing of it is kept."""
    monkeypatch.setattr(neutral, "_known", {})
    monkeypatch.setattr(settings, "CACHE_DIR", tmp_path / "cache")

    class Other(FakeEmbedder):
        def count_tokens(self, text: str) -> int:
            return 2 * len(text.split()) + 2

    found = Other(id=OTHER, dimensions=32)
    live = FakeEmbedder(id=settings.COACH_EMBEDDER)
    monkeypatch.setattr(registry, "_loaded", {settings.COACH_EMBEDDER: live, OTHER: found})
    return found


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "EMBED_BATCH", 8)
    monkeypatch.setattr(reindex, "WRITE_BATCH", 20)
    monkeypatch.setattr(reindex, "BEAT_SECONDS", 0.0)


def build() -> bool:
    return reindex.complete("worker", time.monotonic() + 60)


def expire_leases() -> None:
    IndexGeneration.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))


def assert_complete(generation: IndexGeneration) -> None:
    """Each ready document once in SQL, words and Chroma, cut as this generation cuts."""
    rows = Chunk.objects.filter(splitting=generation.splitting_id, document__state=Document.State.READY)
    for document in Document.objects.filter(base=generation.base_id, state=Document.State.READY):
        chunks = list(rows.filter(document=document).order_by("position"))
        assert chunks and [chunk.position for chunk in chunks] == list(range(len(chunks)))
        assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    known = set(rows.values_list("pk", flat=True))
    asked = passages.approved().filter(document__base=generation.base_id)
    questions = {entry.id for entry in passages.question_entries(asked, [generation.splitting_id])}
    assert index.ids(generation.collection) == known | questions
    found = lexical.search("coaching goals habits", [generation.splitting_id], 10_000).ranking
    assert known <= {chunk for chunk, _ in found} | set(
        rows.exclude(text__contains="coaching").values_list("pk", flat=True)
    )


def live_of(base: KnowledgeBase) -> IndexGeneration:
    return IndexGeneration.objects.get(base=base, state=State.LIVE)


# --- building and switching ----------------------------------------------------------------------


def test_another_embedder_is_built_beside_the_live_one(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(BOOK, "book.md")
    work()
    old, headings = live_of(base), Chunk.objects.filter(position=0).get().headings
    document.file.storage.delete(document.file.name)  # the upload is never needed
    made = generations.start(base=base, embedder=OTHER)
    assert (made.state, made.splitting.splitter.endswith(OTHER)) == (State.BUILDING, True)
    assert not build()
    made.refresh_from_db()
    old.refresh_from_db()
    document.refresh_from_db()
    assert (made.state, old.state, made.dimensions) == (State.LIVE, State.RETIRED, 32)
    assert_complete(made)
    assert_complete(old)
    mine = Chunk.objects.filter(splitting=made.splitting_id)
    assert document.chunks_total == mine.count() > Chunk.objects.filter(splitting=old.splitting_id).count()
    assert mine.get(position=0).headings == headings == ["Part 0"]
    assert generations.is_verified(made) and made.chunks_done == made.chunks_total == mine.count()


def test_the_same_rule_and_embedder_share_the_passages(base: KnowledgeBase, add: Add, work: Work) -> None:
    add(LONG)
    work()
    old, chunks = live_of(base), Chunk.objects.count()
    assert generations.start(base=base).splitting_id == old.splitting_id
    build()
    assert Chunk.objects.count() == chunks
    assert live_of(base).pk != old.pk
    assert_complete(live_of(base))


@pytest.mark.parametrize("packed", [True, False])
def test_cutting_from_the_stored_text_is_as_from_the_file(add: Add, work: Work, packed: bool) -> None:
    document = add(BOOK + "\n\n## References\n\nSomebody, 1999.\n", "book.md")
    work()
    if not packed:  # a row from before blocks were stored
        DocumentText.objects.update(blocks={})
    loaded = stored.load(document.pk)
    assert loaded is not None
    found = reindex.split(loaded, FakeEmbedder().count_tokens)
    kept = Chunk.objects.order_by("position").values_list("start", "end", "headings")
    assert [(draft.start, draft.end, list(draft.headings)) for draft in found] == list(kept)


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        ("index", "create", 1),
        ("stored", "load", 1),
        ("passages", "write", 1),
        ("passages", "write", 3),  # with a part of the book written
        ("index", "ids", 1),
        ("index", "add", 1),
        ("index", "add", 4),
        ("gate", "measure", 1),
        ("generations", "go_live", 1),
        ("generations", "_put_back", 1),  # inside the transaction of the switch
    ],
)
def test_a_killed_worker_only_delays(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch, module: str, name: str, call: int
) -> None:
    add(BOOK, "book.md")
    add(SENTENCE, "note.txt")
    work()
    build()
    old = live_of(base)
    made = generations.start(base=base, embedder=OTHER)
    target = getattr(reindex, module)
    real, calls = getattr(target, name), []

    def killing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, killing)
    with pytest.raises(Killed):
        build()
    monkeypatch.setattr(target, name, real)
    assert live_of(base) == old
    build()
    assert live_of(base) == old, "the lease of the dead worker still holds"
    expire_leases()
    add("New meanwhile: coaching goals habits.", "new.txt")
    work()
    assert reconcile.reconcile() >= 1
    while build():
        pass
    assert live_of(base) == made
    assert_complete(live_of(base))
    assert Chunk.objects.filter(splitting=made.splitting_id).values("document").distinct().count() == 3


def test_three_attempts_and_no_more(
    base: KnowledgeBase, add: Add, work: Work, other: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(_texts: Any) -> Any:
        raise Killed

    add(SENTENCE)
    work()
    made, alive = generations.start(base=base, embedder=OTHER), other.embed_passages
    monkeypatch.setattr(other, "embed_passages", deadly)
    for _ in range(5):
        expire_leases()
        try:
            build()
        except Killed:
            continue
    made.refresh_from_db()
    assert (made.state, made.error_code) == (State.FAILED, "gave_up")
    monkeypatch.setattr(other, "embed_passages", alive)
    generations.retry(generation=made)
    build()
    assert live_of(base) == made


def test_an_embedder_that_is_away_only_delays(
    base: KnowledgeBase, add: Add, work: Work, other: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_texts: Any) -> Any:
        raise EmbedderUnavailable("It is away.")

    add(SENTENCE)
    work()
    made = generations.start(base=base, embedder=OTHER)
    monkeypatch.setattr(other, "embed_passages", away)
    for _ in range(5):
        assert not build()
    made.refresh_from_db()
    assert (made.state, made.error, made.attempts) == (State.BUILDING, "It is away.", 0)


def test_it_is_built_in_slices(base: KnowledgeBase, add: Add, work: Work) -> None:
    add(BOOK, "book.md")
    work()
    made = generations.start(base=base, embedder=OTHER)
    slices = 0
    while True:
        ticks = iter(range(10_000))
        slices += 1
        if not reindex.complete("worker", 8.0, clock=lambda ticks=ticks: float(next(ticks))):
            break
    made.refresh_from_db()
    assert slices > 3
    assert made.state == State.LIVE
    assert_complete(made)


# --- what arrives meanwhile ----------------------------------------------------------------------


def test_what_comes_and_goes_during_the_build_reaches_the_new_one(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = add(LONG, "gone.txt")
    add(SENTENCE, "stays.txt")
    changed = add("First version: coaching goals habits.", "changed.txt")
    work()
    generations.start(base=base, embedder=OTHER)
    real, calls = index.add, []

    def meanwhile(collection: str, *args: Any) -> None:
        real(collection, *args)
        if collection == live_of(base).collection or calls:
            return
        calls.append(1)
        services.delete_document(document_id=gone.pk)
        add("Second version: coaching goals habits, and more.", "changed.txt")
        add("Just arrived: coaching goals habits.", "new.txt")
        work()

    monkeypatch.setattr(index, "add", meanwhile)
    while build():
        pass
    live = live_of(base)
    assert live.embedder == OTHER
    assert not Document.objects.filter(pk__in=[gone.pk, changed.pk]).exists()
    assert sorted(Document.objects.values_list("filename", flat=True)) == ["changed.txt", "new.txt", "stays.txt"]
    assert_complete(live)


def test_a_document_that_is_ready_in_the_last_moment_stops_the_switch(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(SENTENCE, "note.txt")
    work()
    made = generations.start(base=base, embedder=OTHER)
    real, calls = generations.go_live, []

    def late(generation: IndexGeneration) -> None:
        if not calls:
            add("Just arrived: coaching goals habits.", "new.txt")
            work()
        calls.append(1)
        real(generation)

    monkeypatch.setattr(generations, "go_live", late)
    assert build(), "something is left to do"
    assert live_of(base) != made
    assert not build()
    assert len(calls) == 2
    assert live_of(base) == made
    assert_complete(made)


def test_a_document_that_is_being_read_during_the_switch_is_read_again(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(SENTENCE, "note.txt")
    work()
    made = generations.start(base=base, embedder=OTHER)
    late = add(LONG, "late.txt")
    real, calls = index.add, []

    def meanwhile(collection: str, *args: Any) -> None:
        if not calls:
            calls.append(collection)
            build()
        real(collection, *args)

    monkeypatch.setattr(index, "add", meanwhile)
    work()
    assert calls[0] != made.collection == live_of(base).collection
    work()
    late.refresh_from_db()
    assert late.state == Document.State.READY
    assert late.chunks_total == Chunk.objects.filter(document=late, splitting=made.splitting_id).count()
    reconcile.reconcile()
    build()
    assert_complete(live_of(base))


def test_no_search_fails_or_is_empty_during_the_switch(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step a search finds something, also one that still remembers the old generation; under real load in
    tests/faults/test_generations.py."""
    from knowledge import retrieval
    from llm.loops import run

    monkeypatch.setattr(retrieval, "_live", {})
    add(BOOK, "book.md")
    add(SENTENCE, "note.txt")
    work()
    old, asked = live_of(base), [0]

    def ask() -> None:
        found = run(retrieval.search("coaching goals habits", bases=[base.pk], k=3))
        assert (len(found.passages) > 0, found.degraded) == (True, "")
        asked[0] += 1

    def asking(real: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            ask()
            result = real(*args, **kwargs)
            ask()
            return result

        return wrapped

    for module, name in (
        (index, "create"), (index, "ids"), (index, "add"), (stored, "load"), (generations, "go_live")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, asking(getattr(module, name)))
    generations.start(base=base, embedder=OTHER)
    build()
    assert live_of(base) != old
    [remembered] = retrieval._live[base.pk,][1]
    assert remembered.generation == old.pk
    ask()
    retrieval._live.clear()
    ask()
    generations.roll_back(base=base)
    retrieval._live.clear()
    ask()
    assert asked[0] > 30


# --- the gate ------------------------------------------------------------------------------------


def headed(base: KnowledgeBase, add: Add) -> None:
    for number in range(24):
        text = f"# Guide {number}\n\n## Lantern{number}\n\nA walk with lantern{number} and a friend.\n"
        add(text, f"guide{number}.md", language="en")


def test_the_gate_measures_each_language(base: KnowledgeBase, add: Add, work: Work) -> None:
    headed(base, add)
    add("# Mål\n\n## Steg\n\nEtt steg i taget.", "mal.md", language="sv")
    work()
    made = generations.start(base=base, embedder=OTHER)
    build()
    made.refresh_from_db()
    assert made.recall["en"] | {"live": 0, "new": 0} == {
        "questions": 24, "live": 0, "new": 0, "passed": True, "why": ""
    }  # fmt: skip
    assert made.recall["en"]["live"] == 1.0
    assert (made.recall["sv"]["questions"], made.recall["sv"]["why"]) == (1, gate.TOO_FEW)
    assert made.state == State.LIVE


def test_one_that_finds_less_waits_for_an_admin(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    headed(base, add)
    work()
    made, old = generations.start(base=base, embedder=OTHER), live_of(base)
    real = gate._recall
    monkeypatch.setattr(gate, "_recall", lambda one, asked: real(one, asked) - (0.03 if one.pk == made.pk else 0))
    assert not build()
    made.refresh_from_db()
    assert (made.state, live_of(base), made.recall["en"]["passed"]) == (State.READY, old, False)
    with pytest.raises(BelowLive):
        generations.switch(generation=made)
    generations.switch(generation=made, override=True)
    assert live_of(base) == made
    assert made.recall["en"]["overridden"]


def test_approved_questions_are_gold(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(BOOK, "book.md", language="en")
    work()
    text = document.text or DocumentText.objects.get().text
    at = text.index("Sentence number 7 ")
    QuestionAnswer.objects.create(
        document=document, start=at, end=at + 60, question="What does number 7 say?", answer="Something.",
        language="nb", state=QuestionAnswer.State.APPROVED,
    )  # fmt: skip
    gold = gate.gold(base.pk, live_of(base).splitting_id)
    assert [one.query for one in gold["nb"]] == ["What does number 7 say?"]
    assert len(gold["en"]) == 15


def test_one_that_shall_wait_stays_ready_and_up_to_date(base: KnowledgeBase, add: Add, work: Work) -> None:
    add(LONG, "one.txt")
    work()
    made = generations.start(base=base, embedder=OTHER, switch_when_ready=False)
    build()
    add(SENTENCE, "two.txt")
    work()
    assert reconcile.reconcile() >= 1
    build()
    made.refresh_from_db()
    assert made.state == State.READY
    assert_complete(made)
    generations.switch(generation=made)
    assert live_of(base) == made


# --- going back, and what is removed -------------------------------------------------------------


def test_going_back_at_once(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(LONG, "one.txt")
    work()
    with pytest.raises(NothingBefore):
        generations.roll_back(base=base)
    old = live_of(base)
    generations.start(base=base, embedder=OTHER)
    build()
    add(SENTENCE, "two.txt")
    work()
    reconcile.reconcile()
    build()
    assert generations.roll_back(base=base).state == State.LIVE
    assert live_of(base) == old
    assert_complete(old)
    document.refresh_from_db()
    assert document.chunks_total == Chunk.objects.filter(document=document, splitting=old.splitting_id).count()
    assert generations.roll_back(base=base).embedder == OTHER, "and forth"


def test_going_back_waits_for_what_it_lacks(base: KnowledgeBase, add: Add, work: Work) -> None:
    add(LONG, "one.txt")
    work()
    old = live_of(base)
    generations.start(base=base, embedder=OTHER)
    build()
    add(SENTENCE, "two.txt")
    work()
    assert generations.roll_back(base=base).state == State.BUILDING
    assert live_of(base).embedder == OTHER
    build()
    assert live_of(base) == old
    assert_complete(old)


def test_an_old_one_goes_with_its_passages_and_sources_stay(
    base: KnowledgeBase, add: Add, work: Work, talk: Any
) -> None:
    from coach.models import Source

    add(LONG, "one.txt")
    work()
    old = live_of(base)
    chunk = Chunk.objects.filter(splitting=old.splitting_id).first()
    source = Source.objects.create(conversation=talk, n=1, chunk=chunk, title="t", text=chunk.text, excerpt="the words")
    generations.start(base=base, embedder=OTHER)
    build()
    reconcile.tidy()
    assert IndexGeneration.objects.filter(pk=old.pk).exists()
    with pytest.raises(WrongState):
        generations.remove(generation=live_of(base))
    IndexGeneration.objects.filter(pk=old.pk).update(retired=timezone.now() - generations.KEEP * 2)
    reconcile.tidy()
    assert not IndexGeneration.objects.filter(pk=old.pk).exists()
    assert not Splitting.objects.filter(pk=old.splitting_id).exists()
    assert not Chunk.objects.filter(splitting=old.splitting_id).exists()
    assert lexical.search("coaching", [old.splitting_id], 5).ranking == ()
    reconcile.drop([old.collection])
    assert index.count(old.collection) == 0
    source.refresh_from_db()
    assert (source.chunk, source.excerpt) == (None, "the words")
    assert_complete(live_of(base))


def test_cancelling(base: KnowledgeBase, add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    add(LONG, "one.txt")
    work()
    made, real = generations.start(base=base, embedder=OTHER), index.add
    with pytest.raises(AlreadyBuilding):
        generations.start(base=base)
    with pytest.raises(UnknownEmbedder):
        generations.start(base=base, embedder="nonsense")

    def cancelling(*args: Any) -> None:
        real(*args)
        if IndexGeneration.objects.get(pk=made.pk).state == State.BUILDING:
            generations.cancel(generation=IndexGeneration.objects.get(pk=made.pk))

    monkeypatch.setattr(index, "add", cancelling)
    build()
    made.refresh_from_db()
    assert made.state == State.CANCELLED
    assert 0 < index.count(made.collection) < 50
    monkeypatch.setattr(index, "add", real)
    generations.retry(generation=made)
    build()
    assert live_of(base) == made


def test_a_new_default_embedder_changes_nothing_until_somebody_asks(
    base: KnowledgeBase, add: Add, work: Work, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from knowledge import selectors

    add(SENTENCE, "one.txt")
    work()
    old = live_of(base)
    assert selectors.reembed_due() == []
    settings.COACH_EMBEDDER = OTHER
    add(LONG, "two.txt")
    work()
    reconcile.reconcile()
    assert f"reembed --base {base.slug}" in caplog.text
    assert selectors.reembed_due() == [old]
    assert selectors.generation_data(old)["due"]
    assert_complete(old)
    generations.start(base=base)
    build()
    assert live_of(base).embedder == OTHER
    assert selectors.reembed_due() == []


# --- approved questions --------------------------------------------------------------------------


def question(document: Document, words: str, **values: Any) -> QuestionAnswer:
    text = DocumentText.objects.get(document=document).text
    at = text.index(words)
    defaults = {"question": "Where does the zebra live?", "answer": "In Borås.", "state": "approved"}
    return QuestionAnswer.objects.create(document=document, start=at, end=at + len(words), **{**defaults, **values})


def test_an_approved_question_leads_to_its_passage(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(BOOK, "book.md")
    work()
    build()
    asked = question(document, "Sentence number 200 says")
    wanted = Chunk.objects.get(text__contains="Sentence number 200 says")
    entries.add_questions(questions=[asked])
    assert lexical.search("zebra Borås", [wanted.splitting_id], 5).ranking[0][0] == wanted.pk
    build()
    live = live_of(base)
    assert_complete(live)

    async def nearest() -> list[tuple[int, float]]:
        from llm.loops import close_clients

        vector = registry.embedder(live.embedder).embed_query("Where does the zebra live? In Borås.")
        try:
            return await index.query_entries(live.collection, vector, 5)
        finally:
            await close_clients()

    assert entry_ids.chunk_of(asyncio.run(nearest())[0][0]) == wanted.pk
    generations.start(base=base, embedder=OTHER)
    build()
    assert_complete(live_of(base))
    assert live_of(base).verified["entries"] == 1
    entries.remove_questions(questions=[asked])
    asked.state = QuestionAnswer.State.REJECTED
    asked.save()
    reconcile.reconcile()
    build()
    assert_complete(live_of(base))


def test_what_is_new_is_looked_for_once(base: KnowledgeBase, add: Add, work: Work, monkeypatch: Any) -> None:
    real, looked = index.mend, []
    monkeypatch.setattr(index, "mend", lambda name, ids: looked.extend(ids) or real(name, ids))
    document = add(BOOK, "book.md")
    work()
    build()
    first = sorted(Chunk.objects.values_list("pk", flat=True))
    assert looked == first and live_of(base).mended_to == first[-1]
    looked.clear()
    add(LONG, "other.txt")
    entries.add_questions(questions=[question(document, "Sentence number 200 says")])
    work()
    build()
    new = sorted(set(Chunk.objects.values_list("pk", flat=True)) - set(first))
    assert looked[0] < 0 and looked[1:] == new and live_of(base).mended_to == new[-1]
    looked.clear()
    index.drop(live_of(base).collection)
    reconcile.reconcile()
    build()
    assert looked[0] < 0 and looked[1:] == first + new and live_of(base).mended_to == new[-1]


def test_what_is_ready_after_later_ones_is_looked_for(
    base: KnowledgeBase, add: Add, work: Work, monkeypatch: Any
) -> None:
    """A book that gave way to others, or that is tried again, has lower ids than they."""
    real, looked = index.mend, []
    monkeypatch.setattr(index, "mend", lambda name, ids: looked.extend(ids) or real(name, ids))
    book, note = add(BOOK, "book.md"), add(LONG, "note.txt")
    work()
    passages_of = {one.pk: sorted(one.chunks.values_list("pk", flat=True)) for one in (book, note)}
    first, last = sorted((book, note), key=lambda one: passages_of[one.pk][0])
    Document.objects.filter(pk=first.pk).update(state=Document.State.FAILED)
    build()
    assert looked == passages_of[last.pk] and live_of(base).mended_to == 0
    looked.clear()
    Document.objects.filter(pk=first.pk).update(state=Document.State.READY)
    index.drop(live_of(base).collection)  # FAILED took its vectors away
    build()
    assert looked == [*passages_of[first.pk], *passages_of[last.pk]] and live_of(base).mended_to == looked[-1]


def test_a_deleted_document_takes_its_questions_along(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(BOOK, "book.md")
    work()
    entries.add_questions(questions=[question(document, "Sentence number 20 says")])
    build()
    splitting = live_of(base).splitting_id
    services.delete_document(document_id=document.pk)
    assert lexical.search("zebra Borås", [splitting], 5).ranking == ()
    build()
    assert index.ids(live_of(base).collection) == set()


# --- by hand -------------------------------------------------------------------------------------


def test_words_are_written_anew(base: KnowledgeBase, add: Add, work: Work) -> None:
    document = add(BOOK, "book.md")
    work()
    entries.add_questions(questions=[question(document, "Sentence number 20 says")])
    splitting = live_of(base).splitting_id
    before = lexical.search("zebra coaching", [splitting], 500).ranking
    lexical.remove([chunk for chunk, _ in before])
    assert reindex.rewrite_words(base=base) == Chunk.objects.count()
    assert sorted(lexical.search("zebra coaching", [splitting], 500).ranking) == sorted(before)
