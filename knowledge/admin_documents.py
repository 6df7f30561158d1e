"""Admin of documents: the list, and the page with the passages beside the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from . import admin_pictures, admin_questions, admin_reads, selectors, services
from .admin_frame import panel_page
from .admin_preview import preview
from .errors import StillBusy
from .models import Document
from .wake import wake_worker

State = Document.State
STATE_COLOURS = {
    State.PENDING: "warning",
    State.PROCESSING: "info",
    State.READY: "success",
    State.FAILED: "danger",
    State.CANCELLED: "primary",
}
CAN_RETRY = (State.FAILED, State.CANCELLED)
CAN_CANCEL = (State.PENDING, State.PROCESSING)


@admin.register(Document)
class DocumentAdmin(ModelAdmin):
    list_display = ("title_and_problem", "base", "language", "state_label", "chunks_total", "size", "created")
    list_filter = ("state", "base", "language", "error_code", "created")
    list_per_page = 50
    search_fields = ("title", "filename")
    actions = ("retry_chosen", "cancel_chosen", "propose_questions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).select_related("base")

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:document_id>/retry/", wrap(self.retry_view), name="knowledge_document_retry"),
            path("<uuid:document_id>/cancel/", wrap(self.cancel_view), name="knowledge_document_cancel"),
            path(
                "<uuid:document_id>/page/<int:number>.png",
                wrap(self.picture_view, cacheable=True),
                name="knowledge_document_picture",
            ),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("state"), label=STATE_COLOURS, ordering="state")
    def state_label(self, document: Document) -> tuple[str, str]:
        return document.state, document.get_state_display()

    @display(description=gettext_lazy("size"), ordering="bytes")
    def size(self, document: Document) -> str:
        return filesizeformat(document.bytes)

    @display(description=gettext_lazy("title"), ordering="title")
    def title_and_problem(self, document: Document) -> str:
        sentence = selectors.error_sentence(document) or document.error_code
        if not sentence:
            return document.title
        return format_html('{}<span class="ac-problem">{}</span>', document.title, sentence)

    # --- one document ---------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Documents are uploaded: to the only base at once, else after choosing one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        bases = list(admin_reads.bases_with_counts())
        if len(bases) == 1:
            return redirect("admin:knowledge_knowledgebase_upload", bases[0].pk)
        context = {"title": _("Upload"), "bases": bases}
        return panel_page(request, "admin/knowledge/choose_base.html", context, model=Document)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What the coach makes of the file; nothing here is edited by hand."""
        document = self._found(request, object_id, self.has_view_permission)
        may_change = self.has_change_permission(request, document)
        wanted = request.GET
        shown = preview(
            document,
            splitting_id=wanted.get("cut", ""),
            page=wanted.get("page", ""),
            chunk=wanted.get("chunk", ""),
        )
        context = {
            "title": document.title,
            "object": document,
            "document": document,
            "state_colour": STATE_COLOURS[State(document.state)],
            "error": selectors.error_sentence(document) or document.error_code,
            "progress": selectors.progress(document),
            "can_retry": may_change and document.state in CAN_RETRY,
            "can_cancel": may_change and document.state in CAN_CANCEL,
            "can_delete": self.has_delete_permission(request, document),
            "newer": list(document.newer.order_by("created")),
            "chosen": wanted.get("chunk", ""),
            "preview": shown,
            "as_text": wanted.get("view") == "text" or not shown.pictures,
        }
        return panel_page(request, "admin/knowledge/document.html", context, model=Document)

    def picture_view(self, request: HttpRequest, document_id: UUID, number: int) -> HttpResponse:
        """A page of the original file."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return admin_pictures.picture(request, self._found(request, str(document_id), self.has_view_permission), number)

    def _found(self, request: HttpRequest, object_id: str, may: Callable[..., bool]) -> Document:
        """Raises PermissionDenied or Http404."""
        document = self.get_object(request, object_id)
        if not may(request, document):
            raise PermissionDenied
        if document is None:
            raise Http404
        return document

    def retry_view(self, request: HttpRequest, document_id: UUID) -> HttpResponse:
        return self._act(request, document_id, self._retry, _("The document will be read again."))

    def cancel_view(self, request: HttpRequest, document_id: UUID) -> HttpResponse:
        return self._act(request, document_id, self._cancel, _("The document was cancelled."))

    def _act(self, request: HttpRequest, document_id: UUID, act: Any, done: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        document = self._found(request, str(document_id), self.has_change_permission)
        if act([document.pk]):
            messages.success(request, done)
        else:
            messages.warning(request, _("Nothing to do: the document's state has changed meanwhile."))
        return redirect("admin:knowledge_document_change", document.pk)

    # --- many documents -------------------------------------------------------------------------

    @admin.action(description=gettext_lazy("Read again (failed or cancelled)"), permissions=["change"])
    def retry_chosen(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        n = self._retry(list(queryset.values_list("pk", flat=True)))
        text = ngettext("%(n)d document will be read again.", "%(n)d documents will be read again.", n) % {"n": n}
        self.message_user(request, text, messages.SUCCESS if n else messages.WARNING)

    @admin.action(description=gettext_lazy("Cancel (waiting or being read)"), permissions=["change"])
    def cancel_chosen(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        n = self._cancel(list(queryset.values_list("pk", flat=True)))
        text = ngettext("%(n)d document was cancelled.", "%(n)d documents were cancelled.", n) % {"n": n}
        self.message_user(request, text, messages.SUCCESS if n else messages.WARNING)

    @admin.action(description=gettext_lazy("Propose questions (ready ones)"), permissions=["view"])
    def propose_questions(self, request: HttpRequest, queryset: QuerySet[Document]) -> HttpResponse:
        """One job for each base; on to the page of the first, where they are reviewed."""
        return admin_questions.ask_for_chosen(request, queryset.filter(state=State.READY))

    def _retry(self, ids: list[UUID]) -> int:
        n = sum(_worked(services.retry, document_id) for document_id in ids)
        if n:
            wake_worker()
        return n

    def _cancel(self, ids: list[UUID]) -> int:
        return sum(_worked(services.cancel, document_id) for document_id in ids)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Titles only: passages come in thousands and are gone with their document."""
        titles = [f"{document.title} ({document.filename})" for document in objs]
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return titles, {str(self.opts.verbose_name_plural): len(titles)}, lacking, []

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        services.delete_document(document_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        for document_id in list(queryset.values_list("pk", flat=True)):
            services.delete_document(document_id=document_id)


def _worked(act: Any, document_id: UUID) -> bool:
    try:
        act(document_id=document_id)
    except StillBusy:
        return False
    return True
