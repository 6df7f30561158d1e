"""REST: what a person has used themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.errors import AuthenticationError

from .limits import usage_of

router = Router(tags=["me"])


class UsedOut(Schema):
    turns: int
    tokens: int
    cost: float


class LimitOut(Schema):
    coach: str
    period: str
    cloud_only: bool
    turns: int | None
    tokens: int | None
    cost: float | None
    used: UsedOut
    reached: bool
    free_again: datetime


class UsageOut(Schema):
    today: UsedOut
    month: UsedOut
    currency: str
    limits: list[LimitOut]


@router.get("/me/usage", response=UsageOut)
def my_usage(request: HttpRequest) -> Any:
    """Turns, tokens and cost of today and this month (UTC), and the limits that count for this person alone."""
    if request.user.pk is None:
        raise AuthenticationError
    return usage_of(request.user.pk)
