"""What the tests of calls, sums, limits and pages share: calls as the switcher reports them, and rows of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from llm.models import ModelCall
from llm.types import Account, CallReport, ModelId, Place, Usage

CLOUD = ModelId("openai", "gpt-4o-mini")
LOCAL = ModelId("llamacpp")


def call(
    model: ModelId = CLOUD, place: Place = Place.CLOUD, *, account: Account | None = None, **values: Any
) -> CallReport:
    usage = values.pop("usage", Usage(prompt_tokens=1000, cached_prompt_tokens=400, completion_tokens=100))
    given = {"started": timezone.now(), "seconds": 2.0, "outcome": "ok", "first_token_seconds": 0.4, **values}
    return CallReport(model=model, place=place, account=account or Account(coach="personal"), usage=usage, **given)


def stored_call(**values: Any) -> ModelCall:
    given = {
        "started": timezone.now(),
        "model": "openai:gpt-4o-mini",
        "place": "cloud",
        "coach": "personal",
        "first_token_seconds": 0.4,
        "seconds": 2.0,
        "prompt_tokens": 1000,
        "cached_prompt_tokens": 400,
        "completion_tokens": 100,
        "cost": "0.000180",
        **values,
    }
    return ModelCall.objects.create(**given)


def days_ago(days: int, hour: int = 12) -> datetime:
    day = timezone.now().astimezone(UTC) - timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)
