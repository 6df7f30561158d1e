"""What the own pages of a knowledge base share: the frame of the panel, the row of tabs, forms of one button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .models import KnowledgeBase


@dataclass(frozen=True, slots=True)
class BasePage:
    """A tab. `view` is the name of an admin view that takes the base's id."""

    key: str
    title: str | Promise
    view: str
    permission: str


# In the order of the tabs; another module of the panel adds its page by appending to the list.
PAGES: list[BasePage] = [
    BasePage("base", _("Overview"), "knowledge_knowledgebase_change", "knowledge.view_knowledgebase"),
    BasePage("upload", _("Upload"), "knowledge_knowledgebase_upload", "knowledge.add_document"),
    BasePage("generations", _("Index"), "knowledge_knowledgebase_generations", "knowledge.view_indexgeneration"),
    BasePage("bench", _("Test bench"), "knowledge_knowledgebase_bench", "knowledge.view_document"),
]


def base_tabs(request: HttpRequest, base: KnowledgeBase, active: str) -> dict[str, Any]:
    """What templates/admin/knowledge/base_tabs.html needs: the pages that this person may open."""
    tabs = [
        (page.title, reverse(f"admin:{page.view}", args=[base.pk]), page.key == active)
        for page in PAGES
        if request.user.has_perm(page.permission)
    ]
    return {"base": base, "base_tabs": tabs}


def base_or_404(request: HttpRequest, base_id: int, permission: str) -> KnowledgeBase:
    """Raises PermissionDenied, or Http404."""
    if not request.user.has_perm(permission):
        raise PermissionDenied
    base = KnowledgeBase.objects.filter(pk=base_id).first()
    if base is None:
        raise Http404
    return base


def panel_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, model: Any = KnowledgeBase
) -> HttpResponse:
    """An own page inside the frame of the panel."""
    request.current_app = site.name
    return TemplateResponse(request, template, {**site.each_context(request), "opts": model._meta, **context})
