"""Admin of conversations, turns and ratings: to watch the coach, not the people.

What a coachee wrote and was told is private. It is shown for one turn only, and only when the
coachee rated that turn and left a comment: then it was given to improve the coach. There is no
search, no filter and no ordering by text, and no name beside a turn.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from . import admin_replay, selectors
from .admin_coverage import coverage_view
from .models import Conversation, Rating, RatingReason, Turn

STATE_COLOURS = {
    Turn.State.PENDING: "warning",
    Turn.State.RUNNING: "info",
    Turn.State.DONE: "success",
    Turn.State.STOPPED: "primary",
    Turn.State.FAILED: "danger",
}
PLACES = {"local": _("locally"), "cloud": _("in the cloud")}
TIMINGS = {
    "retrieval": _("searching the knowledge"),
    "prompt": _("putting the prompt together"),
    "first_token": _("until the first word"),
    "total": _("whole turn"),
}


def may_be_read(turn: Turn) -> bool:
    """True when the coachee rated this turn with a comment: question and answer may be shown to admins."""
    rating: Rating | None = getattr(turn, "rating", None)
    return rating is not None and bool(rating.comment.strip())


def stars(rating: int) -> str:
    return "★" * rating + "☆" * (5 - rating)


class ReadOnlyAdmin(ModelAdmin):
    """Lists and own detail pages without the forms, texts and history of Django's change view.

    public_lookups: the only query parameters of a list; Django would allow `?question__contains=…`.
    """

    public_lookups: frozenset[str] = frozenset()
    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.public_lookups

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404

    def found(self, request: HttpRequest, object_id: str) -> Any:
        """The object of a detail page. Raises PermissionDenied or Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        return obj

    def detail(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, {**frame, **context})


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("started", "coach", "language", "turns_held", "mean", "last_turn")
    list_filter = ("coach", "language")
    list_display_links = ("started",)
    ordering = ("-updated",)
    public_lookups = frozenset({"coach__id__exact", "language__exact"})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        queryset = super().get_queryset(request).select_related("coach").defer("title")
        return queryset.annotate(held=Count("turns"), stars_total=Count("turns__rating"), last=Max("turns__created"))

    @display(description=_("started"), ordering="created")
    def started(self, conversation: Conversation) -> Any:
        return conversation.created

    @display(description=_("turns"), ordering="held")
    def turns_held(self, conversation: Any) -> int:
        return int(conversation.held)

    @display(description=_("ratings"), ordering="stars_total")
    def mean(self, conversation: Any) -> int:
        return int(conversation.stars_total)

    @display(description=_("last turn"), ordering="last")
    def last_turn(self, conversation: Any) -> Any:
        return conversation.last

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        conversation = self.found(request, object_id)
        turns = Turn.objects.filter(conversation=conversation).select_related("rating").defer("question", "answer")
        context = {"conversation": conversation, "turns": turns.order_by("position", "created")}
        return self.detail(request, "admin/coach/conversation/detail.html", str(_("Conversation")), context)


