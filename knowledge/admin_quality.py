"""Pages about how good a base is: map, questions and answers, similar passages. Their tabs and addresses, and what a
job of jobs.py looks like on each of them."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from . import admin_map, admin_pairs, admin_questions, jobs
from .admin_frame import PAGES, BasePage, base_or_404
from .models import Job

PAGES += [
    BasePage("map", _("Map"), "knowledge_knowledgebase_map", "knowledge.view_indexmap"),
    BasePage("questions", _("Questions"), "knowledge_knowledgebase_questions", "knowledge.view_questionanswer"),
    BasePage("pairs", _("Similar passages"), "knowledge_knowledgebase_pairs", "knowledge.view_passagepair"),
]
# kind → page to go back to, what one must be allowed to see, and to change
VIEWS = {
    Job.Kind.MAP: ("map", "indexmap"),
    Job.Kind.QUESTIONS: ("questions", "questionanswer"),
    Job.Kind.PAIRS: ("pairs", "passagepair"),
}


@require_safe
def jobs_view(request: HttpRequest, object_id: int, kind: str) -> HttpResponse:
    """`{"jobs": [jobs.data, …]}` of one kind."""
    base = base_or_404(request, object_id, _permission("view", kind))
    return JsonResponse({"jobs": [jobs.data(job) for job in jobs.of_base(base, Job.Kind(kind))]})


@require_POST
def cancel_view(request: HttpRequest, object_id: int, kind: str, job_id: UUID) -> HttpResponse:
    base = base_or_404(request, object_id, _permission("change", kind))
    if base.jobs.filter(pk=job_id, kind=kind).exists():
        jobs.cancel(job_id=job_id)
    return redirect(reverse(f"admin:knowledge_knowledgebase_{VIEWS[Job.Kind(kind)][0]}", args=[base.pk]))


def _permission(what: str, kind: str) -> str:
    if kind not in Job.Kind.values:
        raise PermissionDenied
    return f"knowledge.{what}_{VIEWS[Job.Kind(kind)][1]}"


# For KnowledgeBaseAdmin.get_urls: address below a base's, name, view.
ROUTES = (
    ("map/", "map", admin_map.map_view),
    ("map/data/", "map_data", admin_map.data_view),
    ("map/start/", "map_start", admin_map.start_view),
    ("map/passage/<int:chunk_id>/", "map_passage", admin_map.passage_view),
    ("pairs/", "pairs", admin_pairs.pairs_view),
    ("pairs/start/", "pairs_start", admin_pairs.start_view),
    ("pairs/dismiss/", "pairs_dismiss", admin_pairs.dismiss_view),
    ("questions/", "questions", admin_questions.questions_view),
    ("questions/start/", "questions_start", admin_questions.start_view),
    ("questions/judge/", "questions_judge", admin_questions.judge_view),
    ("questions/edit/", "questions_edit", admin_questions.edit_view),
    ("jobs/<str:kind>/", "jobs", jobs_view),
    ("jobs/<str:kind>/<uuid:job_id>/cancel/", "jobs_cancel", cancel_view),
)
