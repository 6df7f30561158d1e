"""From a pending document to a searchable one. Any step can be killed and done again:

    claim ─► parse in the sandbox ─► text, chunks, words in SQL ─► embed ─► Chroma ─► ready
             (reading.py)            (whole when chunks_total > 0)  └─ batch by batch, chunks_done counts ─┘

After a restart a document whose chunks are whole goes on at `chunks_done`; else it is parsed again. Vectors are
stored under their chunk's id, so that a batch that was stored but not counted is replaced, never doubled.

Small documents are taken together, and two threads embed a batch each while the next group is read and written:
the embedder is what takes the time, and it never waits, not even for the last text of a batch. Whose turn it is,
turns.py says.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, IntegerField, Value, When

from . import index, leases, services
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder as embedder_for
from .embedding.types import CALLS_AT_ONCE, Floats
from .errors import IndexUnavailable
from .leases import LeaseLost
from .models import IndexGeneration
from .reading import Work, read
from .turns import FIRST_GROUP, GROUP_DOCUMENTS, Turns

log = logging.getLogger(__name__)

EMBED_BATCH = 128  # fewer requests to Chroma, each of which it writes to disk
# Batches that the embedding threads have at once: what a group brings, so that they have work while the next is read.
AHEAD = 4
# A book gives way to others after so long; the speed is noted as often.
BOOK_SECONDS, RATE_SECONDS, RATE_WINDOW = 20.0, 2.0, 60.0

Clock = Callable[[], float]
Embed = Callable[[Sequence[str]], Floats]
Item = tuple[Work, int, str]  # the document, the chunk's id, the text to embed


def process_document(document_id: UUID, worker: str) -> None:
    """Index one document if it is claimable; its state tells how it went.

    Raises EmbedderUnavailable or IndexUnavailable after putting it back.
    """
    with _Line(lambda: False) as line:
        line.take(leases.claim([document_id], worker))
        line.drain()


def process_pending(worker: str, deadline: float, clock: Clock = time.monotonic) -> int:
    """Index what waits until nothing is left or `deadline` (of `clock`) has passed; gives how many it took.

    Raises EmbedderUnavailable or IndexUnavailable after putting the documents back.
    """
    taken = 0
    turns = Turns()
    with _Line(lambda: clock() >= deadline) as line:
        most = FIRST_GROUP
        while clock() < deadline:
            group, suspect = turns.next_group(most)
            most = min(2 * most, GROUP_DOCUMENTS)
            if not group:
                break
            taken += len(group)
            if suspect:
                line.drain()
            line.take(leases.claim(group, worker))
            if suspect:
                line.drain()
        line.drain()
    return taken


@dataclass
class _Claim:
    """Documents on their way.

    left        chunks left of each document
    held        those that are still ours
    waiting     batches for the embedding threads; embedding: batches they have, with their vectors to be
    since       when the first of its vectors was stored, in seconds of time.monotonic
    """

    token: str
    left: dict[UUID, int]
    held: set[UUID]
    waiting: deque[tuple[Embed, Sequence[Item]]] = field(default_factory=deque)
    embedding: deque[tuple[Sequence[Item], Future[Floats]]] = field(default_factory=deque)
    since: float = 0.0


class _Line:
    """Claims on their way through the embedding threads."""

    def __init__(self, late: Callable[[], bool]) -> None:
        self._late = late
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="embed")
        self._tokens: list[str] = []
        self._claims: deque[_Claim] = deque()
        self._rate = _Rate()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        if error is None:
            self._release()
        elif isinstance(error, EmbedderUnavailable | IndexUnavailable):
            log.warning("indexing waits: %s", error)
            self._release(error_code=getattr(error, "code", "embedder_unavailable"), error=str(error))
        # Anything else is like a kill: the leases run out, and the attempt counts.

    def take(self, token: str) -> None:
        """Read a claim and hand it to the embedding threads; then store what was handed over before."""
        self._tokens.append(token)
        works = read(token, self._beat)
        claim = _Claim(token, {work.document: len(work.chunks) for work in works}, {work.document for work in works})
        _retire(_finish(token, [work for work in works if not work.chunks]))
        for name in dict.fromkeys(work.generation.embedder for work in works):
            items = [(work, *chunk) for work in works if work.generation.embedder == name for chunk in work.chunks]
            embed = embedder_for(name).embed_passages
            claim.waiting.extend((embed, items[at : at + EMBED_BATCH]) for at in range(0, len(items), EMBED_BATCH))
        self._claims.append(claim)
        self._hand_over()
        self.drain(keep=1)

    def drain(self, keep: int = 0) -> None:
        """Store and count until only `keep` claims are left, or it is late; a book may be put back before its end."""
        while len(self._claims) > keep:
            claim = self._claims[0]
            self._hand_over()  # a claim before it may have ended with a batch in hand
            try:
                while claim.embedding:
                    batch, vectors = claim.embedding[0]
                    _store(claim, batch, vectors.result())
                    self._rate.count(batch)
                    claim.embedding.popleft()
                    self._hand_over()
                    if self._late():
                        return
                    if self._gives_way(claim):
                        leases.release(claim.token)
                        raise LeaseLost
            except LeaseLost:
                for _, future in claim.embedding:
                    future.cancel()
            self._claims.popleft()
            self._tokens.remove(claim.token)

    def _gives_way(self, claim: _Claim) -> bool:
        """It is one book that has had its time, there is more of it, and others wait."""
        claim.since = claim.since or time.monotonic()
        if len(claim.left) > 1 or not claim.waiting or time.monotonic() - claim.since < BOOK_SECONDS:
            return False
        claim.since = time.monotonic()
        return len(self._claims) > 1 or leases.claimable().exists()

    def _hand_over(self) -> None:
        """Give the threads their next batches, in order, but not a whole book at once, nor what was cancelled."""
        room = AHEAD - sum(len(claim.embedding) for claim in self._claims)
        for claim in self._claims:
            while room > 0 and claim.waiting:
                embed, batch = claim.waiting.popleft()
                if not any(work.document in claim.held for work, _, _ in batch):
                    continue
                claim.embedding.append((batch, self._threads.submit(embed, [text for _, _, text in batch])))
                room -= 1

    def _beat(self) -> None:
        for token in self._tokens:
            with contextlib.suppress(LeaseLost):
                leases.renew(token)

    def _release(self, **why: str) -> None:
        for token in self._tokens:
            leases.release(token, **why)


def _store(claim: _Claim, batch: Sequence[Item], vectors: Floats) -> None:
    """Vectors into Chroma, then counted. Raises LeaseLost when nothing of the claim is left."""
    rows = [at for at, (work, _, _) in enumerate(batch) if work.document in claim.held]
    for collection in dict.fromkeys(batch[at][0].generation.collection for at in rows):
        same = [at for at in rows if batch[at][0].generation.collection == collection]
        index.add(collection, [batch[at][1] for at in same], vectors[same])
    _count(claim, [batch[at] for at in rows])


def _count(claim: _Claim, batch: Sequence[Item]) -> None:
    """Count the batch, renew the lease, finish whole documents, notice cancelled ones."""
    done: dict[UUID, int] = {}
    works = {work.document: work for work, _, _ in batch}
    for work, _, _ in batch:
        done[work.document] = done.get(work.document, 0) + 1
    steps = [When(pk=pk, then=Value(count)) for pk, count in done.items()]
    with transaction.atomic():
        claim.held = leases.lock(claim.token)
        if not claim.held:
            raise LeaseLost
        for pk, count in done.items():
            claim.left[pk] -= count
        whole = [works[pk] for pk in done if not claim.left[pk]]
        if len(whole) < len(done):
            leases.claimed(claim.token).filter(pk__in=done).update(
                chunks_done=F("chunks_done") + Case(*steps, default=Value(0), output_field=IntegerField())
            )
        newer = _finish(claim.token, whole)
    _retire(newer)


def _finish(token: str, works: Sequence[Work]) -> list[UUID]:
    """Whole documents are ready; gives those that are new versions of another one."""
    newer: list[UUID] = []
    for generation in dict.fromkeys(work.generation.pk for work in works):
        mine = [work for work in works if work.generation.pk == generation]
        ready = leases.finish(token, [work.document for work in mine], generation)
        newer += [work.document for work in mine if work.replaces and work.document in ready]
    return newer


def _retire(newer: Sequence[UUID]) -> None:
    """If it is killed before, the sweeper does it."""
    for document in newer:
        services.retire_replaced(document_id=document)


class _Rate:
    """Measures the speed over the last minute and notes it with the live generation, for what is shown as time left."""

    def __init__(self) -> None:
        self._since = self._noted = time.monotonic()
        self._chunks = 0

    def count(self, batch: Sequence[Item]) -> None:
        now = time.monotonic()
        self._chunks += len(batch)
        if now - self._noted < RATE_SECONDS:
            return
        speed = round(self._chunks / (now - self._since), 2)
        generations = {work.generation.pk for work, _, _ in batch}
        IndexGeneration.objects.filter(pk__in=generations).update(chunks_per_second=speed)
        self._noted = now
        if now - self._since > RATE_WINDOW:
            self._since, self._chunks = now, 0
