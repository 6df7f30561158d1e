"""The frame of the desk's pages: raters may open them without being staff, so that they get nothing else of the panel.

Staff may upload knowledge through REST; a rater who were staff for the sake of the desk could, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import site
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from ..models import Review

View = Callable[..., HttpResponse]

# (key, title, address, permission): the row of links above each page, in this order.
PAGES: tuple[tuple[str, Any, str, str], ...] = (
    ("desk", lambda: _("Review"), "training_review_changelist", "training.view_review"),
    ("choose", lambda: _("Choose blind"), "training_choose", "training.add_choice"),
    ("leaderboard", lambda: _("Leaderboard"), "training_leaderboard", "training.view_choice"),
    ("agreement", lambda: _("Agreement"), "training_agreement", "training.view_review"),
    ("funnel", lambda: _("From turns to examples"), "training_funnel", "coach.view_turn"),
    ("trends", lambda: _("Ratings over time"), "training_trends", "coach.view_turn"),
    ("raters", lambda: _("Raters"), "training_raters", "accounts.change_user"),
)


def guarded(permission: str, *, staff: bool = False) -> Callable[[View], View]:
    """A page for people with this permission, of staff only with `staff`; others are asked to sign in, or refused."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if not user.is_authenticated:
                return redirect_to_login(request.get_full_path(), reverse("login"))
            if not user.is_active or not user.has_perm(permission) or (staff and not user.is_staff):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return never_cache(checked)

    return decorate


def page(request: HttpRequest, template: str, key: str, context: dict[str, Any]) -> HttpResponse:
    """`key` of PAGES is the one shown as open."""
    request.current_app = site.name
    tabs = [
        (title(), reverse(f"admin:{address}"), name == key)
        for name, title, address, permission in PAGES
        if _may_open(request.user, permission)
    ]
    frame = {**site.each_context(request), "opts": Review._meta, "review_tabs": tabs}
    if not frame["has_permission"]:
        frame["is_nav_sidebar_enabled"] = False  # what it offers (panel, password, log out) is for staff
    answer = TemplateResponse(request, template, {**frame, **context})
    answer["Referrer-Policy"] = "same-origin"
    return answer


def _may_open(user: Any, permission: str) -> bool:
    return bool(user.has_perm(permission) and (user.is_staff or permission.startswith("training.")))
