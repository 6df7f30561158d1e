"""Near-duplicate and contradicting passages, side by side."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from . import jobs
from .admin_frame import base_or_404, base_tabs, panel_page
from .admin_jobs import job_panel
from .models import Chunk, Job, PassagePair
from .pair_notes import judged, note_text
from .text_difference import Piece, marked

VIEW, CHANGE = "knowledge.view_passagepair", "knowledge.change_passagepair"
PAIRS_ON_A_PAGE = 20
Kind = PassagePair.Kind


@require_safe
def pairs_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, VIEW)
    shown = request.GET.get("show", "")
    counts = {
        "": base.pairs.filter(dismissed=False),
        Kind.CONTRADICTION: base.pairs.filter(dismissed=False, kind=Kind.CONTRADICTION),
        Kind.DUPLICATE: base.pairs.filter(dismissed=False, kind=Kind.DUPLICATE),
        "dismissed": base.pairs.filter(dismissed=True),
    }
    shown = shown if shown in counts else ""
    pairs = counts[shown].select_related("one__document", "other__document").order_by("kind", "-similarity", "pk")
    page = Paginator(pairs, PAIRS_ON_A_PAGE).get_page(request.GET.get("page"))
    titles = [_("All"), _("Contradictions"), _("Near-duplicates"), _("Fine so")]
    context = {
        "title": _("Similar passages"),
        "object": base,
        **base_tabs(request, base, "pairs"),
        **job_panel(base, Job.Kind.PAIRS, may_change=request.user.has_perm(CHANGE)),
        "may_change": request.user.has_perm(CHANGE),
        "filters": [
            (title, key, rows.count(), key == shown) for title, (key, rows) in zip(titles, counts.items(), strict=True)
        ],
        "shown": shown,
        "page": page,
        "rows": [_row(pair) for pair in page],
    }
    return panel_page(request, "admin/knowledge/pairs.html", context, model=PassagePair)


def _row(pair: PassagePair) -> dict[str, Any]:
    one, other = marked(pair.one.text, pair.other.text)
    return {
        "pair": pair,
        "note": note_text(pair.note) if pair.note else "",
        "judged": judged(pair.note),
        "sides": [_side(pair.one, one), _side(pair.other, other)],
    }


def _side(chunk: Chunk, pieces: list[Piece]) -> dict[str, Any]:
    return {
        "chunk": chunk,
        "document": chunk.document,
        "pieces": pieces,
        "place": " › ".join(chunk.headings),
    }


@require_POST
def start_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, CHANGE)
    jobs.ask(base=base, kind=Job.Kind.PAIRS, options={"cloud": "cloud" in request.POST})
    return redirect("admin:knowledge_knowledgebase_pairs", base.pk)


@require_POST
def dismiss_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """`pair` is fine so, or (`undo`) is not."""
    base = base_or_404(request, object_id, CHANGE)
    pair = request.POST.get("pair", "")
    if pair.isdecimal():
        base.pairs.filter(pk=pair).update(dismissed="undo" not in request.POST)
    address = reverse("admin:knowledge_knowledgebase_pairs", args=[base.pk])
    shown = request.POST.get("show", "")
    known = shown in (Kind.CONTRADICTION, Kind.DUPLICATE, "dismissed")
    return redirect(f"{address}?show={shown}" if known else address)
