"""Admin of knowledge bases and documents; what touches files, passages or vectors goes through services.py."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from . import admin_reads, selectors, services, wake
from .admin_upload import states_view, upload_context
from .errors import StillBusy
from .models import Document, KnowledgeBase
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
PASSAGES_ON_A_PAGE = 50
log = logging.getLogger(__name__)


@admin.register(KnowledgeBase)
class KnowledgeBaseAdmin(ModelAdmin):
    list_display = ("name", "documents_total", "documents_ready", "documents_failed", "passages", "upload_link")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "description")
    change_form_outer_after_template = "admin/knowledge/upload_panel.html"
    actions_detail = ("documents",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeBase]:
        return admin_reads.bases_with_counts()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description":
            field.widget.attrs["rows"] = 2
        return field

    def get_prepopulated_fields(self, request: HttpRequest, obj: KnowledgeBase | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:object_id>/states/", wrap(states_view), name="knowledge_knowledgebase_states"),
            path("<int:object_id>/upload/", wrap(self.upload_view), name="knowledge_knowledgebase_upload"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("documents"), ordering="total")
    def documents_total(self, base: Any) -> int:
        return int(base.total)

    @display(description=gettext_lazy("ready"), ordering="ready")
    def documents_ready(self, base: Any) -> int:
        return int(base.ready)

    @display(description=gettext_lazy("failed"), ordering="failed")
    def documents_failed(self, base: Any) -> Any:
        if not base.failed:
            return 0
        url = reverse("admin:knowledge_document_changelist") + f"?base__id__exact={base.pk}&state__exact=failed"
        return format_html('<a class="ac-link ac-bad-text" href="{}">{}</a>', url, base.failed)

    @display(description=gettext_lazy("passages"), ordering="passages")
    def passages(self, base: Any) -> int:
        return int(base.passages)

    @display(description="")
    def upload_link(self, base: KnowledgeBase) -> str:
        url = reverse("admin:knowledge_knowledgebase_upload", args=[base.pk])
        return format_html('<a class="ac-link" href="{}">{}</a>', url, _("Upload documents"))

    @action(description=gettext_lazy("Documents"), icon="description")
    def documents(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(reverse("admin:knowledge_document_changelist") + f"?base__id__exact={object_id}")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        base = KnowledgeBase.objects.filter(pk=object_id).first() if object_id and object_id.isdecimal() else None
        panel = upload_context(base) if base and request.user.has_perm("knowledge.add_document") else {}
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **panel})

    def upload_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The drop area alone; what is still being read or failed is listed from the start."""
        if not request.user.has_perm("knowledge.add_document"):
            raise PermissionDenied
        base = KnowledgeBase.objects.filter(pk=object_id).first()
        if base is None:
            raise Http404
        return _page(
            self, request, "admin/knowledge/upload.html", {"title": _("Upload"), "object": base, **upload_context(base)}
        )

    def response_add(self, request: HttpRequest, obj: KnowledgeBase, post_url_continue: Any = None) -> HttpResponse:
        """A new base is empty: go on to its upload page."""
        if "_popup" in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        messages.success(request, _("The knowledge base is there. Now give it documents."))
        return redirect("admin:knowledge_knowledgebase_upload", obj.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        chosen: list[Any] = list(admin_reads.bases_with_counts().filter(pk__in=[base.pk for base in objs]))
        texts = [
            ngettext("%(name)s with %(n)d document", "%(name)s with %(n)d documents", base.total)
            % {"name": base.name, "n": base.total}
            for base in chosen
        ]
        counts = {
            str(self.opts.verbose_name_plural): len(chosen),
            str(Document._meta.verbose_name_plural): sum(base.total for base in chosen),
        }
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return texts, counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: KnowledgeBase) -> None:
        _drop_later(services.delete_base(base_id=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[KnowledgeBase]) -> None:
        for base_id in list(queryset.values_list("pk", flat=True)):
            _drop_later(services.delete_base(base_id=base_id))


@admin.register(Document)
class DocumentAdmin(ModelAdmin):
    list_display = ("title_and_problem", "base", "language", "state_label", "chunks_total", "size", "created")
    list_filter = ("state", "base", "language", "error_code", "created")
    list_per_page = 50
    search_fields = ("title", "filename")
    actions = ("retry_chosen", "cancel_chosen")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).select_related("base")

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:document_id>/retry/", wrap(self.retry_view), name="knowledge_document_retry"),
            path("<uuid:document_id>/cancel/", wrap(self.cancel_view), name="knowledge_document_cancel"),
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
        return _page(self, request, "admin/knowledge/choose_base.html", {"title": _("Upload"), "bases": bases})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What the coach makes of the file: state, error and passages; nothing here is edited by hand."""
        document = self.get_object(request, object_id)
        if not self.has_view_permission(request, document):
            raise PermissionDenied
        if document is None:
            raise Http404
        passages = Paginator(document.chunks.order_by("position"), PASSAGES_ON_A_PAGE)
        may_change = self.has_change_permission(request, document)
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
            "page": passages.get_page(request.GET.get("page")),
        }
        return _page(self, request, "admin/knowledge/document.html", context)

    def retry_view(self, request: HttpRequest, document_id: UUID) -> HttpResponse:
        return self._act(request, document_id, self._retry, _("The document will be read again."))

    def cancel_view(self, request: HttpRequest, document_id: UUID) -> HttpResponse:
        return self._act(request, document_id, self._cancel, _("The document was cancelled."))

    def _act(self, request: HttpRequest, document_id: UUID, act: Any, done: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        document = self.get_object(request, str(document_id))
        if not self.has_change_permission(request, document):
            raise PermissionDenied
        if document is None:
            raise Http404
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


def _drop_later(collections: list[str]) -> None:
    """After the commit, have a worker remove a deleted base's vectors from Chroma."""
    wake.drop_later(collections)


def _page(model_admin: ModelAdmin, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """An own page inside the frame of the panel."""
    request.current_app = model_admin.admin_site.name
    frame = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts}
    return TemplateResponse(request, template, {**frame, **context})
