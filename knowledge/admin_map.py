"""The map of a base one can look at."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from . import jobs, map_data
from .admin_frame import base_or_404, base_tabs, panel_page
from .admin_jobs import job_panel
from .models import Job

VIEW, CHANGE = "knowledge.view_indexmap", "knowledge.change_indexmap"
LISTED = 200


@require_safe
def map_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, VIEW)
    found, stale = map_data.stored(base)
    may_change = request.user.has_perm(CHANGE)
    panel = job_panel(base, Job.Kind.MAP, may_change=may_change)
    running, last = panel["job_panel"]["running"], panel["job_panel"]["last"]
    # Drawn by itself when the index has changed; not again and again when that fails.
    by_itself = stale and may_change and not running and (last is None or last["state"] == Job.State.DONE)
    drawing = map_data.drawing(found) if found else None
    context = {
        "title": _("Map"),
        "object": base,
        **base_tabs(request, base, "map"),
        **panel,
        "map": found,
        "stale": stale,
        "by_itself": by_itself,
        "may_change": may_change,
        "groups": drawing["groups"][:LISTED] if drawing else [],
        "questions": drawing["questions"] if drawing else [],
        "points": len(drawing["points"]) if drawing else 0,
        "colours": range(map_data.COLOURED),
        "map_config": {
            "data": reverse("admin:knowledge_knowledgebase_map_data", args=[base.pk]),
            "passage": reverse("admin:knowledge_knowledgebase_map_passage", args=[base.pk, 0]),
            "texts": _texts(),
        },
    }
    return panel_page(request, "admin/knowledge/map.html", context)


@require_safe
def data_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """map_data.drawing as JSON."""
    found, _stale = map_data.stored(base_or_404(request, object_id, VIEW))
    if found is None:
        raise Http404
    return JsonResponse(map_data.drawing(found))


@require_safe
def passage_view(request: HttpRequest, object_id: int, chunk_id: int) -> HttpResponse:
    found = map_data.passage(base_or_404(request, object_id, VIEW), chunk_id)
    if found is None:
        raise Http404
    return JsonResponse(found)


@require_POST
def start_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, CHANGE)
    jobs.ask(base=base, kind=Job.Kind.MAP)
    return redirect("admin:knowledge_knowledgebase_map", base.pk)


def _texts() -> dict[str, str]:
    return {
        "private": _("A question whose text is private"),
        "question": _("Question without an answer"),
        "page": _("page %s"),
        "openDocument": _("Open the document"),
        "openTurn": _("Open the turn"),
        "gone": _("This passage is not there any more."),
        "unreachable": _("The server could not be reached. Check the connection and try again."),
    }
