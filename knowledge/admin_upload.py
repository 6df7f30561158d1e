"""The upload page of a knowledge base: files come in batches, one aggregated question tells what became of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from . import admin_reads, services, web
from .admin_frame import base_or_404, base_tabs, panel_page
from .errors import KnowledgeError, StillBusy
from .loaders import REGISTRY
from .models import Document, KnowledgeBase
from .selectors import document_data, indexing_progress
from .wake import wake_worker

MOST_IDS = 5000
MOST_TO_ACT_ON = 200
# Takes the place of an id in an address that the page fills in; reverse() wants a real UUID.
NO_ID = UUID(int=0)


def upload_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """The drop area; what is still being read or failed is listed from the start."""
    base = base_or_404(request, object_id, "knowledge.add_document")
    context = {"title": _("Upload"), "object": base, **base_tabs(request, base, "upload"), **upload_context(base)}
    return panel_page(request, "admin/knowledge/upload.html", context)


def upload_context(base: KnowledgeBase) -> dict[str, Any]:
    """What templates/admin/knowledge/upload_panel.html needs."""
    megabytes = settings.DOCUMENT_MAX_BYTES // (1024 * 1024)
    suffixes = [*REGISTRY, ".zip"]
    named = "admin:knowledge_knowledgebase_{}".format
    return {
        "base": base,
        "suffixes": ",".join(suffixes),
        "kinds": ", ".join(suffix.removeprefix(".") for suffix in suffixes),
        "addresses": settings.COACH_URL_INGEST and not settings.OFFLINE,
        "upload_config": {
            "api": {what: reverse(named(what), args=[base.pk]) for what in ("receive", "progress", "act", "fetch")},
            "pages": {
                "document": reverse("admin:knowledge_document_change", args=[NO_ID]).replace(str(NO_ID), "ID"),
            },
            "suffixes": suffixes,
            "maxBytes": settings.DOCUMENT_MAX_BYTES,
            "documents": admin_reads.open_documents(base),
            "texts": _texts(megabytes),
        },
        "languages": settings.LANGUAGES,
        "megabytes": megabytes,
    }


def _texts(megabytes: int) -> dict[str, Any]:
    states = {str(value): str(label) for value, label in Document.State.choices}
    states |= {
        "queued": _("in the queue"),
        "uploading": _("uploading"),
        "refused": _("not accepted"),
        "known": _("was there already"),
        "unpacked": _("unpacked"),
        "fetching": _("being fetched"),
    }
    return {
        "states": states,
        "retry": _("Try again"),
        "cancel": _("Cancel"),
        "open": _("Open"),
        "passage": _("1 passage"),
        "passages": _("%s passages"),
        "summary": _("%(done)s of %(all)s done"),
        "failures": _("%s could not be used"),
        "rate": _("%s files a minute"),
        "left": _("about %s left"),
        "seconds": _("%s s"),
        "minutes": _("%s min"),
        "hours": _("%(h)s h %(m)s min"),
        "more": _("and %s more"),
        "added": _("%s files added"),
        "leftOut": _("%s files in the folder are of a type that cannot be read and were left out."),
        "reading": _("Looking through the folders …"),
        "files": _("%s files"),
        "version": _("new version"),
        "gone": _("The document was deleted."),
        "unreachable": _("The server could not be reached. Check the connection and try again."),
        "signedOut": _("You are signed out. Sign in again in another tab, then try again."),
        "tooLarge": _("The file is too large: at most %(n)d MB.") % {"n": megabytes},
        "wrongType": _("This type of file cannot be read."),
        "empty": _("The file is empty."),
        "unexpected": _("The server gave an unexpected answer (%s). Try again, or look into its log."),
    }


@require_POST
def receive_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """Files `file`, all in one `language` or '' → `{"results": […]}`, see `_Upload.store`, in their order.

    Each file stands for itself: one that is refused stops no other. `beside` are the ids of documents that the same
    visit of the page has uploaded: a folder may hold ten README.md, and none is a new version of another.
    """
    base = base_or_404(request, object_id, "knowledge.add_document")
    language = request.POST.get("language", "")
    if language and language not in dict(settings.LANGUAGES):
        return _invalid(_("This language is not known."))
    upload = _Upload(base, request.user, language, set(_uuids(request.POST.getlist("beside")[:MOST_IDS])))
    results = [upload.store(file) for file in request.FILES.getlist("file")]
    if any("id" in result or result.get("inside") for result in results):
        wake_worker()
    return JsonResponse({"results": results})


@dataclass
class _Upload:
    """The files of one request, and what was uploaded before them in the same visit."""

    base: KnowledgeBase
    user: Any
    language: str
    beside: set[UUID]

    def store(self, file: Any) -> dict[str, Any]:
        """A document with `new`, or why there is none; for a zip file `inside` holds the same for each file in it."""
        name = services.clean_filename(file.name or "")
        if not name.lower().endswith(".zip"):
            return self.one(name, file)
        inside: list[dict[str, Any]] = []
        try:
            for member, content in services.unpacked([(name, file)]):
                inside.append({"name": member, **self.one(member, content)})
        except KnowledgeError as error:
            return {"code": error.code, "message": error.message, "inside": inside}
        return {"inside": inside}

    def one(self, name: str, content: Any, url: str = "") -> dict[str, Any]:
        try:
            document, new = services.add_document(
                base=self.base,
                filename=name,
                content=content,
                uploaded_by=self.user,
                language=self.language,
                url=url,
                beside=self.beside,
            )
        except KnowledgeError as error:
            return {"code": error.code, "message": error.message}
        self.beside.add(document.pk)
        return {**document_data(document), "new": new}


@require_POST
def fetch_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """`{"url", "language"}` → `{"results": […]}` with one result: a document of the web, where it is allowed."""
    base = base_or_404(request, object_id, "knowledge.add_document")
    try:
        body = json.loads(request.body)
        url, language = str(body["url"]), str(body.get("language", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _invalid(_("Give an address that starts with https://."))
    if language and language not in dict(settings.LANGUAGES):
        return _invalid(_("This language is not known."))
    try:
        found = web.fetch(url)
    except KnowledgeError as error:
        return JsonResponse({"results": [{"code": error.code, "message": error.message}]})
    result = _Upload(base, request.user, language, set()).one(found.filename, io.BytesIO(found.content), url)
    if "id" in result:
        wake_worker()
    return JsonResponse({"results": [result]})


@require_POST
def progress_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """`{"ids": [UUID, …]}`, at most 5,000 → what happened to them (admin_reads.Progress), and in how many seconds all
    that waits in the base is read: `left`, null when nobody knows."""
    base = base_or_404(request, object_id, "knowledge.view_document")
    ids = _ids(request, MOST_IDS)
    if ids is None:
        return _invalid(_("Send a list of document ids."))
    found = admin_reads.progress_of(base, ids)
    left = indexing_progress(base)["seconds_left"]
    return JsonResponse({"moved": found.moved, "gone": found.gone, "waiting": found.waiting, "left": left})


@require_POST
def states_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """`{"ids": [UUID, …]}` → `{"documents": [state, …]}` as the REST API shows them; for the page of a document."""
    base = base_or_404(request, object_id, "knowledge.view_document")
    ids = _ids(request, MOST_TO_ACT_ON)
    if ids is None:
        return _invalid(_("Send a list of document ids."))
    return JsonResponse({"documents": admin_reads.states_of(base, ids)})


@require_POST
def act_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """`{"act": "cancel" | "retry", "ids": [UUID, …]}`, at most 200 → `{"documents": [state, …]}` as they are then."""
    base = base_or_404(request, object_id, "knowledge.change_document")
    ids = _ids(request, MOST_TO_ACT_ON)
    acts: dict[str, Callable[..., None]] = {"cancel": services.cancel, "retry": services.retry}
    act = acts.get(str(json.loads(request.body).get("act"))) if ids is not None else None
    if ids is None or act is None:
        return _invalid(_("Send a list of document ids."))
    for pk in base.documents.filter(pk__in=ids).values_list("pk", flat=True):
        try:
            act(document_id=pk)
        except StillBusy:
            continue  # somebody or the worker was faster; the answer tells how it is
    wake_worker()
    return JsonResponse({"documents": admin_reads.states_of(base, ids)})


def _ids(request: HttpRequest, most: int) -> list[UUID] | None:
    """None when the body is something else."""
    try:
        return [UUID(text) for text in json.loads(request.body)["ids"][:most]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _uuids(texts: list[str]) -> Iterator[UUID]:
    """Those that are ids."""
    for text in texts:
        with suppress(ValueError):
            yield UUID(text)


def _invalid(message: str) -> JsonResponse:
    return JsonResponse({"code": "invalid", "message": message}, status=422)


# (address below the base's own, name, view)
ROUTES: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
    ("upload/", "upload", upload_view),
    ("upload/files/", "receive", receive_view),
    ("upload/address/", "fetch", fetch_view),
    ("upload/progress/", "progress", progress_view),
    ("upload/act/", "act", act_view),
    ("states/", "states", states_view),
)
