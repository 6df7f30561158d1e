"""Pages of the raters under /admin/training/review/: the desk, blind choice, agreement; see review/frame.py."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe
from unfold.admin import ModelAdmin

from coach.admin_conversations import PLACES
from coach.errors import NotFound
from coach.models import Coach

from . import admin_choose, admin_funnel
from .models import Review
from .review import desk, raters, selectors
from .review.agreement import agreement
from .review.errors import WrongReview
from .review.frame import guarded, page

SHOW_TEXTS = {
    "all": gettext_lazy("All, newest first"),
    "low": gettext_lazy("Rated low, or not helpful"),
    "uncited": gettext_lazy("Cites nothing, though sources were shown"),
    "safety": gettext_lazy("With a safety flag"),
    "random": gettext_lazy("Random sample"),
}
MINE_TEXTS = {
    "todo": gettext_lazy("Not yet reviewed by me"),
    "done": gettext_lazy("Reviewed by me"),
    "all": pgettext_lazy("turns at the review desk", "Both"),
}


@admin.register(Review)
class ReviewAdmin(ModelAdmin):
    """No list and no form of Django's: they would show what other raters said before one has judged oneself."""

    def get_urls(self) -> list[Any]:
        return [
            path("", desk_view, name="training_review_changelist"),
            path("agreement/", agreement_view, name="training_agreement"),
            path("raters/", raters_view, name="training_raters"),
            *admin_choose.urls(),
            *admin_funnel.urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@require_safe
@guarded("training.view_review")
def desk_view(request: HttpRequest) -> HttpResponse:
    wanted = selectors.Wanted.of(request.GET.dict())
    given = _uuid(request.GET.get("turn", ""))
    if given is None:
        first = selectors.next_turn(request.user, wanted, None)
        if first:
            return redirect(_address(wanted, first))  # a turn has an address, so that a reload shows it again
    context = {
        "title": _("Review"),
        "wanted": wanted,
        "left": selectors.left(request.user, wanted),
        "counted": selectors.COUNTED,
        "shows": SHOW_TEXTS.items(),
        "mines": MINE_TEXTS.items(),
        "languages": settings.LANGUAGES,
        "coaches": Coach.objects.all(),
        "largest_seed": selectors.LARGEST_SEED,
        "may_change": selectors.may_change(request.user),
        **(_turn(request, wanted, given) if given else {}),
    }
    return page(request, "admin/training/review.html", "desk", context)


def _turn(request: HttpRequest, wanted: selectors.Wanted, turn_id: UUID) -> dict[str, Any]:
    try:
        turn = selectors.turn_to_review(request.user, turn_id)
    except NotFound:
        return {"gone": True, "start_url": _address(wanted, None)}
    shown = desk.shown(request.user, turn)
    following = selectors.next_turn(request.user, wanted, turn)
    last = selectors.turn_before(request.user, wanted, turn)
    mine = shown.mine
    return {
        "shown": shown,
        "turn": turn,
        "place": PLACES.get(turn.place, turn.place),
        "reasons": [(reason, bool(mine and reason.slug in mine.reasons)) for reason in desk.reasons()],
        "others": [(review, desk.reason_texts(review.reasons)) for review in shown.others or ()],
        "next_url": _address(wanted, following) if following else "",
        "last_url": _address(wanted, last) if last else "",
        "config": {
            "save": reverse("api:put_review", args=[turn.pk]),
            "draft": f"ac-review:{request.user.pk}:{turn.pk}",
            "answer": turn.answer,
            "question": turn.question,
            "before": [{"question": one.question, "answer": one.answer} for one in shown.before],
            "sources": [{"n": one["n"], "title": one["title"], "location": one["location"]} for one in shown.sources],
            "saved": _saved(mine),
            "texts": {
                "unsaved": _("Not saved yet; kept in this browser."),
                "saving": _("Saving…"),
                "saved": _("Saved."),
                "unreachable": _("This could not be saved: the server did not answer. It is kept in this browser."),
                "nothing": _("Nothing to save yet: give a rating, or write something."),
            },
        },
    }


def _saved(review: Review | None) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "rating": review.rating,
        "reasons": review.reasons,
        "ideal_answer": review.ideal_answer,
        "comment": review.comment,
    }


def _address(wanted: selectors.Wanted, turn: UUID | None) -> str:
    query = wanted.query() | ({"turn": str(turn)} if turn else {})
    address = reverse("admin:training_review_changelist")
    return f"{address}?{urlencode(query)}" if query else address


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@require_safe
@guarded("training.view_review")
def agreement_view(request: HttpRequest) -> HttpResponse:
    context = {"title": _("Agreement between raters"), "found": agreement()}
    return page(request, "admin/training/review_agreement.html", "agreement", context)


@require_http_methods(["GET", "HEAD", "POST"])
@guarded("accounts.change_user", staff=True)
def raters_view(request: HttpRequest) -> HttpResponse:
    """Who the raters are; POST `add` (a name) or `remove` (an id)."""
    if request.method == "POST":
        given = request.POST.get("remove", "")
        try:
            if given.isascii() and given.isdigit():
                raters.remove(user_id=int(given[:18]))
            else:
                raters.add(username=request.POST.get("add", ""))
        except WrongReview as error:
            messages.error(request, error.message)
        return redirect("admin:training_raters")
    address = request.build_absolute_uri(reverse("admin:training_review_changelist"))
    context = {"title": _("Raters"), "people": raters.members(), "desk_address": address}
    return page(request, "admin/training/review_raters.html", "raters", context)
