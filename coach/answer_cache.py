"""Answers that were written before for the very same prompt: optional, off unless COACH_ANSWER_CACHE_MINUTES is set.

The key is a hash of everything the answer comes from: the prompt with its sources, the models that would be asked and
the index generations that were searched. Only the answer is kept, in the broker and for that time; nothing of a
private conversation is kept or used, and an answer that is asked for again is written again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from django.conf import settings
from redis.exceptions import RedisError

from knowledge.database import DatabaseThreads
from knowledge.generations import live_indexes
from llm.types import ChatRequest, ModelId, Place

from .events import redis_client
from .selectors import TurnContext

log = logging.getLogger(__name__)

_PREFIX = "answer:"
_threads = DatabaseThreads("answers")


@dataclass(frozen=True, slots=True)
class Kept:
    """text: as the model wrote it, with its citations; model: the one that did."""

    text: str
    model: ModelId
    place: Place


async def key(context: TurnContext, request: ChatRequest, models: Sequence[ModelId]) -> str:
    """Where this request's answer would be kept; '' when none may be."""
    if not settings.ANSWER_CACHE_SECONDS or context.private or context.regenerates:
        return ""
    live = await _threads.call(live_indexes)(context.bases)
    parts = [
        [str(model) for model in models],
        [[message.role, message.content] for message in request.messages],
        [index.generation for index in live],
        request.max_tokens,
    ]
    return _PREFIX + hashlib.sha256(orjson.dumps(parts)).hexdigest()


async def find(where: str) -> Kept | None:
    """None, too, when the broker is away: the model is asked then."""
    if not where:
        return None
    try:
        found = await redis_client().get(where)
    except (RedisError, OSError):
        return None
    if found is None:
        return None
    data = orjson.loads(found)
    return Kept(data["text"], ModelId(data["provider"], data["name"]), Place(data["place"]))


async def keep(where: str, kept: Kept) -> None:
    if not where or not kept.text.strip():
        return
    data = {
        "text": kept.text,
        "provider": kept.model.provider,
        "name": kept.model.name,
        "place": kept.place.value,
    }
    try:
        await redis_client().set(where, orjson.dumps(data), ex=settings.ANSWER_CACHE_SECONDS)
    except (RedisError, OSError) as error:
        log.warning("an answer was not kept: %s", error)
