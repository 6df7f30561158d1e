"""The page of local models: what is here, what fits this machine, downloads with their progress.

The page asks the REST API (llm/api.py) for everything that changes.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from .local_models import pull_data
from .models import ModelPull
from .pulls import recent


@admin.register(ModelPull)
class ModelPullAdmin(ModelAdmin):
    """Its list is the page; single downloads have none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Local models"),
            "local_config": {
                "url": reverse("api:list_models"),
                "pulls": reverse("api:list_pulls"),
                "started": [pull_data(row) for row in recent(5)],
                "languages": {"en": "English", "sv": "Svenska", "nb": "Norsk", "ko": "한국어"},
                "texts": _texts(),
            },
        }
        return TemplateResponse(request, "admin/llm/local.html", context)


def _texts() -> dict[str, Any]:
    return {
        "states": {str(value): str(label) for value, label in ModelPull.State.choices},
        "pull": _("Fetch"),
        "pullOllama": _("Fetch with Ollama"),
        "resume": _("Go on fetching"),
        "cancel": _("Cancel"),
        "remove": _("Remove"),
        "sure": _("Really remove %s?"),
        "test": _("Try out"),
        "testing": _("being tried out …"),
        "tested": _("First word after %(first)s s, then %(speed)s tokens a second."),
        "recommended": _("recommended"),
        "fits": _("fits this machine"),
        "slow": _("fits, but slow here"),
        "large": _("needs more memory"),
        "installed": _("installed"),
        "inUse": _("in use"),
        "size": _("Size"),
        "memory": _("Memory"),
        "languages": _("Languages"),
        "licence": _("Licence"),
        "context": _("Context"),
        "can": _("Can"),
        "machine": _("This machine has %(memory)s of memory and %(cores)s cores."),
        "none": _("No model is installed yet."),
        "progress": _("%(done)s of %(all)s"),
        "unreachable": _("The server could not be reached. Check the connection and try again."),
    }
