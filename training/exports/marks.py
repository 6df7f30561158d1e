"""Which files still hold what somebody has taken back: consent, a conversation kept out, or one that was deleted.

Nothing is deleted here: the row says that its file must not be trained on, also when the file is gone. A file names
its turns in its manifest, up to a million of them, so they are looked through a thousand at a time, and only when
something was taken back since the last look.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from django.db.models import Max, Q
from django.utils import timezone

from accounts.models import ConsentChange
from coach.models import Conversation, Turn

from ..models import Export
from . import services
from .errors import NoFile

AT_ONCE = 1000
_USABLE = Q(
    conversation__owner__training_consent__isnull=False,
    conversation__kept_out=False,
    conversation__private=False,
)


def mark(*, at_once: bool = False) -> int:
    """Look through the files that are not marked, and mark; how many were. Takes seconds for a million turns.

    at_once     look even where nothing seems to have changed: one conversation kept out and another one let in again
    """
    return sum(_mark(export, at_once) for export in Export.objects.filter(state=Export.State.DONE, stale=None))


def _mark(export: Export, at_once: bool) -> int:
    now = _fingerprint(export)
    if export.looked == now and not at_once:
        return 0
    row = Export.objects.filter(pk=export.pk, stale=None)
    try:
        path = services.manifest_of(export)
        if _has_taken_back(export, path):
            return row.update(stale=timezone.now())
    except (NoFile, FileNotFoundError):
        pass  # nothing to look in; what was marked stays marked
    row.update(looked=now)
    return 0


def _fingerprint(export: Export) -> str:
    """Another one when a turn from before was deleted, a consent taken back, or a conversation kept out."""
    turns = Turn.objects.filter(created__lt=export.created).order_by().count()
    changes = ConsentChange.objects.filter(**{} if export.filter.get("cloud") else {"given": False})
    taken = changes.order_by().aggregate(last=Max("pk"))["last"] or 0
    kept = Conversation.objects.filter(kept_out=True).order_by().count()
    return f"{turns} {taken} {kept}"


def _has_taken_back(export: Export, path: Path) -> bool:
    usable = _USABLE
    if export.filter.get("cloud"):
        usable &= Q(conversation__owner__training_consent_cloud=True)
    ids = turn_ids(path)
    while some := list(islice(ids, AT_ONCE)):
        if Turn.objects.filter(usable, pk__in=some).order_by().count() < len(set(some)):
            return True
    return False


def turn_ids(path: Path) -> Iterator[str]:
    """Those a manifest lists, one a line as writing.py writes them, without reading all of it at once."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith('  "ids": ['):
                break
        for line in lines:
            found = line.strip().strip(',]}"')
            if found:
                yield found
