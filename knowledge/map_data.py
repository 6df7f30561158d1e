"""What the map page shows of a stored map. The web process reads this; drawing is projection.py's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.urls import reverse

from . import open_questions
from .generations import live_indexes
from .models import Chunk, Document, IndexMap, KnowledgeBase
from .types import LiveIndex

# Those with most passages get a colour of their own; one colour is left for all others.
COLOURED = 8


def seen(live: LiveIndex) -> list[int]:
    """What changes when the index does: [passages, the newest of them]."""
    ids = Chunk.objects.filter(splitting=live.splitting, document__state=Document.State.READY)
    newest = ids.order_by("-pk").values_list("pk", flat=True).first()
    return [ids.count(), newest or 0]


def stored(base: KnowledgeBase) -> tuple[IndexMap | None, bool]:
    """The map of the live index, and whether it is missing or older than the index."""
    live = next(iter(live_indexes([base.pk])), None)
    if live is None:
        return None, False
    found = IndexMap.objects.filter(generation=live.generation).first()
    now = seen(live)
    return found, bool(now[0]) and (found is None or found.axes.get("seen") != now)


def drawing(found: IndexMap) -> dict[str, Any]:
    """Points, documents and questions for the page; what was deleted since is left out.

    points      [[chunk, document, x, y], …]; `documents` by that number, each with its group
    groups      translations of an article are one; those with most passages have a `colour` from 0, others None
    questions   [{"x", "y", "text", "url"}, …], `text` is '' where it is private
    """
    rows = Document.objects.filter(pk__in=found.documents).values_list("pk", "title", "language", "filename")
    about = {str(pk): row for pk, *row in rows}
    points = [point for point in found.points if found.documents[point[1]] in about]
    counts = Counter(point[1] for point in points)
    titles: dict[str, str] = {}  # file name → title of the first
    sizes: Counter[str] = Counter()
    for number, document in enumerate(found.documents):
        if document in about:
            title, _language, filename = about[document]
            titles.setdefault(filename, title)
            sizes[filename] += counts[number]
    names = sorted(titles, key=lambda name: (-sizes[name], titles[name]))
    number_of = {name: number for number, name in enumerate(names)}
    documents = []
    for document in found.documents:
        title, language, filename = about.get(document, ("", "", ""))
        url = reverse("admin:knowledge_document_change", args=[document])
        documents.append({"title": title, "language": language, "url": url, "group": number_of.get(filename)})
    groups = [
        {"title": titles[name], "passages": sizes[name], "colour": number if number < COLOURED else None}
        for number, name in enumerate(names)
    ]
    asked = {id_: (x, y) for id_, x, y in found.axes.get("questions", [])}
    questions = [
        {"x": asked[id_][0], "y": asked[id_][1], "text": question.text, "url": question.url}
        for id_, question in open_questions.shown(asked).items()
    ]
    return {"points": points, "documents": documents, "groups": groups, "questions": questions}


def passage(base: KnowledgeBase, chunk_id: int) -> dict[str, Any] | None:
    """One passage of this base, to be read beside its point."""
    found = Chunk.objects.filter(pk=chunk_id, document__base=base).select_related("document").first()
    if found is None:
        return None
    return {
        "title": found.document.title,
        "language": found.document.language,
        "headings": " › ".join(found.headings),
        "page": found.page,
        "text": found.text,
        "url": reverse("admin:knowledge_document_change", args=[found.document_id]),
    }
