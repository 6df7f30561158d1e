"""The upload page of a knowledge base and the endpoint it polls. Files go through the REST API."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from . import admin_reads
from .loaders import REGISTRY
from .models import Document, KnowledgeBase

MOST_IDS = 2000
# Takes the place of an id in an address that the page fills in; reverse() wants a real UUID.
NO_ID = UUID(int=0)


def upload_context(base: KnowledgeBase) -> dict[str, Any]:
    """What templates/admin/knowledge/upload_panel.html needs."""
    megabytes = settings.DOCUMENT_MAX_BYTES // (1024 * 1024)
    return {
        "base": base,
        "suffixes": ",".join(REGISTRY),
        "upload_config": {
            "api": {
                "upload": reverse("api:add_documents", args=[base.slug]),
                "document": _with_placeholder("api:get_document"),
                "states": reverse("admin:knowledge_knowledgebase_states", args=[base.pk]),
            },
            "pages": {"document": _with_placeholder("admin:knowledge_document_change")},
            "suffixes": list(REGISTRY),
            "maxBytes": settings.DOCUMENT_MAX_BYTES,
            "documents": admin_reads.open_documents(base),
            "texts": _texts(megabytes),
        },
        "megabytes": megabytes,
    }


def _with_placeholder(view: str) -> str:
    return reverse(view, args=[NO_ID]).replace(str(NO_ID), "ID")


def _texts(megabytes: int) -> dict[str, Any]:
    states = {str(value): str(label) for value, label in Document.State.choices}
    states |= {
        "queued": _("in the queue"),
        "uploading": _("uploading"),
        "refused": _("not accepted"),
        "known": _("was there already"),
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
        "added": _("%s files added"),
        "leftOut": _("%s files in the folder are of a type that cannot be read and were left out."),
        "gone": _("The document was deleted."),
        "unreachable": _("The server could not be reached. Check the connection and try again."),
        "tooLarge": _("The file is too large: at most %(n)d MB.") % {"n": megabytes},
        "unexpected": _("The server gave an unexpected answer (%s). Try again, or look into its log."),
    }


@require_POST
def states_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """`{"ids": [UUID, …]}` → `{"documents": [state, …]}`; at most 2,000 at a time, the rest of them is left out."""
    if not request.user.has_perm("knowledge.view_document"):
        raise PermissionDenied
    base = KnowledgeBase.objects.filter(pk=object_id).first()
    if base is None:
        return JsonResponse({"code": "not_found", "message": _("This was not found.")}, status=404)
    try:
        ids = [UUID(text) for text in json.loads(request.body)["ids"][:MOST_IDS]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return JsonResponse({"code": "invalid", "message": _("Send a list of document ids.")}, status=422)
    return JsonResponse({"documents": admin_reads.states_of(base, ids)})
