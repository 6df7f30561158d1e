"""Whose documents are read next: nobody's thousand files keep another one's single file waiting.

Documents of one uploader in one base are a queue, first in, first out. The queue goes next that has had least of
the worker so far; one that appears begins level with the one that had least. The bytes of a file stand for the
time it takes.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Min

from . import leases

# Documents that are read and embedded together: at most so many, of about so many bytes in all, some ten seconds of
# work. The first groups are small: the embedder has nothing to do until the first one is read.
FIRST_GROUP, GROUP_DOCUMENTS, GROUP_BYTES = 8, 64, 512 * 1024
# Larger ones go alone.
ALONE_BYTES, ALONE_CHUNKS = 512 * 1024, 64
# What a book costs its queue for each turn, which ends after some seconds.
BOOK_COST = 512 * 1024

Queue = tuple[Any, int]  # uploader, base


class Turns:
    """For one run of a worker; the next run begins level."""

    def __init__(self) -> None:
        self._had: dict[Queue, float] = {}

    def next_group(self, most: int = GROUP_DOCUMENTS) -> tuple[list[UUID], bool]:
        """The longest waiting document of the queue whose turn it is, with the small ones behind it, `most` in all.

        True when it was tried before: such a one goes alone. If it kills its worker again, no other document pays.
        """
        queue = self._next_queue()
        if queue is None:
            return [], False
        uploader, base = queue
        waiting = leases.claimable().filter(uploaded_by=uploader, base=base).order_by("updated")
        group: list[UUID] = []
        total = 0
        for pk, size, attempts, chunks in waiting.values_list("pk", "bytes", "attempts", "chunks_total")[:most]:
            alone = attempts > 0 or size > ALONE_BYTES or chunks > ALONE_CHUNKS
            if alone and not group:
                self._had[queue] += BOOK_COST
                return [pk], attempts > 0
            if alone:
                continue
            if group and total + size > GROUP_BYTES:
                break
            group.append(pk)
            total += size
        self._had[queue] += total + 1
        return group, False

    def _next_queue(self) -> Queue | None:
        rows = leases.claimable().order_by().values_list("uploaded_by", "base").annotate(first=Min("updated"))
        waiting = {(uploader, base): first for uploader, base, first in rows}
        if not waiting:
            return None
        known = [self._had[queue] for queue in waiting if queue in self._had]
        level = min(known, default=0.0)
        # One that has just appeared goes first among equals.
        had = {queue: self._had.get(queue, level - 0.5 if known else level) for queue in waiting}
        self._had |= had
        return min(waiting, key=lambda queue: (had[queue], waiting[queue]))
