"""The page of a turn's prompt: what its model was shown, and the same answered again with something changed.

A prompt holds the turns before it, so it is shown only when its owner agreed that the conversation is used for
training, or when the turn may be read (admin_conversations.py) and is the first one of its prompt.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from knowledge.models import KnowledgeBase

from . import replay_jobs
from .models import Rating, Replay, Turn
from .provenance import PromptDamaged, StoredPrompt, stored_prompt
from .replay_channel import wake
from .replay_difference import differences, source_changes

VIEW, ADD = "coach.view_turn", "coach.add_replay"
CHANGES = {"=": "", "-": "failed", "+": "ready"}
RECENT_TURNS, SHOWN_REPLAYS = 200, 10


def urls() -> list[Any]:
    """Below the admin of turns."""
    return [
        path("<uuid:turn_id>/replay/", site.admin_view(replay_view), name="coach_turn_replay"),
        path("<uuid:turn_id>/replay/start/", site.admin_view(start_view), name="coach_turn_replay_start"),
        path("<uuid:turn_id>/replay/<uuid:replay_id>/", site.admin_view(state_view), name="coach_turn_replay_state"),
        path(
            "<uuid:turn_id>/replay/<uuid:replay_id>/cancel/",
            site.admin_view(cancel_view),
            name="coach_turn_replay_cancel",
        ),
    ]


def may_be_replayed(turn: Turn) -> bool:
    """Its whole prompt may be shown to admins."""
    conversation = turn.conversation
    if conversation.owner.training_consent and not conversation.private and not conversation.kept_out:
        return True
    rating: Rating | None = getattr(turn, "rating", None)
    given = rating is not None and bool(rating.comment.strip())
    return given and turn.provenance.get("history") == []


def _turn(request: HttpRequest, turn_id: UUID, permission: str) -> Turn:
    """Raises PermissionDenied or Http404."""
    if not request.user.has_perm(VIEW) or not request.user.has_perm(permission):
        raise PermissionDenied
    found = Turn.objects.select_related("conversation__coach", "conversation__owner", "rating").filter(pk=turn_id)
    turn = found.first()
    if turn is None:
        raise Http404
    return turn


def _readable(request: HttpRequest, turn_id: UUID, permission: str) -> Turn:
    turn = _turn(request, turn_id, permission)
    if not may_be_replayed(turn):
        raise PermissionDenied
    return turn


@require_safe
def replay_view(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    turn = _turn(request, turn_id, VIEW)
    readable = may_be_replayed(turn)
    context = {
        **site.each_context(request),
        "opts": Turn._meta,
        "title": _("Prompt and replay"),
        "turn": turn,
        "readable": readable,
        "facts": turn.provenance,
        "may_start": request.user.has_perm(ADD),
        **(_texts(request, turn) if readable else {}),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/coach/turn/replay.html", context)


def _texts(request: HttpRequest, turn: Turn) -> dict[str, Any]:
    """Everything of the page that people or models wrote."""
    stored: StoredPrompt | None = None
    damaged = ""
    try:
        stored = stored_prompt(turn)
    except PromptDamaged as error:
        damaged = str(error)
    replays = list(turn.replays.all()[:SHOWN_REPLAYS])
    wanted = request.GET.get("replay", "")
    shown = next((replay for replay in replays if str(replay.pk) == wanted), replays[0] if replays else None)
    return {
        "stored": stored,
        "damaged": damaged,
        "replays": replays,
        "shown": shown,
        "over": shown is not None and shown.state not in replay_jobs.OPEN,
        "sides": _sides(turn, shown),
        "changes": _changes(turn, shown),
        "bases": KnowledgeBase.objects.order_by("name"),
        "models": _known_models(turn),
        "most": replay_jobs.MOST_CHARACTERS,
    }


def _sides(turn: Turn, shown: Replay | None) -> list[dict[str, Any]]:
    if shown is None or shown.state != Replay.State.DONE:
        return []
    before, after = differences(turn.answer, shown.answer)
    return [
        {"title": _("As it was answered"), "model": turn.model, "pieces": before},
        {"title": _("Answered again"), "model": shown.result["model"], "pieces": after},
    ]


def _changes(turn: Turn, shown: Replay | None) -> list[dict[str, Any]]:
    if shown is None or shown.state != Replay.State.DONE:
        return []
    words = {"=": _("in both"), "-": _("only then"), "+": _("only now")}
    return [
        {"said": words[change], "state": CHANGES[change], **source}
        for change, source in source_changes(turn, shown.result["sources"])
    ]


def _known_models(turn: Turn) -> list[str]:
    """To choose from while typing: of this coach, of this installation, and those that answered lately."""
    recent = Turn.objects.exclude(model="").order_by("-created").values_list("model", flat=True)[:RECENT_TURNS]
    named = f"{turn.conversation.coach.language_models},{settings.COACH_MODELS}".split(",")
    return sorted({name.strip() for name in [*named, *recent] if name.strip()})


@require_POST
def start_view(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    turn = _readable(request, turn_id, ADD)
    page = reverse("admin:coach_turn_replay", args=[turn.pk])
    try:
        replay = replay_jobs.start(
            turn=turn,
            user_id=request.user.pk,
            model=request.POST.get("model", ""),
            prompt=request.POST.get("prompt", ""),
            search=request.POST.get("search", ""),
        )
    except replay_jobs.WrongReplay as error:
        messages.error(request, str(error))
        return redirect(page)
    wake(replay.pk, get_language() or settings.LANGUAGE_CODE)
    return redirect(f"{page}?replay={replay.pk}")


@require_safe
def state_view(request: HttpRequest, turn_id: UUID, replay_id: UUID) -> HttpResponse:
    """`{"state": …, "over": …, "answer": …}`; wakes a runner when nobody is at it."""
    replay = _replay(request, turn_id, replay_id)
    if replay_jobs.needs_waking(replay):
        wake(replay.pk, get_language() or settings.LANGUAGE_CODE)
    return JsonResponse({"state": replay.state, "over": replay.state not in replay_jobs.OPEN, "answer": replay.answer})


@require_POST
def cancel_view(request: HttpRequest, turn_id: UUID, replay_id: UUID) -> HttpResponse:
    replay_jobs.cancel(replay=_replay(request, turn_id, replay_id))
    return redirect(f"{reverse('admin:coach_turn_replay', args=[turn_id])}?replay={replay_id}")


def _replay(request: HttpRequest, turn_id: UUID, replay_id: UUID) -> Replay:
    turn = _readable(request, turn_id, ADD)
    found = Replay.objects.filter(pk=replay_id, turn=turn).first()
    if found is None:
        raise Http404
    return found
