"""Who works on a document: claims by compare-and-set, leases that are renewed, an end after three attempts.

    pending ──claim──► processing ──renew──► processing ──finish──► ready | failed
       ▲                   │ lease ran out (killed worker): claimable, attempts + 1; after 3: failed
       └──── release ──────┘ two minutes passed, or Chroma or the embedder is away: no attempt is counted

A claim gives a token; every write of a worker names it, so that a worker that lost its lease changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, Q, QuerySet
from django.utils import timezone

from .loaders.errors import LoadError
from .models import Document, IndexGeneration

State = Document.State
LEASE_SECONDS = 60
MOST_ATTEMPTS = 3


def _(text: str) -> str:
    """Marks a sentence for makemessages; it is stored in English and translated where it is shown."""
    return text


GAVE_UP = ("gave_up", _("Reading this document stopped the worker three times; split it or save it in another format."))


class LeaseLost(Exception):
    """All documents of a claim were cancelled, deleted or taken over."""


def claimable() -> QuerySet[Document]:
    """Waiting, or left behind by a worker whose lease ran out."""
    left = Q(state=State.PROCESSING, lease_until__lt=timezone.now())
    return Document.objects.filter(Q(state=State.PENDING) | left)


def claim(documents: Sequence[UUID], worker: str) -> str:
    """Claims those that are still claimable; the token is the claim's name (`claimed`)."""
    token = f"{worker[:40]}:{uuid.uuid4().hex[:16]}"
    with transaction.atomic():
        spent = claimable().filter(pk__in=documents, attempts__gte=MOST_ATTEMPTS)
        spent.update(state=State.FAILED, error_code=GAVE_UP[0], error=GAVE_UP[1], lease_owner="", lease_until=None)
        claimable().filter(pk__in=documents).update(
            state=State.PROCESSING,
            attempts=F("attempts") + 1,
            lease_owner=token,
            lease_until=_end(),
            error="",
            error_code="",
        )
    return token


def claimed(token: str) -> QuerySet[Document]:
    """What the claim still holds."""
    return Document.objects.filter(lease_owner=token, state=State.PROCESSING)


def renew(token: str) -> None:
    """Raises LeaseLost when nothing of the claim is left."""
    if not claimed(token).update(lease_until=_end()):
        raise LeaseLost


def holds(token: str, document: UUID) -> bool:
    """Renew one document's lease; False when it is ours no longer. Inside a transaction this locks its row."""
    return bool(claimed(token).filter(pk=document).update(lease_until=_end()))


def lock(token: str) -> set[UUID]:
    """Renew what the claim still holds and give it; inside a transaction this locks its rows."""
    claimed(token).update(lease_until=_end())
    return set(claimed(token).values_list("pk", flat=True))


def finish(token: str, documents: Sequence[UUID], generation: int) -> set[UUID]:
    """Those that are ready now; not when another generation went live meanwhile, which lacks their vectors."""
    live = IndexGeneration.objects.filter(pk=generation, state=IndexGeneration.State.LIVE)
    ready = claimed(token).filter(Exists(live), pk__in=documents)
    held = set(ready.values_list("pk", flat=True))
    ready.update(
        state=State.READY,
        chunks_done=F("chunks_total"),
        attempts=0,
        error="",
        error_code="",
        lease_owner="",
        lease_until=None,
    )
    return held


def fail(token: str, document: UUID, error: LoadError) -> None:
    claimed(token).filter(pk=document).update(
        state=State.FAILED, error_code=error.code, error=error.sentence, lease_owner="", lease_until=None
    )


def release(token: str, *, error_code: str = "", error: str = "") -> None:
    """Put back what is left, at the end of the queue, as if this attempt had not been."""
    claimed(token).update(
        state=State.PENDING,
        attempts=F("attempts") - 1,
        error_code=error_code,
        error=error,
        lease_owner="",
        lease_until=None,
        updated=timezone.now(),
    )


def _end() -> object:
    return timezone.now() + timedelta(seconds=LEASE_SECONDS)
