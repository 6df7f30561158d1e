"""REST of comparisons, tuned models and promotions: staff with the permission of the panel (docs/protocol.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from .comparison import preference, promotions, selectors, services
from .comparison.errors import Forbidden
from .models import Promotion
from .wake import compare_soon

router = Router(tags=["training"])

MOST = 200


class ComparisonIn(Schema):
    """candidate: name of a tuned model. live: '' for the model that answers first now. dataset: id or name.

    options: of training/comparison/options.py.
    """

    candidate: str = Field(min_length=1, max_length=60)
    live: str = Field("", max_length=300)
    dataset: int | str | None = None
    options: dict[str, Any] = {}


class GateOut(Schema):
    name: str
    passed: bool
    measured: bool
    why: str


class ComparisonOut(Schema):
    id: int
    candidate: str
    model: str
    live: str
    dataset: int | None
    state: str
    options: dict[str, Any]
    done: int
    total: int
    progress: float
    figures: dict[str, Any]
    gates: list[GateOut]
    passed: bool
    error: str
    created: datetime
    finished: datetime | None


class PromotionIn(Schema):
    """model: name of a tuned model. coach: slug, '' for all. share: percent of the conversations.

    comparison: the one it was judged by, None for its newest. reason: why, although a gate said no.
    """

    model: str = Field(min_length=1, max_length=60)
    coach: str = Field("", max_length=60)
    share: int = Field(100, ge=1, le=100)
    comparison: int | None = None
    reason: str = Field("", max_length=300)


class WidenIn(Schema):
    share: int = Field(100, ge=1, le=100)


class PromotionOut(Schema):
    id: int
    model: str
    language_model: str
    coach: str
    share: int
    comparison: int | None
    overridden: str
    started: datetime
    ended: datetime | None
    live: bool


class RolledBackOut(Schema):
    """now: the promotion that is live again in its place; None when the order of models alone is."""

    rolled_back: PromotionOut
    now: PromotionOut | None


class TunedModelOut(Schema):
    name: str
    model: str
    base: str
    dataset: int | None
    synthetic: bool
    stale: bool
    compared: int | None
    passed: bool | None
    live: list[PromotionOut]
    created: datetime


@router.get("/comparisons", response=list[ComparisonOut])
def list_comparisons(request: HttpRequest) -> Any:
    """Newest first, at most 200."""
    _staff(request, "training.view_comparison")
    return [selectors.data(row) for row in selectors.comparisons()[:MOST]]


@router.post("/comparisons", response={202: ComparisonOut})
def start_comparison(request: HttpRequest, data: ComparisonIn) -> Any:
    user = _staff(request, "training.add_comparison")
    made = services.start(
        candidate=selectors.tuned_model(data.candidate),
        live=data.live,
        dataset=selectors.dataset(data.dataset),
        options=data.options,
        by=user,
    )
    compare_soon(made.pk)
    return 202, selectors.data(made)


@router.get("/comparisons/{comparison_id}", response=ComparisonOut)
def get_comparison(request: HttpRequest, comparison_id: str) -> Any:
    """With what people chose since it was finished."""
    _staff(request, "training.view_comparison")
    found = services.get(comparison_id)
    preference.refresh(found)
    return selectors.data(found)


@router.post("/comparisons/{comparison_id}/cancel", response=ComparisonOut)
def cancel_comparison(request: HttpRequest, comparison_id: str) -> Any:
    _staff(request, "training.change_comparison")
    return selectors.data(services.cancel(comparison=services.get(comparison_id)))


@router.post("/comparisons/{comparison_id}/retry", response={202: ComparisonOut})
def retry_comparison(request: HttpRequest, comparison_id: str) -> Any:
    """Of one that failed or was cancelled only what is missing is asked."""
    _staff(request, "training.change_comparison")
    found = services.retry(comparison=services.get(comparison_id))
    compare_soon(found.pk)
    return 202, selectors.data(found)


@router.get("/tuned-models", response=list[TunedModelOut])
def list_tuned_models(request: HttpRequest) -> Any:
    """Newest first, with where each one is live."""
    _staff(request, "training.view_tunedmodel")
    live = [row for row in promotions.history() if row.ended is None]
    return [selectors.tuned_model_data(row, live) for row in selectors.tuned_models()[:MOST]]


@router.get("/promotions", response=list[PromotionOut])
def list_promotions(request: HttpRequest) -> Any:
    """What was live when, newest first."""
    _staff(request, "training.view_promotion")
    return [selectors.promotion_data(row) for row in promotions.history()[:MOST]]


@router.post("/promotions", response={201: PromotionOut})
def promote(request: HttpRequest, data: PromotionIn) -> Any:
    user = _staff(request, "training.add_promotion")
    made = promotions.promote(
        candidate=selectors.tuned_model(data.model),
        coach=selectors.coach(data.coach),
        share=data.share,
        comparison=services.get(data.comparison) if data.comparison is not None else None,
        by=user,
        overridden=data.reason,
    )
    return 201, selectors.promotion_data(made)


@router.post("/promotions/{promotion_id}/widen", response={201: PromotionOut})
def widen(request: HttpRequest, promotion_id: str, data: WidenIn) -> Any:
    """A canary for another share of the conversations; 100 makes it whole."""
    user = _staff(request, "training.change_promotion")
    made = promotions.widen(promotion=selectors.promotion(promotion_id), share=data.share, by=user)
    return 201, selectors.promotion_data(made)


@router.post("/promotions/{promotion_id}/rollback", response=RolledBackOut)
def roll_back(request: HttpRequest, promotion_id: str) -> Any:
    """For every turn that begins from now on."""
    user = _staff(request, "training.change_promotion")
    found = selectors.promotion(promotion_id)
    again = promotions.roll_back(promotion=found, by=user)
    done = Promotion.objects.select_related("model", "coach").get(pk=found.pk)
    now = selectors.promotion_data(again) if again else None
    return {"rolled_back": selectors.promotion_data(done), "now": now}


def _staff(request: HttpRequest, permission: str) -> Any:
    user = request.user
    if not (user.is_staff and user.has_perm(permission)):
        raise Forbidden
    return user
