"""OpenAI's rules for files of chat examples, and what training on them costs.

Source: OpenAI, "Supervised fine-tuning", and its cookbook "Data preparation and analysis for chat model fine-tuning".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from llm.models import Price
from llm.tokens import estimate_tokens

FEWEST_EXAMPLES = 10
MOST_TOKENS = 65_536  # of one example, with gpt-4.1 and gpt-4o
MOST_BYTES = 512 * 1024 * 1024
EPOCHS = 3  # what OpenAI takes for files of some hundred examples when it is left to choose
MESSAGE_TOKENS = 4  # what the format adds to each
ROLES = ("system", "developer", "user", "assistant")
_KEYS = frozenset(("role", "content", "name", "weight"))


@dataclass(frozen=True, slots=True)
class Examined:
    """problem: '' or `malformed` | `too_long`; detail: English, what is wrong; tokens: an upper estimate."""

    problem: str = ""
    detail: str = ""
    tokens: int = 0


def examine(messages: Any) -> Examined:
    """One example by the rules: roles, order, texts, tokens."""
    detail = _malformed(messages)
    if detail:
        return Examined("malformed", detail)
    return _fitting(sum(estimate_tokens(message["content"]) + MESSAGE_TOKENS for message in messages))


def answered(system: str, user: str, answer: str) -> Examined:
    """One example of these three texts; as `examine`, whose rules for roles and order it keeps by its shape."""
    for number, text in enumerate((system, user, answer), start=1):
        if not text or text.isspace():
            return Examined("malformed", f"message {number} has no text")
    return _fitting(_tokens(system) + estimate_tokens(user) + estimate_tokens(answer) + 3 * MESSAGE_TOKENS)


def not_learned(prompt: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a prompt for a line: OpenAI teaches every answer in it whose weight is not 0."""
    return [message | {"weight": 0} if message["role"] == "assistant" else message for message in prompt]


# Of system texts there are few.
_tokens = lru_cache(maxsize=64)(estimate_tokens)


def _fitting(tokens: int) -> Examined:
    if tokens > MOST_TOKENS:
        return Examined("too_long", f"about {tokens} tokens, at most {MOST_TOKENS} are allowed", tokens)
    return Examined(tokens=tokens)


def _malformed(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        return "no list of messages"
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not message.keys() <= _KEYS:
            return f"message {number} is no message"
        if message.get("role") not in ROLES:
            return f"message {number} has no role of {', '.join(ROLES)}"
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            return f"message {number} has no text"
    return _wrong_order([message["role"] for message in messages])


def _wrong_order(roles: Sequence[str]) -> str:
    """system first or not at all, then user and assistant in turn, the last one is the assistant's."""
    spoken = [role for role in roles if role in ("user", "assistant")]
    if len(roles) - len(spoken) > 1 or (len(roles) != len(spoken) and roles[0] in ("user", "assistant")):
        return "the system message must be the first, and the only one"
    if roles[-1] != "assistant":
        return "the last message must be the assistant's"
    if spoken != ["user", "assistant"] * (len(spoken) // 2):
        return "user and assistant must take turns, and the user begins"
    return ""


def problems(examples: int, size: int) -> Iterator[str]:
    """What is wrong with a whole file."""
    if examples < FEWEST_EXAMPLES:
        words = {"least": FEWEST_EXAMPLES, "n": examples}
        yield _("OpenAI wants at least %(least)d examples, there are %(n)d.") % words
    if size > MOST_BYTES:
        words = {"most": MOST_BYTES // 1024**2, "n": size // 1024**2}
        yield _("OpenAI takes files of at most %(most)d MB, this one has %(n)d MB.") % words


def training_cost(tokens: int, price: Price | None, epochs: int = EPOCHS) -> Decimal | None:
    """In the price's currency; None when nobody knows the price of training."""
    if price is None or price.training is None:
        return None
    return (Decimal(tokens * epochs) * price.training / 1_000_000).quantize(Decimal("0.01"))


def costs(tokens: int) -> list[dict[str, Any]]:
    """What training on so many tokens costs with each model that has a price for it."""
    prices = list(Price.objects.exclude(training=None))
    names = [price.model for price in prices]
    return [
        {
            "model": price.model,
            "epochs": EPOCHS,
            "cost": str(training_cost(tokens, price)),
            "currency": price.currency,
        }
        for price in prices
        # "gpt-4o-2024*" costs what "gpt-4o" does: one of them is enough
        if not any(price.model.startswith(f"{name}-") and price.model.endswith("*") for name in names)
    ]
