"""The page of a base's index generations: what is live, what is being built, how well it finds, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from . import admin_reads, generations
from .admin_frame import base_or_404, base_tabs, panel_page
from .embedding.registry import is_cloud
from .errors import KnowledgeError
from .models import IndexGeneration, KnowledgeBase

State = IndexGeneration.State
COLOURS = {
    State.BUILDING: "info",
    State.READY: "warning",
    State.LIVE: "success",
    State.RETIRED: "primary",
    State.FAILED: "danger",
    State.CANCELLED: "primary",
}
# What a person may do with a generation in each state.
ACTS: Mapping[State, Sequence[str]] = {
    State.BUILDING: ("cancel",),
    State.READY: ("switch", "cancel"),
    State.LIVE: (),
    State.RETIRED: ("roll_back", "remove"),
    State.FAILED: ("retry", "remove"),
    State.CANCELLED: ("retry", "remove"),
}
SUGGESTED = ("e5-small", "minilm")
LANGUAGES = dict(settings.LANGUAGES)


@dataclass(frozen=True, slots=True)
class Recall:
    """One language of the gate, in percent. `worse`: it finds too few to go live by itself; `why`: not measured."""

    language: str
    questions: int
    live: int
    new: int
    worse: bool
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A generation on the page. `percent` is how much of it is embedded, `left` how long the rest takes ('': not
    known), `below`: the gate found too little."""

    generation: IndexGeneration
    colour: str
    passages: int
    percent: int
    left: str
    below: bool
    recall: Sequence[Recall]
    acts: Sequence[str]
    error: str
    cloud: bool


def generations_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, "knowledge.view_indexgeneration")
    may_change = request.user.has_perm("knowledge.change_indexgeneration")
    rows = _rows(base, may_change)
    live = next((row for row in rows if row.generation.state == State.LIVE), None)
    used = [row.generation.embedder for row in rows]
    context = {
        "title": _("Index"),
        "object": base,
        **base_tabs(request, base, "generations"),
        "rows": rows,
        "may_change": may_change,
        "building": any(row.generation.state == State.BUILDING for row in rows),
        "due": admin_reads.embed_due(live.generation if live else None),
        "wanted_embedder": settings.COACH_EMBEDDER,
        "embedders": list(dict.fromkeys([settings.COACH_EMBEDDER, *used, *SUGGESTED])),
    }
    return panel_page(request, "admin/knowledge/generations.html", context)


def _rows(base: KnowledgeBase, may_change: bool) -> list[Row]:
    """The live one first, then what is being made, then the history, newest first."""
    order = (State.LIVE, State.READY, State.BUILDING)
    found = base.generations.select_related("splitting", "base").order_by("-created")
    ranked = sorted(found, key=lambda one: order.index(State(one.state)) if one.state in order else len(order))
    before = generations.before(base.pk)
    return [_row(generation, may_change, generation == before) for generation in ranked]


def _row(generation: IndexGeneration, may_change: bool, is_before: bool) -> Row:
    """is_before    it is the one that roll-back goes to"""
    state = State(generation.state)
    acts = [act for act in ACTS[state] if act != "roll_back" or is_before]
    if generation.retired and state == State.RETIRED and timezone.now() - generation.retired < generations.REMEMBERED:
        acts.remove("remove")  # searches may still look into it
    live = state == State.LIVE
    return Row(
        generation=generation,
        colour=COLOURS[state],
        passages=generations.content(generation)["chunks"] if live else generation.chunks_total,
        percent=_percent(generation),
        left=_left(minutes_left(generation)),
        below=not generations.passed(generation),
        recall=recall(generation),
        acts=acts if may_change else (),
        error=gettext(generation.error) if generation.error else "",
        cloud=is_cloud(generation.embedder),
    )


