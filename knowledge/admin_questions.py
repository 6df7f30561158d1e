"""Questions and answers a language model proposed: started for documents, reviewed by keyboard, many at once."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from . import question_review
from .admin_frame import base_or_404, base_tabs, panel_page
from .admin_jobs import job_panel
from .models import Document, Job, KnowledgeBase, QuestionAnswer

VIEW, CHANGE = "knowledge.view_questionanswer", "knowledge.change_questionanswer"
PAIRS_ON_A_PAGE = 50
MOST_AT_ONCE = 500
State = QuestionAnswer.State


@require_safe
def questions_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, VIEW)
    state = request.GET.get("state", State.PROPOSED)
    state = State(state) if state in State.values else State.PROPOSED
    document = _document(base, request.GET.get("document", ""))
    pairs = QuestionAnswer.objects.filter(document__base=base)
    if document is not None:
        pairs = pairs.filter(document=document)
    counts: dict[str, int] = dict(pairs.order_by().values_list("state").annotate(Count("pk")))
    rows = pairs.filter(state=state).select_related("document").order_by("document__title", "document", "start", "pk")
    page = Paginator(rows, PAIRS_ON_A_PAGE).get_page(request.GET.get("page"))
    texts = _passages(list(page))
    may_change = request.user.has_perm(CHANGE)
    context = {
        "title": _("Questions and answers"),
        "object": base,
        **base_tabs(request, base, "questions"),
        **job_panel(base, Job.Kind.QUESTIONS, may_change=may_change),
        "may_change": may_change,
        "document": document,
        "documents": base.documents.filter(state=Document.State.READY).order_by("title"),
        "states": [(value, label, counts.get(value, 0), value == state) for value, label in State.choices],
        "state": state,
        "page": page,
        "rows": [(pair, texts.get(pair.pk, "")) for pair in page],
        "review_config": {
            "judge": reverse("admin:knowledge_knowledgebase_questions_judge", args=[base.pk]),
            "edit": reverse("admin:knowledge_knowledgebase_questions_edit", args=[base.pk]),
            "texts": _texts(),
        },
    }
    return panel_page(request, "admin/knowledge/questions.html", context, model=QuestionAnswer)


@require_POST
def start_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """`document`: one or more ids."""
    base = base_or_404(request, object_id, CHANGE)
    chosen = [found.pk for id_ in request.POST.getlist("document") if (found := _document(base, id_)) is not None]
    address = reverse("admin:knowledge_knowledgebase_questions", args=[base.pk])
    if not chosen:
        messages.warning(request, _("Choose a document first."))
        return redirect(address)
    question_review.ask_for(base=base, documents=chosen, cloud="cloud" in request.POST)
    return redirect(f"{address}?document={chosen[0]}" if len(chosen) == 1 else address)


def ask_for_chosen(request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse:
    """The action of the list of documents."""
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    of_base: dict[KnowledgeBase, list[UUID]] = {}
    for document in documents.select_related("base"):
        of_base.setdefault(document.base, []).append(document.pk)
    for base, chosen in of_base.items():
        question_review.ask_for(base=base, documents=chosen)
    if not of_base:
        messages.warning(request, _("None of these documents is ready."))
        return redirect("admin:knowledge_document_changelist")
    return redirect("admin:knowledge_knowledgebase_questions", next(iter(of_base)).pk)


@require_POST
def judge_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """`{"ids": [1, …], "state": "approved"}` → `{"changed": 1}`."""
    base = base_or_404(request, object_id, CHANGE)
    data = _data(request)
    ids, state = data.get("ids"), data.get("state")
    if not (isinstance(ids, list) and all(isinstance(id_, int) for id_ in ids) and state in State.values):
        return _refused(_("Send a list of ids and a state."))
    changed = question_review.judge(base=base, ids=ids[:MOST_AT_ONCE], state=State(state), person=request.user)
    said = {
        State.APPROVED: ngettext("%(n)d approved.", "%(n)d approved.", changed),
        State.REJECTED: ngettext("%(n)d rejected.", "%(n)d rejected.", changed),
        State.PROPOSED: ngettext("%(n)d put back.", "%(n)d put back.", changed),
    }
    return JsonResponse({"changed": changed, "message": said[State(state)] % {"n": changed}})


@require_POST
def edit_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """`{"id": 1, "question": "…", "answer": "…"}`."""
    base = base_or_404(request, object_id, CHANGE)
    data = _data(request)
    pair, question, answer = data.get("id"), data.get("question"), data.get("answer")
    if (
        isinstance(pair, int)
        and isinstance(question, str)
        and isinstance(answer, str)
        and question_review.edit(base=base, pair_id=pair, question=question, answer=answer, person=request.user)
    ):
        return JsonResponse({"question": question.strip(), "answer": answer.strip()})
    return _refused(_("Write a question of at most 500 characters and an answer of at most 4,000."))


def _data(request: HttpRequest) -> dict[str, Any]:
    try:
        data = json.loads(request.body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"code": "invalid", "message": message}, status=422)


def _document(base: KnowledgeBase, id_: str) -> Document | None:
    try:
        return base.documents.filter(pk=UUID(id_)).first()
    except ValueError:
        return None


def _passages(pairs: list[QuestionAnswer]) -> dict[int, str]:
    """The stretch of the text each pair is about."""
    found = Document.objects.filter(pk__in={pair.document_id for pair in pairs}).select_related("body")
    texts = {document.pk: document.text for document in found}
    return {pair.pk: texts.get(pair.document_id, "")[pair.start : pair.end] for pair in pairs}


def _texts() -> dict[str, str]:
    return {
        "chosen": _("%s chosen"),
        "unreachable": _("The server could not be reached. Check the connection and try again."),
    }
