"""Admin of what is live: promote a tuned model, widen a canary, roll back in one click, and what was live when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from accounts.models import User
from llm import live_order, policy

from .comparison import pictures, promotions, selectors, services
from .comparison.errors import ComparisonError
from .comparison.forms import PromoteForm
from .models import Promotion


@admin.register(Promotion)
class PromotionAdmin(ModelAdmin):
    """One page instead of list and forms; the rows are history and never changed by hand."""

    actions = None

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("promote/", wrap(require_POST(self.promote_view)), name="training_promotion_promote"),
            path("<int:object_id>/widen/", wrap(require_POST(self.widen_view)), name="training_promotion_widen"),
            path("<int:object_id>/back/", wrap(require_POST(self.roll_back_view)), name="training_promotion_back"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Promotion | None = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return redirect("admin:training_promotion_changelist")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:training_promotion_changelist")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, PromoteForm(initial=_initial(request)))

    def promote_view(self, request: HttpRequest) -> HttpResponse:
        """Refused by a gate: the page again with the sentence and what was filled in."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PromoteForm(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        values = form.cleaned_data
        try:
            promotions.promote(
                candidate=values["candidate"],
                coach=values["coach"],
                share=values["share"],
                by=_by(request),
                overridden=values["reason"],
            )
        except ComparisonError as error:
            form.add_error(None, str(error))
            return self._page(request, form)
        return self._done(request, _("It is live for every turn that begins from now on."))

    def widen_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        text = request.POST.get("share", "")
        share = int(text) if services.is_key(text) else 0
        return self._act(
            request,
            object_id,
            lambda row: promotions.widen(promotion=row, share=share, by=_by(request)),
            _("The share is changed for every turn that begins from now on."),
        )

    def roll_back_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._act(
            request,
            object_id,
            lambda row: promotions.roll_back(promotion=row, by=_by(request)),
            _("It is rolled back for every turn that begins from now on."),
        )

    def _act(
        self, request: HttpRequest, object_id: int, act: Callable[[Promotion], Any], sentence: str
    ) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = Promotion.objects.select_related("model", "coach", "comparison").filter(pk=object_id).first()
        if row is None:
            raise Http404
        try:
            act(row)
        except ComparisonError as error:
            messages.error(request, str(error))
            return redirect("admin:training_promotion_changelist")
        return self._done(request, sentence)

    def _done(self, request: HttpRequest, sentence: str) -> HttpResponse:
        messages.success(request, sentence)
        return redirect("admin:training_promotion_changelist")

    def _page(self, request: HttpRequest, form: PromoteForm) -> HttpResponse:
        rows = promotions.history()
        live_order.forget()  # this page shows what is true, not what was two seconds ago
        context = {
            "title": _("What is live"),
            "form": form,
            "live": [row for row in rows if row.ended is None],
            "history": rows,
            "timeline": pictures.timeline(rows, now=timezone.now(), all_coaches=_("All coaches")),
            "behind": [str(model) for model in policy.default_models()],
            "own_lists": selectors.with_own_list(),
            "may_add": self.has_add_permission(request),
            "may_change": self.has_change_permission(request),
        }
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/training/live.html", {**frame, **context})


def _by(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _initial(request: HttpRequest) -> dict[str, Any]:
    """A comparison's page leads here with `?candidate=3`."""
    key = request.GET.get("candidate", "")
    found = selectors.tuned_models().filter(pk=int(key)).first() if services.is_key(key) else None
    return {"candidate": found}