def _percent(generation: IndexGeneration) -> int:
    if not generation.chunks_total:
        return 0
    return min(100, 100 * generation.chunks_done // generation.chunks_total)


def minutes_left(generation: IndexGeneration) -> int:
    """At the speed that the worker measured last, at least one; 0 when it is not known."""
    if generation.state != State.BUILDING or not generation.chunks_per_second:
        return 0
    left = max(0, generation.chunks_total - generation.chunks_done)
    return max(1, round(left / generation.chunks_per_second / 60))


def _left(minutes: int) -> str:
    if not minutes:
        return ""
    return ngettext("about %(n)d minute left", "about %(n)d minutes left", minutes) % {"n": minutes}


def recall(generation: IndexGeneration) -> list[Recall]:
    """What the gate found, by language."""
    return [
        Recall(
            language=LANGUAGES.get(language, language) or _("All languages"),
            questions=int(found.get("questions", 0)),
            live=round(100 * found.get("live", 0.0)),
            new=round(100 * found.get("new", 0.0)),
            worse=not found.get("passed", True) or bool(found.get("overridden")),
            why=gettext(found["why"]) if found.get("why") else "",
        )
        for language, found in sorted(generation.recall.items())
    ]


@require_safe
def states_view(request: HttpRequest, object_id: int) -> JsonResponse:
    """For a page that is open: `{"generations": [{"id", "state", "done", "total", "percent", "left"}]}`."""
    base = base_or_404(request, object_id, "knowledge.view_indexgeneration")
    found = [
        {
            "id": generation.pk,
            "state": generation.state,
            "done": generation.chunks_done,
            "total": generation.chunks_total,
            "percent": _percent(generation),
            "left": _left(minutes_left(generation)),
        }
        for generation in base.generations.all()
    ]
    return JsonResponse({"generations": found})


@require_POST
def start_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """Build a new generation with the embedder of the form."""
    base = _changeable(request, object_id)
    embedder = request.POST.get("embedder", "").strip()
    _try(
        request,
        lambda: generations.start(base=base, embedder=embedder, switch_when_ready="switch" in request.POST),
        lambda: _("A new index is being built. The coaches search the live one meanwhile."),
    )
    return redirect("admin:knowledge_knowledgebase_generations", base.pk)


@require_POST
def act_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """`act` of ACTS on `generation`."""
    base = _changeable(request, object_id)
    number, act = request.POST.get("generation", ""), request.POST.get("act", "")
    generation = base.generations.filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None
    if generation is None:
        raise Http404
    if act not in _row(generation, True, generation == generations.before(base.pk)).acts:
        messages.warning(request, _("Nothing to do: the index has changed meanwhile."))
        return redirect("admin:knowledge_knowledgebase_generations", base.pk)
    override = request.POST.get("override") == "yes"
    functions: Mapping[str, Callable[[], Any]] = {
        "switch": lambda: generations.switch(generation=generation, override=override),
        "roll_back": lambda: generations.roll_back(base=base),
        "cancel": lambda: generations.cancel(generation=generation),
        "retry": lambda: generations.retry(generation=generation),
        "remove": lambda: generations.remove(generation=generation),
    }
    _try(request, functions[act], lambda: _done(act, generation))
    return redirect("admin:knowledge_knowledgebase_generations", base.pk)


def _done(act: str, generation: IndexGeneration) -> str:
    """What has come of it, in one sentence."""
    if act in ("switch", "roll_back"):
        now = IndexGeneration.objects.filter(pk=generation.pk).values_list("state", flat=True).first()
        if now == State.LIVE:
            return _("The index is live: searches change over within seconds.")
        return _("The index goes live as soon as it holds what has arrived meanwhile.")
    return {
        "cancel": _("Building was cancelled."),
        "retry": _("Building goes on."),
        "remove": _("The index was removed."),
    }[act]


def _changeable(request: HttpRequest, object_id: int) -> KnowledgeBase:
    if not request.user.has_perm("knowledge.change_indexgeneration"):
        raise PermissionDenied
    return base_or_404(request, object_id, "knowledge.view_knowledgebase")


def _try(request: HttpRequest, act: Callable[[], Any], done: Callable[[], str]) -> None:
    try:
        act()
    except KnowledgeError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done())


ROUTES: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
    ("generations/", "generations", generations_view),
    ("generations/states/", "generation_states", states_view),
    ("generations/start/", "generation_start", start_view),
    ("generations/act/", "generation_act", act_view),
)
