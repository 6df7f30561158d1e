"""The frame of the admin panel: its sidebar (settings.UNFOLD names `navigation`)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from knowledge.models import Document


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the sidebar; what the person may not open is left out."""
    # Unfold takes every page below "/" for a page of the coach; it is never the active one here.
    coach = _item(_("Open the coach"), "chat", "chat") | {"active": False}
    groups: list[dict[str, Any]] = [
        {"items": [_item(_("Overview"), "home", "admin:index"), coach]},
        {"title": _("Coaching"), "separator": True, "items": _coaching(request)},
        {"title": _("Knowledge"), "separator": True, "items": _knowledge(request)},
        {"title": _("Training"), "separator": True, "items": _training(request)},
        {"title": _("Language models"), "separator": True, "items": _models(request)},
        {"title": _("People"), "separator": True, "items": _people(request)},
    ]
    return [group for group in groups if group["items"]]


def _item(title: str, icon: str, view: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(view)}


def _may_see(request: HttpRequest, items: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item for permission, item in items if request.user.has_perm(permission)]


def _coaching(request: HttpRequest) -> list[dict[str, Any]]:
    turns = _item(_("Turns"), "swap_vert", "admin:coach_turn_changelist")
    coverage = _item(_("Coverage"), "travel_explore", "admin:coach_coverage")
    if request.path == coverage["link"]:
        turns["active"] = False  # its address begins like theirs
    return _may_see(
        request,
        [
            ("coach.view_coach", _item(_("Coaches"), "psychology_alt", "admin:coach_coach_changelist")),
            ("coach.view_conversation", _item(_("Conversations"), "forum", "admin:coach_conversation_changelist")),
            ("coach.view_turn", turns),
            ("coach.view_turn", coverage),
            ("coach.view_rating", _item(_("Ratings"), "star", "admin:coach_rating_changelist")),
            (
                "coach.view_ratingreason",
                _item(_("Reasons for ratings"), "label", "admin:coach_ratingreason_changelist"),
            ),
        ],
    )


def _knowledge(request: HttpRequest) -> list[dict[str, Any]]:
    documents = _item(_("Documents"), "description", "admin:knowledge_document_changelist")
    if request.user.has_perm("knowledge.view_document"):
        failed = Document.objects.filter(state=Document.State.FAILED).count()
        if failed:
            documents |= {"badge": str(failed), "badge_variant": "danger"}
    bases = _item(_("Knowledge bases"), "library_books", "admin:knowledge_knowledgebase_changelist")
    return _may_see(
        request,
        [
            ("knowledge.view_knowledgebase", bases),
            ("knowledge.view_document", documents),
            ("training.view_evaluationrun", _item(_("Evaluations"), "query_stats", "admin:training_evaluations")),
        ],
    )


def _training(request: HttpRequest) -> list[dict[str, Any]]:
    funnel = _item(_("From turns to examples"), "filter_alt", "admin:training_funnel")
    calendar = _item(_("Calendar of jobs"), "calendar_month", "admin:training_calendar")
    desk = _item(_("Review"), "rate_review", "admin:training_review_changelist")
    finetunes = _item(_("Fine-tunes"), "model_training", "admin:training_finetune_changelist")
    for item, inner in ((desk, funnel), (finetunes, calendar)):
        if request.path.startswith(inner["link"]):
            item["active"] = False  # its address begins like theirs
    items = [
        ("training.view_review", desk),
        ("coach.view_turn", funnel),
        ("training.view_dataset", _item(_("Data sets"), "dataset", "admin:training_dataset_changelist")),
        ("training.view_export", _item(_("Exports"), "file_export", "admin:training_export_changelist")),
        ("training.view_finetune", finetunes),
        ("training.view_comparison", _item(_("Comparisons"), "balance", "admin:training_comparison_changelist")),
        ("training.view_promotion", _item(_("What is live"), "rocket_launch", "admin:training_promotion_changelist")),
        ("training.view_finetune", calendar),
    ]
    return _may_see(request, items)


def _models(request: HttpRequest) -> list[dict[str, Any]]:
    return _may_see(
        request,
        [
            ("llm.view_modelpull", _item(_("Local models"), "download", "admin:llm_modelpull_changelist")),
            ("llm.view_modelcall", _item(_("Watch the models"), "monitoring", "admin:llm_watch")),
            ("llm.view_modelcall", _item(_("What a year costs"), "calculate", "admin:llm_costs")),
            ("llm.view_endpoint", _item(_("Model servers"), "dns", "admin:llm_endpoint_changelist")),
            ("llm.view_liveorder", _item(_("Order of models"), "sort", "admin:llm_liveorder_changelist")),
            ("llm.view_limit", _item(_("Limits"), "speed", "admin:llm_limit_changelist")),
            ("llm.view_price", _item(_("Prices"), "payments", "admin:llm_price_changelist")),
        ],
    )


def _people(request: HttpRequest) -> list[dict[str, Any]]:
    return _may_see(
        request,
        [
            ("accounts.view_user", _item(_("People"), "group", "admin:accounts_user_changelist")),
            ("accounts.view_apitoken", _item(_("API tokens"), "key", "admin:accounts_apitoken_changelist")),
        ],
    )