class RatedFilter(admin.SimpleListFilter):
    title = _("rating")
    parameter_name = "rated"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("commented", _("with a comment")),
            ("high", _("4 or 5 stars")),
            ("low", _("1 to 3 stars")),
            ("none", _("not rated")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Turn]) -> QuerySet[Turn]:
        filters = {
            "commented": Q(rating__isnull=False) & ~Q(rating__comment=""),
            "high": Q(rating__rating__gte=4),
            "low": Q(rating__rating__lte=3),
            "none": Q(rating=None),
        }
        return queryset.filter(filters[value]) if (value := self.value()) in filters else queryset


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ("asked", "coach", "state_label", "covered", "stars_given", "model", "ran", "first_word", "total")
    list_display_links = ("asked",)
    list_filter = ("state", RatedFilter, "grounded", "conversation__coach", "model", "created")
    ordering = ("-created",)
    public_lookups = frozenset(
        {
            "rated",
            "state__exact",
            "grounded__exact",
            "conversation__coach__id__exact",
            "model",
            "created__gte",
            "created__lt",
        }
    )

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(coverage_view)
        return [path("coverage/", page, name="coach_coverage"), *admin_replay.urls(), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Turn]:
        queryset = super().get_queryset(request).select_related("conversation__coach", "rating")
        return queryset.defer("question", "answer", "conversation__title")

    @display(description=_("asked"), ordering="created")
    def asked(self, turn: Turn) -> Any:
        return turn.created

    @display(description=_("coach"), ordering="conversation__coach__name")
    def coach(self, turn: Turn) -> str:
        return turn.conversation.coach.name

    @display(description=_("state"), label=STATE_COLOURS, ordering="state")
    def state_label(self, turn: Turn) -> tuple[str, str]:
        return turn.state, turn.get_state_display()

    @display(description=_("covered"), boolean=True, ordering="grounded")
    def covered(self, turn: Turn) -> bool | None:
        return turn.grounded if turn.state == Turn.State.DONE else None

    @display(description=_("rating"), ordering="rating__rating")
    def stars_given(self, turn: Turn) -> str:
        rating: Rating | None = getattr(turn, "rating", None)
        return stars(rating.rating) if rating else ""

    @display(description=_("where it ran"), ordering="place")
    def ran(self, turn: Turn) -> Any:
        return PLACES.get(turn.place, turn.place)

    @display(description=_("first word"))
    def first_word(self, turn: Turn) -> str:
        return _seconds(turn.timings.get("first_token"))

    @display(description=_("whole turn"))
    def total(self, turn: Turn) -> str:
        return _seconds(turn.timings.get("total"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        turn = self.found(request, object_id)
        readable = may_be_read(turn)
        rating: Rating | None = getattr(turn, "rating", None)
        context = {
            "turn": turn,
            "rating": rating,
            "stars": stars(rating.rating) if rating else "",
            "state_colour": STATE_COLOURS[Turn.State(turn.state)],
            "place": PLACES.get(turn.place, turn.place),
            "timings": [(TIMINGS.get(name, name), _seconds(value)) for name, value in turn.timings.items()],
            "readable": readable,
            "sources": _cited(turn) if readable else [],
            "reasons": _reasons(rating) if rating else [],
            "changes": [(change.created, stars(change.rating or 0)) for change in turn.rating_changes.all()],
        }
        return self.detail(request, "admin/coach/turn/detail.html", str(_("Turn")), context)


def _seconds(value: Any) -> str:
    return f"{value:.2f} s" if isinstance(value, int | float) else ""


def _reasons(rating: Rating) -> list[str]:
    """What was given with it, in the reader's language; a reason that is gone by its short name."""
    texts = dict(RatingReason.objects.filter(slug__in=rating.reasons).values_list("slug", "texts"))
    language = get_language() or "en"
    return [texts.get(slug, {}).get(language) or texts.get(slug, {}).get("en") or slug for slug in rating.reasons]


def _cited(turn: Turn) -> list[dict[str, Any]]:
    """The sources of a turn with `cited`: whether the answer points to it."""
    return [{**source, "cited": source["n"] in turn.citations} for source in selectors.sources_of_turn(turn)]


@admin.register(Rating)
class RatingAdmin(ReadOnlyAdmin):
    list_display = ("given", "stars_given", "helpful_label", "comment", "coach", "turn_link")
    list_display_links = None
    list_filter = ("rating", "helpful", "turn__conversation__coach", "updated")
    ordering = ("-updated",)
    public_lookups = frozenset(
        {
            "rating",
            "rating__exact",
            "helpful__exact",
            "helpful__isnull",
            "turn__conversation__coach__id__exact",
            "updated__gte",
            "updated__lt",
        }
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rating]:
        queryset = super().get_queryset(request).select_related("turn__conversation__coach")
        return queryset.defer("turn__question", "turn__answer", "turn__conversation__title")

    @display(description=_("changed"), ordering="updated")
    def given(self, rating: Rating) -> Any:
        return rating.updated

    @display(description=_("rating"), ordering="rating")
    def stars_given(self, rating: Rating) -> str:
        return format_html(
            '<span class="ac-stars" title="{}">{}</span>',
            _("%(n)d of 5 stars") % {"n": rating.rating},
            stars(rating.rating),
        )

    @display(description=_("helpful"), boolean=True, ordering="helpful")
    def helpful_label(self, rating: Rating) -> bool | None:
        return rating.helpful

    @display(description=_("coach"))
    def coach(self, rating: Rating) -> str:
        return rating.turn.conversation.coach.name

    @display(description=_("turn"))
    def turn_link(self, rating: Rating) -> str:
        url = reverse("admin:coach_turn_change", args=[rating.turn_id])
        return format_html('<a class="ac-link" href="{}">{}</a>', url, _("Open the turn"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:coach_turn_change", self.found(request, object_id).turn_id)
