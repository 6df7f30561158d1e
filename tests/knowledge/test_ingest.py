"""From waiting to searchable against a real Chroma, with a worker that is killed at every step."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from knowledge import index, ingest, leases, lexical, reading, reconcile, reindex, services
from knowledge.errors import IndexUnavailable
from knowledge.models import Chunk, Document, IndexGeneration
from knowledge.turns import Turns

pytestmark = pytest.mark.usefixtures("lexical_index", "chroma", "fake_embedder")
State = Document.State
Add = Callable[..., Document]
Work = Callable[[], int]

SENTENCE = "Sentence number {} says something about coaching, goals and habits. "
LONG = "".join(SENTENCE.format(number) for number in range(1800))


class Killed(BaseException):
    """kill -9: no handler of the worker sees it."""


def vectors() -> set[int]:
    generation = IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE).first()
    return index.ids(generation.collection) if generation else set()


def assert_whole(document: Document) -> None:
    """Ready, every passage once, in SQL, in words and in Chroma."""
    document.refresh_from_db()
    chunks = list(Chunk.objects.filter(document=document).order_by("position"))
    assert document.state == State.READY, document.error
    assert (document.chunks_total, document.chunks_done, document.lease_owner) == (len(chunks), len(chunks), "")
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert vectors() == set(Chunk.objects.values_list("pk", flat=True))
    found = [chunk for chunk, _ in lexical.search("coaching goals habits", [chunks[0].splitting_id], 10_000).ranking]
    assert sorted(found) == sorted(Chunk.objects.values_list("pk", flat=True))


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "EMBED_BATCH", 16)


def mend() -> int:
    """As the sweeper and the worker it wakes; gives how many indexes lacked something."""
    found = reconcile.reconcile()
    if found:
        assert not reindex.complete("worker", time.monotonic() + 60)
    return found


def expire_leases() -> None:
    Document.objects.filter(state=State.PROCESSING).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_document_becomes_searchable(add: Add, work: Work) -> None:
    document = add(f"# The title\n\n## Part\n\n{LONG}", "notes.md")
    assert work() == 1
    assert_whole(document)
    assert document.title == "The title"
    assert document.attempts == 0
    assert Chunk.objects.first().headings == ["Part"]


def test_small_documents_go_together(add: Add, work: Work, fake_embedder: Any) -> None:
    documents = [add(SENTENCE.format(number), f"{number}.txt") for number in range(40)]
    assert work() == 40
    assert_whole(documents[0])
    assert Document.objects.filter(state=State.READY).count() == 40
    assert len(fake_embedder.embedded) == 40


def test_what_cannot_be_read_fails_with_a_sentence(add: Add, work: Work) -> None:
    bad, good = add(b"%PDF-1.4 not really", "bad.pdf"), add(SENTENCE, "good.txt")
    work()
    bad.refresh_from_db()
    assert (bad.state, bad.error_code) == (State.FAILED, "wrong_type")
    assert bad.error.endswith(".")
    assert_whole(good)


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        ("services", "live_generation", 1),  # after parsing and writing
        ("sandbox", "load_many", 1),  # before anything
        ("passages", "write", 1),  # inside the first transaction
        ("passages", "write", 3),  # with half of the passages written
        ("index", "add", 1),
        ("index", "add", 4),
        ("ingest", "_count", 1),  # vectors stored, not counted
        ("ingest", "_count", 3),
        ("ingest", "_finish", 1),  # all done but the last word
    ],
)
def test_a_killed_worker_only_delays(
    add: Add, work: Work, monkeypatch: pytest.MonkeyPatch, module: str, name: str, call: int
) -> None:
    monkeypatch.setattr(reading, "WRITE_BATCH", 20)
    target = ingest if module == "ingest" else getattr(reading, module, None) or getattr(ingest, module)
    real, calls = getattr(target, name), []

    def killing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return real(*args, **kwargs)

    document = add(LONG)
    monkeypatch.setattr(target, name, killing)
    with pytest.raises(Killed):
        work()
    monkeypatch.setattr(target, name, real)
    document.refresh_from_db()
    assert document.state == State.PROCESSING
    assert work() == 0, "the lease of the dead worker still holds"
    expire_leases()
    assert reconcile.forgotten()
    assert work() == 1
    assert_whole(document)


def test_a_killed_worker_goes_on_where_it_was(
    add: Add, work: Work, monkeypatch: pytest.MonkeyPatch, fake_embedder: Any
) -> None:
    monkeypatch.setattr(ingest, "AHEAD", 2)
    document, real, calls = add(LONG), index.add, []

    def third(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        real(*args)

    monkeypatch.setattr(index, "add", third)
    with pytest.raises(Killed):
        work()
    monkeypatch.setattr(index, "add", real)
    expire_leases()
    work()
    assert_whole(document)
    repeated = len(fake_embedder.embedded) - document.chunks_total
    assert 0 < repeated <= 2 * ingest.EMBED_BATCH, "the batch that was being stored, and the one made ahead"


def test_three_attempts_and_no_more(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document, innocent = add(LONG), add(SENTENCE, "innocent.txt")
    real = reading.sandbox.load_many

    def deadly(jobs: Any, **limits: Any) -> Any:
        if any(path.name == document.sha256 for path, _ in jobs):
            raise Killed
        return real(jobs, **limits)

    monkeypatch.setattr(reading.sandbox, "load_many", deadly)
    for _ in range(6):
        expire_leases()
        try:
            work()
        except Killed:
            continue
    document.refresh_from_db()
    innocent.refresh_from_db()
    assert (document.state, document.error_code) == (State.FAILED, "gave_up")
    assert innocent.state == State.READY, "it went alone after the first kill"


def test_a_chroma_that_is_away_only_delays(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document, real = add(SENTENCE), index.add

    def away(*args: Any) -> None:
        raise IndexUnavailable

    monkeypatch.setattr(index, "add", away)
    with pytest.raises(IndexUnavailable):
        work()
    document.refresh_from_db()
    assert (document.state, document.error_code, document.attempts) == (State.PENDING, "index_unavailable", 0)
    monkeypatch.setattr(index, "add", real)
    work()
    assert_whole(document)
    assert document.error == ""


def test_cancelling_in_the_middle(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document, other, real = add(LONG), add(SENTENCE, "other.txt"), index.add

    def cancel_then_add(*args: Any) -> None:
        if Document.objects.filter(pk=document.pk, state=State.PROCESSING, chunks_done__gt=0).exists():
            services.cancel(document_id=document.pk)
        real(*args)

    monkeypatch.setattr(index, "add", cancel_then_add)
    work()
    document.refresh_from_db()
    assert document.state == State.CANCELLED
    assert not Chunk.objects.filter(document=document).exists()
    assert_after_sweep(other)
    services.retry(document_id=document.pk)
    monkeypatch.setattr(index, "add", real)
    work()
    assert_after_sweep(document)


def assert_after_sweep(document: Document) -> None:
    mend()
    document.refresh_from_db()
    assert document.state == State.READY
    assert vectors() == set(Chunk.objects.values_list("pk", flat=True))


def test_deleting_in_the_middle(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document, real = add(LONG), index.add

    def delete_then_add(*args: Any) -> None:
        services.delete_document(document_id=document.pk)
        real(*args)

    monkeypatch.setattr(index, "add", delete_then_add)
    work()
    assert not Document.objects.exists()
    mend()
    assert vectors() == set()


def test_a_long_document_is_put_back_after_its_time(add: Add) -> None:
    document = add(LONG)
    ticks = iter(range(10_000))
    ingest.process_pending("worker", 2.0, clock=lambda: next(ticks))
    document.refresh_from_db()
    assert document.state == State.PENDING
    assert 0 < document.chunks_done < document.chunks_total
    assert document.attempts == 0
    ingest.process_document(document.pk, "worker")
    assert_whole(document)


def test_two_workers_never_take_the_same_document(add: Add) -> None:
    document = add(SENTENCE)
    first, second = leases.claim([document.pk], "one"), leases.claim([document.pk], "two")
    assert [leases.claimed(token).count() for token in (first, second)] == [1, 0]
    generation = services.live_generation(base=document.base, embedder="fake", dimensions=64)
    assert leases.finish(second, [document.pk], generation.pk) == set()
    with pytest.raises(leases.LeaseLost):
        leases.renew(second)


def test_a_new_version_takes_the_place_of_the_old_one_when_it_is_searchable(
    add: Add, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = add(SENTENCE, "plan.txt")
    work()
    new, seen = add(LONG, "plan.txt"), []
    real = index.add

    def look(*args: Any) -> None:
        seen.append(Chunk.objects.filter(document=old).exists())
        real(*args)

    monkeypatch.setattr(index, "add", look)
    work()
    assert seen and all(seen), "never before"
    assert Document.objects.get() == new
    mend()
    assert_whole(new)


def test_a_new_version_that_cannot_be_read_leaves_the_old_one(add: Add, work: Work) -> None:
    old = add("%PDF".join(["", SENTENCE]), "plan.txt")
    work()
    new = add(b"\x00" * 64, "plan.txt")
    assert new.replaces == old
    work()
    new.refresh_from_db()
    assert new.state == State.FAILED
    assert_whole(old)
    third = add(SENTENCE * 3, "plan.txt")
    assert third.replaces == new
    work()
    assert Document.objects.get() == third


# --- SQL and Chroma agree again ------------------------------------------------------------------


def test_vectors_of_deleted_documents_are_swept(add: Add, work: Work) -> None:
    document, other = add(SENTENCE), add(SENTENCE * 2, "other.txt")
    work()
    services.delete_document(document_id=document.pk)
    assert len(vectors()) == 2, "no worker was told"
    assert mend() == 1
    assert_whole(other)
    assert mend() == 0


def test_a_lost_index_is_made_from_sql(add: Add, work: Work) -> None:
    document = add(LONG)
    work()
    assert mend() == 1, "it was never compared before"
    before = list(Chunk.objects.values_list("pk", flat=True))
    index.drop(IndexGeneration.objects.get().collection)
    assert mend() == 1
    assert_whole(document)
    assert list(Chunk.objects.values_list("pk", flat=True)) == before, "citations still point to their passages"


def test_drift_that_leaves_the_count_alone_is_found(add: Add, work: Work) -> None:
    document, other = add(SENTENCE), add(SENTENCE * 2, "other.txt")
    work()
    mend()
    generation = IndexGeneration.objects.get()
    index.delete(generation.collection, list(Chunk.objects.filter(document=other).values_list("pk", flat=True)))
    services.delete_document(document_id=document.pk)
    assert index.count(generation.collection) == Chunk.objects.count() == 1
    assert mend() == 1
    assert_whole(other)


def test_a_damaged_index_is_made_anew(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document = add(SENTENCE)
    work()
    mend()
    bad = IndexGeneration.objects.get()
    monkeypatch.setattr(index, "damaged", lambda collection, _dimensions: collection == bad.collection)
    reconcile.reconcile()
    bad.refresh_from_db()
    assert (bad.error_code, IndexGeneration.objects.count()) == ("index_damaged", 1), "it may be a full disk"
    reconcile.reconcile()
    assert not reindex.complete("worker", time.monotonic() + 60)
    states = dict(IndexGeneration.objects.values_list("pk", "state"))
    assert states.pop(bad.pk) == "retired"
    assert list(states.values()) == ["live"]
    assert_whole(document)
    IndexGeneration.objects.filter(pk=bad.pk).update(retired=timezone.now() - timedelta(minutes=3))
    reconcile.tidy()
    assert_whole(document)
    assert IndexGeneration.objects.count() == 1


def test_a_real_damaged_answer_is_noticed(add: Add, work: Work) -> None:
    add(SENTENCE)
    work()
    collection = IndexGeneration.objects.get().collection
    assert not index.damaged(collection, 64)
    assert index.damaged(collection, 3), "the server refuses the search"
    assert not index.damaged("kb-none", 64), "a missing one is not damaged: it lacks everything"


def test_what_waits_for_a_minute_is_forgotten(add: Add) -> None:
    add(SENTENCE)
    assert not reconcile.forgotten()
    Document.objects.update(updated=timezone.now() - timedelta(seconds=61))
    assert reconcile.forgotten()


# --- cancelling, and whose turn it is ------------------------------------------------------------


def test_cancelling_while_it_is_parsed_ends_the_child(add: Add, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    document, other = add(SENTENCE * 3, "slow.txt"), add(SENTENCE, "other.txt")
    real, runs = reading.sandbox.load_many, []

    def slow(jobs: Any, beat: Any, **limits: Any) -> Any:
        runs.append(len(jobs))
        if len(jobs) == 2:
            services.cancel(document_id=document.pk)
            beat()
            raise AssertionError("the child should be gone")
        return real(jobs, beat=beat, **limits)

    monkeypatch.setattr(reading.sandbox, "load_many", slow)
    work()
    assert runs == [2, 1]
    document.refresh_from_db()
    assert document.state == State.CANCELLED
    assert_whole(other)


def test_one_file_does_not_wait_for_a_thousand(add: Add, ada: Any, bob: Any) -> None:
    many = [add(f"{SENTENCE} {number}", f"{number}.txt", uploaded_by=ada).pk for number in range(100)]
    turns = Turns()
    first, _ = turns.next_group(64)
    leases.claim(first, "worker")
    assert set(first) < set(many)
    single = add(SENTENCE * 2, "single.txt", uploaded_by=bob).pk
    second, _ = turns.next_group(64)
    leases.claim(second, "worker")
    assert second == [single]
    third, _ = turns.next_group(64)
    assert set(third) == set(many) - set(first)


def test_a_book_gives_way(add: Add, ada: Any, bob: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BOOK_SECONDS", 0.0)
    monkeypatch.setattr(ingest, "AHEAD", 1)
    book, note = add(LONG, "book.txt", uploaded_by=ada), add(SENTENCE, "note.txt", uploaded_by=bob)
    order: list[Any] = []
    real = leases.finish

    def finish(token: str, documents: Any, generation: int) -> Any:
        order.extend(documents)
        return real(token, documents, generation)

    monkeypatch.setattr(leases, "finish", finish)
    ingest.process_pending("worker", time.monotonic() + 60)
    assert order == [note.pk, book.pk]
    assert_whole(book)
