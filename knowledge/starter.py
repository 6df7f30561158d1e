"""The knowledge that comes with the application: starter_knowledge/<base>/<language>/<article>.md.

`register` makes the database follow the folder and leaves every other document alone. It knows its own by
`Document.starter`, the article's place ('sv/grow-model'). A changed article waits as a new document beside the old
one, which goes when the new one is ready (`services.retire_replaced`): at no moment the article is missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_noop

from . import services
from .models import Document, KnowledgeBase

FOLDER = settings.BASE_DIR / "starter_knowledge"
BASES = {
    "personal": gettext_noop("Personal development"),
    "university": gettext_noop("AI in the university"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """How many articles were new or changed, went, and stayed as they were."""

    added: int
    removed: int
    unchanged: int


def register(folder: Path = FOLDER) -> Report:
    """Queue new and changed articles, remove those whose file is gone; indexing is the worker's business."""
    added = removed = unchanged = 0
    for slug, name in BASES.items():
        base = KnowledgeBase.objects.filter(slug=slug).first() or services.create_base(name=name, slug=slug)
        files = {f"{path.parent.name}/{path.stem}": path for path in sorted((folder / slug).glob("*/*.md"))}
        digests = {place: hashlib.sha256(path.read_bytes()).hexdigest() for place, path in files.items()}
        present = list(Document.objects.filter(base=base).values_list("pk", "sha256", "starter", "state"))
        known = {sha256 for _, sha256, _, _ in present}
        ready = {sha256 for _, sha256, _, state in present if state == Document.State.READY}
        for place, path in files.items():
            if digests[place] in known:
                unchanged += 1
            else:
                _add(base, path, place)
                added += 1
        for pk, sha256, place, _ in present:
            outdated = place in digests and sha256 != digests[place] and digests[place] in ready
            if place and (place not in digests or outdated):
                services.delete_document(document_id=pk)
                removed += 1
    return Report(added, removed, unchanged)


def _add(base: KnowledgeBase, path: Path, place: str) -> None:
    with path.open("rb") as content:
        services.add_document(base=base, filename=path.name, content=content, language=path.parent.name, starter=place)
