"""Blind choice between two answers, who won so far, and asking models for pairs; part of admin_review.py."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from coach.errors import Refusal
from coach.models import Coach

from .comparison.questions import said_before
from .review import asking, choosing
from .review.errors import WrongReview
from .review.frame import guarded, page
from .wake import pair_soon

ASK = "training.add_answerpair"
DEFAULT_COUNT = 20


def urls() -> list[Any]:
    return [
        path("choose/", choose_view, name="training_choose"),
        path("choose/save/", save_view, name="training_choose_save"),
        path("leaderboard/", leaderboard_view, name="training_leaderboard"),
        path("pairs/start/", start_view, name="training_pairs_start"),
        path("pairs/cancel/", cancel_view, name="training_pairs_cancel"),
        path("pairs/progress/", progress_view, name="training_pairs_progress"),
    ]


@require_safe
@guarded("training.add_choice")
def choose_view(request: HttpRequest) -> HttpResponse:
    language = request.GET.get("language", "")
    language = language if language in dict(settings.LANGUAGES) else ""
    pairs = choosing.pairs_for(request.user, language=language)
    pair = pairs.first()
    address = reverse("admin:training_choose")
    context: dict[str, Any] = {
        "title": _("Choose blind"),
        "pair": pair,
        "earlier": said_before(pair, sources=False) if pair else [],
        "left": pairs.order_by().count() if pair else 0,
        "language": language,
        "languages": settings.LANGUAGES,
        "may_ask": request.user.is_staff and request.user.has_perm(ASK),
    }
    if pair:
        left, right = choosing.sides(pair, int(request.user.pk or 0))
        context["config"] = {
            "save": reverse("admin:training_choose_save"),
            "next": f"{address}?{urlencode({'language': language})}" if language else address,
            "pair": pair.pk,
            "question": pair.question,
            "left": left,
            "right": right,
            "texts": {
                "unreachable": _("This could not be saved: the server did not answer. Choose again."),
                "chosen": _("Chosen."),
                "tie": _("No difference."),
            },
        }
    return page(request, "admin/training/choose.html", "choose", context)


@require_POST
@guarded("training.add_choice")
def save_view(request: HttpRequest) -> HttpResponse:
    """{"pair": 12, "side": "left"} → whose answers they were."""
    try:
        given = json.loads(request.body)
        pair_id, side = int(given["pair"]), str(given["side"])
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"code": "invalid", "message": _("This was not understood.")}, status=422)
    try:
        told = choosing.choose(user=request.user, pair_id=pair_id, side=side)
    except Refusal as error:
        return JsonResponse({"code": error.code, "message": error.message}, status=error.status)
    return JsonResponse({"left": told.left, "right": told.right, "chosen": told.chosen})


@require_safe
@guarded("training.view_choice")
def leaderboard_view(request: HttpRequest) -> HttpResponse:
    names = dict(settings.LANGUAGES)
    groups = [
        (names.get(language, language) if language else _("All languages"), [_row(one) for one in standings])
        for language, standings in choosing.leaderboard().items()
    ]
    may_ask = request.user.is_staff and request.user.has_perm(ASK)
    batches = asking.batches() if may_ask else []
    context = {
        "title": _("Leaderboard"),
        "groups": groups,
        "may_ask": may_ask,
        "models": asking.models_to_offer() if may_ask else [],
        "coaches": Coach.objects.all(),
        "languages": settings.LANGUAGES,
        "most": asking.MOST_QUESTIONS,
        "count": DEFAULT_COUNT,
        "running": [batch for batch in batches if batch.waiting],
        "over": [batch for batch in batches if not batch.waiting],
    }
    return page(request, "admin/training/choose_leaderboard.html", "leaderboard", context)


def _row(one: choosing.Standing) -> dict[str, Any]:
    """Numbers of the picture are finished text: templates write decimals as the person's language does."""
    return {
        "standing": one,
        "share": _percent(one.share),
        "low": _percent(one.low),
        "high": _percent(one.high),
        "x": f"{one.share * 100:.1f}",
        "x1": f"{one.low * 100:.1f}",
        "x2": f"{one.high * 100:.1f}",
    }


def _percent(share: float) -> str:
    return f"{round(share * 100)} %"


@require_POST
@guarded(ASK, staff=True)
def start_view(request: HttpRequest) -> HttpResponse:
    given = request.POST
    try:
        batch = asking.start(
            user=request.user,
            first=given.get("first", "").strip(),
            second=given.get("second", "").strip(),
            count=_count(given.get("count", "")),
            language=given.get("language", ""),
            coach=given.get("coach", ""),
            cloud="cloud" in given,
        )
    except WrongReview as error:
        messages.error(request, error.message)
    else:
        pair_soon(batch)
    return redirect("admin:training_leaderboard")


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


@require_POST
@guarded(ASK, staff=True)
def cancel_view(request: HttpRequest) -> HttpResponse:
    n = asking.cancel(batch=request.POST.get("batch", ""))
    text = ngettext("%(n)d question was not asked.", "%(n)d questions were not asked.", n) % {"n": n}
    messages.success(request, text)
    return redirect("admin:training_leaderboard")


@require_safe
@guarded(ASK, staff=True)
def progress_view(request: HttpRequest) -> HttpResponse:
    """What static/admin-coach/job.js polls."""
    found = [
        {
            "id": batch.id,
            "label": f"{batch.first} · {batch.second}",
            "done": batch.done,
            "total": batch.total,
            "refused": batch.failed,
            "over": batch.waiting == 0,
        }
        for batch in asking.batches()
    ]
    return JsonResponse({"jobs": found})
