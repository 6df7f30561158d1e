"""Makes index generations complete: what they lack is cut from the stored text, embedded and stored.

    claim ─► cut documents that are not cut this way ─► compare Chroma with SQL ─► embed what is missing ─┐
                                                            ▲   └─ nothing missing: mend, `verified`      │
                                                            └─────────────────────────────────────────────┘
    being built:  verified ─► recall gate ─► ready ─► live (if it is wanted and nothing has arrived meanwhile)

Nothing is remembered about how far it got: what Chroma lacks is what is left. So a killed worker's successor repeats
the batch that was being stored, under the same ids, and documents that come, change or go meanwhile are found when
Chroma and SQL are compared again. The same serves a new generation, one to go back to, and a lost collection.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from . import coverage, gate, generations, index, leases, lexical, passages, stored
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder as embedder_for
from .embedding.types import CALLS_AT_ONCE, Embedder, Floats
from .errors import IndexUnavailable
from .models import Chunk, Document, IndexGeneration, KnowledgeBase
from .splitting import ChunkDraft, passage_text, split

log = logging.getLogger(__name__)
State = IndexGeneration.State

LEASE = timedelta(seconds=60)
# After a slice the next one is queued; for so long the sweeper does not queue another.
QUEUED = timedelta(minutes=5)
MOST_ATTEMPTS = 3
# Passages per transaction, and texts that are in memory at once.
WRITE_BATCH, LOAD_BATCH, EMBED_BATCH, AHEAD = 400, 512, 32, 2
BEAT_SECONDS = 2.0
# Share of its passages by which an index has changed when its thresholds are found anew.
RECALIBRATE = 0.2
# After so long, documents that wait go first.
POLITE_SECONDS = 20.0

Clock = Callable[[], float]
GAVE_UP = leases._("Building this index stopped the worker three times; look into its log and try again.")


class _Over(Exception):
    """The time of this slice is over, or documents wait."""


class _Lost(Exception):
    """Cancelled, removed, or another worker has it."""


def complete(worker: str, deadline: float, clock: Clock = time.monotonic) -> bool:
    """Complete the generations that lack something, until `deadline` (of `clock`); True when something is left.

    One whose embedder or Chroma is away is left for the sweeper, with the reason in its row.
    """
    left = False
    for generation in generations.maintained():
        if clock() >= deadline:
            return True
        if generation.state != State.BUILDING and not _lacks(generation):
            continue
        token = _claim(generation, worker)
        if token:
            left = _Completion(generation, token, deadline, clock).run() or left
    return left


def _lacks(generation: IndexGeneration) -> bool:
    """False also while documents of a live one are being read: they bring their vectors themselves."""
    reading = Document.objects.filter(base=generation.base_id, state=Document.State.PROCESSING)
    if generation.state == State.LIVE and reading.exists():
        return False
    wanted = generation.state == State.READY and generation.switch_when_ready and generations.passed(generation)
    return wanted or not generations.is_verified(generation)


def _claim(generation: IndexGeneration, worker: str) -> str:
    """The name of the claim; '' when another worker has it, or three have died of it."""
    token = f"{worker[:40]}:{uuid.uuid4().hex[:16]}"
    free = Q(lease_owner="") | Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
    rows = IndexGeneration.objects.filter(free, pk=generation.pk, state=generation.state)
    with transaction.atomic():
        spent = rows.filter(attempts__gte=MOST_ATTEMPTS).exclude(error_code=leases.GAVE_UP[0])
        if spent.update(error_code=leases.GAVE_UP[0], error=GAVE_UP, lease_owner="", lease_until=None):
            log.error("building the index %s stopped the worker three times", generation.collection)
            rows.filter(state=State.BUILDING).update(state=State.FAILED, retired=timezone.now())
        claimed = rows.filter(attempts__lt=MOST_ATTEMPTS).update(
            attempts=F("attempts") + 1, lease_owner=token, lease_until=timezone.now() + LEASE
        )
    return token if claimed else ""


class _Completion:
    """One slice of work on one generation."""

    def __init__(self, generation: IndexGeneration, token: str, deadline: float, clock: Clock) -> None:
        self.generation = generation
        self.token = token
        self._deadline = deadline
        self._clock = clock
        self._started = self._beaten = clock()
        self._total = self._left = self._embedded = 0
        self._embedding_since = 0.0

    def run(self) -> bool:
        """True when something is left for the next slice."""
        try:
            embedder = embedder_for(self.generation.embedder)
            self._mine().update(dimensions=embedder.dimensions)
            index.create(self.generation.collection)
            self._complete(embedder)
            return not self._go_on()
        except _Over:
            self._release(lease_until=timezone.now() + QUEUED)
            return True
        except (_Lost, generations.WrongState):
            return False
        except (EmbedderUnavailable, IndexUnavailable) as error:
            log.warning("the index %s waits: %s", self.generation.collection, error)
            self._release(error_code=getattr(error, "code", "embedder_unavailable"), error=str(error))
            return False

    def _complete(self, embedder: Embedder) -> None:
        while True:
            self._cut(embedder)
            content = generations.content(self.generation)
            missing, entries = self._compare()
            if not missing:
                self._mend(entries)
                verified = {**content, "entries": len(entries)}
                thresholds = self._thresholds(content["chunks"])
                self._beat(verified=verified, coverage=thresholds, chunks_total=self._total, chunks_done=self._total)
                return
            self._embed(embedder, missing, entries)

    def _thresholds(self, chunks: int) -> dict[str, float]:
        """Those of "covered", found anew when the index has grown or shrunk by a fifth since."""
        known, before = self.generation.coverage, self.generation.verified.get("chunks", 0)
        if known and abs(chunks - before) <= RECALIBRATE * before:
            return known
        self._beat()
        return coverage.calibrate(self.generation)

    def _go_on(self) -> bool:
        """After it was found complete: the gate, and the switch. False when it has to be completed again."""
        generation = self.generation
        generation.refresh_from_db()
        if generation.state == State.BUILDING:
            recall = generation.recall or gate.measure(generation, beat=self._renew)
            changed = self._mine().filter(state=State.BUILDING)
            if not changed.update(recall=recall, state=State.READY):
                raise _Lost
            generation.refresh_from_db()
        if generation.state == State.READY and generation.switch_when_ready and generations.passed(generation):
            try:
                generations.go_live(generation)
            except generations.NotComplete:
                self._release(lease_until=timezone.now() + QUEUED)
                return False
            log.info("the index %s of %s is live", generation.collection, generation.base)
        else:
            self._release()
        return True

    # --- cutting ---------------------------------------------------------------------------------

    def _cut(self, embedder: Embedder) -> None:
        generation = self.generation
        waiting = passages.uncut(generation.base_id, generation.splitting_id).order_by("created")
        for document, title in list(waiting.values_list("pk", "title")):
            self._tick()
            loaded = stored.load(document)
            if loaded is None:
                log.warning("the text of document %s is lost; it is read again", document)
                Document.objects.filter(pk=document, state=Document.State.READY).update(
                    state=Document.State.PENDING, chunks_total=0, chunks_done=0, attempts=0
                )
                continue
            self._write(document, title, split(loaded, embedder.count_tokens))

    def _write(self, document: UUID, title: str, drafts: Sequence[ChunkDraft]) -> None:
        """The first passage last: until it is there, nobody takes the document for whole."""
        splitting = self.generation.splitting_id
        made = [passages.NewPassage(document, title, splitting, at, draft) for at, draft in enumerate(drafts)]
        for first in reversed(range(0, len(made), WRITE_BATCH)):
            with transaction.atomic():
                still = Document.objects.select_for_update().filter(pk=document, chunks_total__gt=0)
                if not still.values_list("pk", flat=True):
                    return
                if first + WRITE_BATCH >= len(made):
                    passages.remove(document_id=document, splitting_id=splitting)  # of an attempt that died
                passages.write(made[first : first + WRITE_BATCH])
                if first == 0:
                    questions = passages.approved().filter(document=document)
                    passages.write_questions(passages.question_entries(questions, [splitting]))
            self._tick()

    # --- comparing and embedding -----------------------------------------------------------------

    def _compare(self) -> tuple[list[int], dict[int, str]]:
        """What Chroma lacks, and the texts of all entries of questions; forgets what should not be there.

        In this order a vector that is added meanwhile is never taken for wrong.
        """
        generation = self.generation
        chunks = Chunk.objects.filter(splitting=generation.splitting_id).order_by("pk")
        ready = chunks.filter(document__state=Document.State.READY)
        expected = list(ready.values_list("pk", flat=True))
        asked = passages.approved().filter(document__base=generation.base_id, document__state=Document.State.READY)
        entries = {entry.id: entry.text for entry in passages.question_entries(asked, [generation.splitting_id])}
        there = index.ids(generation.collection)
        gone = (Document.State.FAILED, Document.State.CANCELLED)
        known = set(chunks.exclude(document__state__in=gone).values_list("pk", flat=True)) | entries.keys()
        orphans = sorted(there - known)
        if orphans:
            index.delete(generation.collection, orphans)
        missing = [entry for entry in (*expected, *entries) if entry not in there]
        if missing and 0 <= missing[0] <= generation.mended_to:  # lost since
            self._mended_to(missing[0] - 1)
        self._total, self._left = len(expected) + len(entries), len(missing)
        self._embedded, self._embedding_since = 0, self._clock()
        return missing, entries

    def _embed(self, embedder: Embedder, missing: Sequence[int], entries: dict[int, str]) -> None:
        ahead: deque[tuple[list[int], Future[Floats]]] = deque()
        with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="embed") as threads:
            try:
                for ids, texts in self._texts(missing, entries):
                    ahead.append((ids, threads.submit(embedder.embed_passages, texts)))
                    if len(ahead) > AHEAD:
                        self._store(*ahead.popleft())
                while ahead:
                    self._store(*ahead.popleft())
            finally:
                for _, future in ahead:
                    future.cancel()

    def _texts(self, missing: Sequence[int], entries: dict[int, str]) -> Iterator[tuple[list[int], list[str]]]:
        """Batches of (ids, texts); what was deleted meanwhile is left out."""
        for at in range(0, len(missing), LOAD_BATCH):
            some = missing[at : at + LOAD_BATCH]
            rows = Chunk.objects.filter(pk__in=[entry for entry in some if entry >= 0]).order_by()
            texts = {
                pk: passage_text(title, headings, text)
                for pk, title, headings, text in rows.values_list("pk", "document__title", "headings", "text")
            }
            texts |= {entry: entries[entry] for entry in some if entry in entries}
            found = [entry for entry in some if entry in texts]
            for first in range(0, len(found), EMBED_BATCH):
                ids = found[first : first + EMBED_BATCH]
                yield ids, [texts[entry] for entry in ids]

    def _mend(self, entries: dict[int, str]) -> None:
        """Look whether a search finds what has come since the last time, and questions; see `index.mend`.

        A document that is not ready has ids already: what comes after them is looked for again when it is.
        """
        generation = self.generation
        chunks = Chunk.objects.filter(splitting=generation.splitting_id).order_by("pk")
        unready = chunks.exclude(document__state=Document.State.READY).values_list("pk", flat=True).first()
        new = chunks.filter(pk__gt=generation.mended_to, document__state=Document.State.READY)
        wanted = [*entries, *new.values_list("pk", flat=True)]
        mended = 0
        for at in range(0, len(wanted), index.LOOK_BATCH):
            some = wanted[at : at + index.LOOK_BATCH]
            mended += len(index.mend(generation.collection, some))
            if some[-1] > 0 and (unready is None or some[-1] < unready):
                self._mended_to(some[-1])
            self._tick()
        if mended:
            log.info("%d of %d new entries of %s were written again", mended, len(wanted), generation.collection)

    def _mended_to(self, chunk: int) -> None:
        self._mine().update(mended_to=chunk)
        self.generation.mended_to = chunk

    def _store(self, ids: list[int], vectors: Future[Floats]) -> None:
        index.add(self.generation.collection, ids, vectors.result())
        self._left -= len(ids)
        self._embedded += len(ids)
        self._tick()

    # --- the claim -------------------------------------------------------------------------------

    def _mine(self) -> Any:
        return IndexGeneration.objects.filter(pk=self.generation.pk, lease_owner=self.token)

    def _tick(self) -> None:
        """About every two seconds: count, keep the claim, look whether it is time to go. Raises _Over or _Lost."""
        now = self._clock()
        if now - self._beaten < BEAT_SECONDS and now < self._deadline:
            return
        self._beaten = now
        progress: dict[str, Any] = {}
        if self._total:
            progress = {"chunks_total": self._total, "chunks_done": self._total - self._left}
        if self._embedded:
            seconds = max(0.1, now - self._embedding_since)
            progress |= {"attempts": 0, "chunks_per_second": round(self._embedded / seconds, 2)}
        self._beat(**progress)
        polite = now - self._started >= POLITE_SECONDS and leases.claimable().exists()
        if polite or now >= self._deadline:
            raise _Over

    def _renew(self) -> None:
        self._beat()

    def _beat(self, **values: Any) -> None:
        states = (State.BUILDING, State.READY, State.LIVE, State.RETIRED)
        if not self._mine().filter(state__in=states).update(lease_until=timezone.now() + LEASE, **values):
            raise _Lost

    def _release(self, **values: Any) -> None:
        values = {"error_code": "", "error": "", "lease_until": None, **values}
        self._mine().update(attempts=0, lease_owner="", **values)


def rewrite_words(*, base: KnowledgeBase, beat: Callable[[int], None] = lambda _done: None) -> int:
    """Make the lexical index of a base anew from SQL, batch by batch, so that it can be searched meanwhile.

    beat: called with the number of passages done. Gives that number.
    """
    chunks = Chunk.objects.filter(splitting__base=base).order_by("pk")
    done = last = 0
    while True:
        with transaction.atomic():
            rows = list(
                chunks.filter(pk__gt=last).values_list("pk", "splitting", "document__title", "headings", "text")[
                    :WRITE_BATCH
                ]
            )
            lexical.add(
                lexical.rows(
                    lexical.Entry(pk, splitting, passage_text(title, headings, text))
                    for pk, splitting, title, headings, text in rows
                )
            )
        if not rows:
            break
        last, done = rows[-1][0], done + len(rows)
        beat(done)
    with transaction.atomic():
        passages.write_questions(passages.question_entries(passages.approved().filter(document__base=base)))
    return done
