"""What a call costs: the Price with the longest pattern that fits the model's name."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .models import Price
from .types import Place, Usage

MILLION = Decimal(1_000_000)
_SMALLEST = Decimal("0.000001")


def price_of(model: str, prices: Iterable[Price]) -> Price | None:
    """The price of `openai:gpt-4o-mini` and the like; a pattern's `*` stands for any ending, the longest one counts."""
    fitting = [price for price in prices if _fits(price.model, model)]
    return max(fitting, key=lambda price: (len(price.model.rstrip("*")), not price.model.endswith("*")), default=None)


def cost_of(usage: Usage, place: Place, price: Price | None) -> Decimal | None:
    """In the price's currency: 0 on this machine, None when nobody knows (no price, or no token counts)."""
    if place is Place.LOCAL:
        return Decimal(0)
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = min(usage.cached_prompt_tokens or 0, usage.prompt_tokens)
    per_cached = price.prompt if price.cached_prompt is None else price.cached_prompt
    total = (
        (usage.prompt_tokens - cached) * price.prompt + cached * per_cached + usage.completion_tokens * price.completion
    )
    return (total / MILLION).quantize(_SMALLEST)


def currency() -> str:
    """The one currency of all prices; USD before there are any."""
    return Price.objects.order_by("pk").values_list("currency", flat=True).first() or "USD"


def _fits(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
